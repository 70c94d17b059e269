"""Statistical power: the smallest difference that a grid could have shown, and the seeds that a smaller one needs."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis.frame.matching import cell_of_each
from analysis.frame.series import Column, column_names, with_series
from analysis.statistics.aggregate import key_names
from analysis.statistics.contrasts import INNER, contrast_rows
from analysis.statistics.grid_model import GridModel, grid_model
from analysis.statistics.significance import LEVEL

COLUMNS = ["axis", "a", "b", "comparisons", "noise", "seeds", "df", "smallest_difference", "difference", "power_now"]
COLUMNS += ["seeds_needed"]
# More seeds than this are reported as infinitely many.
MOST_SEEDS = 100_000


def power(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    difference: float | None = None,
    within: Column | Sequence[Column] | None = None,
    against: Any = None,
    power: float = 0.8,
) -> pd.DataFrame:
    """Return the smallest difference that a grid could have shown, and the seeds that a given difference needs.

    If the true difference between two values of the axis is `smallest_difference`, a grid like this one finds it with
    probability `power`: `p_adjusted` of `contrasts` is then 0.05 or less. A true difference that was not found may
    still be as large as that.

    The result has one row for each row of `contrasts` with the same arguments, because the noise may differ between
    the values. The columns:
    - the keys of `within`; `axis`, `a`, `b`.
    - `comparisons`, the number of rows that can be tested: each is tested at the level 0.05 / comparisons.
    - `noise`: standard deviation of a trial with one of the two values, without the effects of the settings and the
      seeds, as in the standard error of the contrast.
    - `seeds`: complete trials for each combination of the hyperparameters, on average.
    - `df`: degrees of freedom of the noise.
    - `smallest_difference`: the difference that is found with probability `power`.
    - `difference`: the argument, or half of `smallest_difference`.
    - `power_now`: the power of `difference` with the seeds of this grid.
    - `seeds_needed`: the seeds with which `difference` is found with probability `power`; infinite above 100,000. More
      seeds also add degrees of freedom.

    Take the largest `seeds_needed` for a grid that is to show all differences, and the median for one that is to show
    half of them.

    Do not pass the difference that was observed: its power says no more than its p value (Hoenig and Heisey).

    The power is that of a t test, from the noncentral t distribution, with se = noise * sqrt(2 / n) for n trials with
    each value, and Bonferroni's correction. The noise is itself an estimate: with 6 degrees of freedom it may be off by
    30%, and so may `smallest_difference`. In simulations with 3 and 5 seeds, differences of this size were found in 70
    to 90% of the grids.

    Args:
        df: the trials, for example of a pilot grid.
        axis: a hyperparameter, as the name of a column or a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        difference: a difference that matters to you, in the unit of the metric.
        within: hyperparameters; the values are compared in each combination of their values. None averages over all
            settings.
        against: as in `contrasts`.
        power: probability of finding the difference, in (0.05, 1).

    Raises:
        ValueError: as `contrasts`, or if `difference` is not positive, or `power` is not in (0.05, 1).

    Reference:
        Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, chapter 2.
        Hoenig and Heisey, "The abuse of power", 2001, https://doi.org/10.1198/000313001300339897

    Example:
        >>> from analysis import load_example, power
        >>> table = power(load_example("quickstart"), "model", "test_acc_at_best", within="on_perc", difference=0.02)
        >>> table[["on_perc", "a", "b", "noise", "smallest_difference", "seeds_needed"]].round(3)
           on_perc     a            b  noise  smallest_difference  seeds_needed
        0     0.02  RigL          SET  0.151                0.821          1499
        1     0.02  RigL  SparseModel  0.126                0.552          1043
        2     0.02   SET  SparseModel  0.126                0.552          1043
        3     0.05  RigL          SET  0.019                0.087            26
        4     0.05  RigL  SparseModel  0.020                0.093            28
        5     0.05   SET  SparseModel  0.023                0.133            38
        6     0.10  RigL          SET  0.008                0.044             7
        7     0.10  RigL  SparseModel  0.010                0.066             9
        8     0.10   SET  SparseModel  0.009                0.052             8
    """
    if difference is not None and not 0 < difference < math.inf:
        fix = "Give it in the unit of the metric."
        raise ValueError(f"difference must be a positive number, got {difference!r}. {fix}")
    if not LEVEL < power < 1:
        raise ValueError(f"power must be in ({LEVEL}, 1), got {power!r}. The usual one is 0.8.")
    if within is not None:
        key_names(with_series(df, axis, metric, within), column_names(within), taken=[*COLUMNS, *INNER])
    grid = grid_model(df, axis, metric, within, "auto")
    rows = contrast_rows(grid, against).to_dict("records")
    n_rows = sum(not math.isnan(row["p"]) for row in rows)
    found = [_row(grid, row, n_rows, difference, power) for row in rows]
    # Values of different kinds stay what they are: pandas would turn [1, 0.5] into two floats.
    return pd.DataFrame(found)[[*grid.within, *COLUMNS]].astype({"a": object, "b": object})


class _Test(NamedTuple):
    """The test of one contrast, and the effect of more seeds on it."""

    noise: float  # standard deviation of a trial
    trials_per_seed: float  # with each value of the axis
    level: float  # of each test, after correction
    df: float  # of the noise, now
    seeds: float  # now
    grid_df: float  # degrees of freedom of the whole grid, now
    df_per_seed: float  # degrees of freedom that one more seed adds to the grid

    def power(self, difference: float, seeds: float) -> float:
        """Return the probability of finding a difference with this number of seeds."""
        # statsmodels takes longer to import than an experiment to load.
        from statsmodels.stats.power import ttest_power

        grown = self.df * (1 + (seeds - self.seeds) * self.df_per_seed / self.grid_df)
        if grown <= 0:
            return 0.0
        effect, n = difference / (self.noise * math.sqrt(2)), seeds * self.trials_per_seed
        # A claim in the wrong direction is no success. Its probability is tiny, and scipy cannot always compute it.
        return float(ttest_power(effect, n, self.level / 2, df=grown, alternative="larger"))


def _row(
    grid: GridModel, row: Mapping[Any, Any], n_rows: int, difference: float | None, target: float
) -> dict[str, Any]:
    found = {name: row[name] for name in [*grid.within, "axis", "a", "b"]} | {"comparisons": n_rows}
    if math.isnan(row["p"]):
        return found | dict.fromkeys(COLUMNS[4:], math.nan)
    test = _test(grid, row, n_rows)
    smallest = _smallest_difference(test, target)
    asked = smallest / 2 if difference is None else difference
    needed = bisect_left(range(MOST_SEEDS + 1), target, key=lambda seeds: test.power(asked, seeds))
    return found | {
        "noise": test.noise,
        "seeds": test.seeds,
        "df": test.df,
        "smallest_difference": smallest,
        "difference": asked,
        "power_now": test.power(asked, test.seeds),
        "seeds_needed": needed if needed <= MOST_SEEDS else math.inf,
    }


def _test(grid: GridModel, row: Mapping[Any, Any], n_rows: int) -> _Test:
    used = grid.trials[grid.is_used]
    n_settings = len(set(cell_of_each(used, [grid.axis, *grid.within, *grid.others])))
    seeds = len(used) / n_settings
    inverse = 1 / row["n_a"] + 1 / row["n_b"]
    return _Test(
        noise=row["se"] / math.sqrt(inverse),
        trials_per_seed=2 / inverse / seeds,
        level=LEVEL / n_rows,
        df=row["df"],
        seeds=seeds,
        grid_df=grid.fit.df,
        # A seed that is a block takes one degree of freedom itself.
        df_per_seed=n_settings - grid.fit.design.has_block,
    )


def _smallest_difference(test: _Test, target: float) -> float:
    from scipy.optimize import brentq

    high = test.noise
    while test.power(high, test.seeds) < target:
        high *= 2
    return float(brentq(lambda difference: test.power(difference, test.seeds) - target, 0.0, high))
