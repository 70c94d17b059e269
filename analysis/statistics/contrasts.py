"""Contrasts of the values of a hyperparameter: their differences, with the noise of the whole grid."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each, pairs_to_compare, values_of
from analysis.frame.series import Column, column_names, with_series
from analysis.frame.suggest import unknown
from analysis.frame.values import sort_key
from analysis.statistics.aggregate import CONFIDENCE, key_names
from analysis.statistics.contrast_sentences import conclusion
from analysis.statistics.design import Numbers
from analysis.statistics.grid_model import GridModel, grid_model
from analysis.statistics.paired_tests import holm, without_rounding

CORRECTIONS = ("holm", "tukey", "none")
COLUMNS = ["axis", "a", "b", "mean_a", "mean_b", "difference", "low", "high", "se", "df", "t", "p", "p_adjusted"]
COLUMNS += ["n_a", "n_b", "left_out_a", "left_out_b", "errors", "conclusion"]
# What a row has besides, until its conclusion is written.
INNER = ["family", "missing", "correction", "n_rows"]


def contrasts(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    within: Column | Sequence[Column] | None = None,
    against: Any = None,
    correction: str = "holm",
    errors: str = "auto",
) -> pd.DataFrame:
    """Compare the values of a hyperparameter in pairs by a linear model of the whole grid; for few seeds.

    `compare` estimates the noise of a comparison from its own pairs. This function estimates it from all trials of the
    grid, so three seeds can be enough to compare two values in a single setting (`within`).

    The model has an effect for each hyperparameter that varies and for each pair of them, and for the interaction of
    `axis` with all of `within`. Seeds are a block, if each occurs in several settings: a seed shifts all settings by
    the same amount. Without repeated settings, the noise is estimated from the interactions that the model leaves out.
    The means are least-squares means, as in R's emmeans: the mean that the model predicts, with equal weights for all
    values of the other axes, even if some trials failed. If the grid is complete, they are the plain means of the
    trials, whatever the noise is.

    The result has one row for each pair of values of the axis in each setting of `within`, with these columns:
    - the keys of `within`; `axis`, `a`, `b`.
    - `mean_a`, `mean_b`, least-squares means; `difference` (b - a).
    - `low` and `high`, the 95% t interval of the difference: difference ± t quantile * se. It is not corrected for the
      number of rows.
    - `se`, standard error of the difference; `df`, its degrees of freedom; `t` = difference / se; its two-sided `p`.
    - `p_adjusted`: p corrected for the number of comparisons.
    - `n_a`, `n_b`: complete trials with that value in this setting.
    - `left_out_a`, `left_out_b`: trials that failed, are unfinished, diverged, or have a NaN or infinite metric.
    - `errors`, the residuals from which the standard error is estimated: "pooled", all of them; "by on_perc", those
      with the same on_perc; "own", those of the compared trials.
    - `conclusion`: the result in a sentence.

    If the complete trials do not determine a difference, its row has NaN, and its conclusion names the missing setting.

    Noise that differs between settings: if the residual variances of two values of an axis differ by more than a
    factor of 4, each value gets its own variance. If the cells of `axis` and `within` still differ by Bartlett's test
    at 5%, each cell gets its own. If the compared trials are noisier than that, their own variance is used. Degrees of
    freedom are then Satterthwaite's. Unequal variances change the standard errors, but not the weights of the settings
    in the means: noisy settings count as much as others. In simulations with 3 to 10 seeds, the share of tables with a
    false claim stayed near 5% or below, even if one density had 20 times the noise. The usual robust errors (HC3) with
    the degrees of freedom of the whole grid give too many false claims with 3 seeds.

    The model assumes that seeds do not interact with the axes.

    Args:
        df: the trials.
        axis: a hyperparameter, as the name of a column or a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        within: hyperparameters; the values are compared in each combination of their values. None averages over all
            settings.
        against: the value of the axis with which all others are compared, or its text. It is `a` in each row, and the
            correction is for fewer rows. None compares all pairs.
        correction: "holm", over all rows of the table; "tukey", Tukey's test in each setting of `within` separately, as
            in emmeans, for all pairs only; "none".
        errors: "auto", as above; "pooled", one residual variance for all trials, as in emmeans.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers or does not vary, an axis has more than 20
            values, `axis` has one value, is in `within` or follows from another hyperparameter, `against` is no value
            of the axis, or there are too few trials to estimate the noise.

    Reference:
        Searle, Speed and Milliken, "Population marginal means in the linear model", 1980,
        https://doi.org/10.1080/00031305.1980.10483031
        Kramer, "Extension of multiple range tests to group means with unequal numbers of replications", 1956,
        https://doi.org/10.2307/3001469

    Example:
        >>> import textwrap
        >>> from analysis import contrasts, load_example
        >>> table = contrasts(load_example("quickstart"), "model", "test_acc_at_best", within="on_perc")
        >>> table[["on_perc", "a", "b", "difference", "low", "high", "df", "p_adjusted", "errors"]].round(3)
           on_perc     a            b  difference    low   high     df  p_adjusted      errors
        0     0.02  RigL          SET      -0.180 -0.517  0.158  4.171       0.868         own
        1     0.02  RigL  SparseModel      -0.349 -0.601 -0.097  5.993       0.118  by on_perc
        2     0.02   SET  SparseModel      -0.169 -0.422  0.083  5.993       0.757  by on_perc
        3     0.05  RigL          SET      -0.048 -0.087 -0.009  5.688       0.169  by on_perc
        4     0.05  RigL  SparseModel      -0.098 -0.139 -0.057  5.297       0.014         own
        5     0.05   SET  SparseModel      -0.050 -0.103  0.003  3.912       0.358         own
        6     0.10  RigL          SET       0.008 -0.010  0.027  4.320       0.868  by on_perc
        7     0.10  RigL  SparseModel       0.010 -0.014  0.034  3.233       0.868         own
        8     0.10   SET  SparseModel       0.002 -0.019  0.023  3.777       0.868         own
        >>> print(textwrap.fill(table["conclusion"][4], width=100))
        test_acc_at_best is higher with model=RigL than with SparseModel at on_perc=0.05: by 0.0981 (95%
        interval 0.0568 to 0.139, p = 0.014 after Holm's correction).
    """
    if correction not in CORRECTIONS:
        raise ValueError(unknown("correction", correction, CORRECTIONS))
    if against is not None and correction == "tukey":
        raise ValueError(
            f"correction must be 'holm' or 'none' with against={against!r}, got 'tukey', which is for all pairs."
        )
    if within is not None:
        key_names(with_series(df, axis, metric, within), column_names(within), taken=[*COLUMNS, *INNER])
    grid = grid_model(df, axis, metric, within, errors)
    table = contrast_rows(grid, against)
    table["p_adjusted"] = _adjusted(table, correction)
    common = {"correction": correction, "n_rows": int(table["p"].notna().sum())}
    rows = [{**row, **common} for row in table.to_dict("records")]
    table["conclusion"] = [conclusion(row, grid.metric, grid.within) for row in rows]
    # Values of different kinds stay what they are: pandas would turn [1, 0.5] into two floats.
    return table[[*grid.within, *COLUMNS]].astype({"a": object, "b": object})


def contrast_rows(grid: GridModel, against: Any) -> pd.DataFrame:
    """Return the rows of `contrasts`, without the columns that depend on all rows.

    The column `family` numbers the settings of `within`.
    """
    pairs = pairs_to_compare(values_of(grid.trials[grid.axis]), grid.axis, against)
    families = enumerate(_settings(grid))
    return pd.DataFrame([{**row, "family": number} for number, each in families for row in _rows(grid, each, pairs)])


def _settings(grid: GridModel) -> list[dict[str, Any]]:
    """Return the settings of `within` that occur among the trials, in the order of the values."""
    columns = [list(grid.trials[name]) for name in grid.within]
    found = dict(zip(cell_of_each(grid.trials, grid.within), zip(*columns, strict=True), strict=False))
    return [dict(zip(grid.within, found.get(cell, ()), strict=True)) for cell in sorted(found or {(): ()})]


def _rows(grid: GridModel, setting: dict[str, Any], pairs: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one setting, without the columns that depend on all rows."""
    from scipy.special import stdtr, stdtrit

    values = values_of(grid.trials[grid.axis])
    sides = {i: {grid.axis: value, **setting} for i, value in enumerate(values)}
    weights = {i: grid.mean_weights(side) for i, side in sides.items()}
    counts = {i: grid.n_trials(side) for i, side in sides.items()}
    means = {i: _mean(grid, each) for i, each in weights.items()}
    for i, j in pairs:
        value = se = df = t = p = math.nan
        errors, missing = "", {}
        a, b = weights[i], weights[j]
        if a is not None and b is not None and grid.is_estimable(b - a):
            value, se, df, errors = grid.estimate(b - a)
            value = float(without_rounding(np.array(value), np.abs(grid.fit.metric).max()))
            t = value / se
            p = float(2 * stdtr(df, -abs(t)))
        else:
            missing = grid.missing(sides[i], grid.others) or grid.missing(sides[j], grid.others)
        half = float(stdtrit(df, (1 + CONFIDENCE) / 2)) * se
        yield {
            **setting,
            "axis": grid.axis,
            "a": values[i],
            "b": values[j],
            "mean_a": means[i],
            "mean_b": means[j],
            "difference": value,
            "low": value - half,
            "high": value + half,
            "se": se,
            "df": df,
            "t": t,
            "p": p,
            "n_a": counts[i][0],
            "n_b": counts[j][0],
            "left_out_a": counts[i][1],
            "left_out_b": counts[j][1],
            "errors": errors,
            # For the conclusion only.
            "missing": missing,
        }


def _mean(grid: GridModel, weights: Numbers | None) -> float:
    """Return a least-squares mean; NaN if the trials do not determine it."""
    return grid.estimate(weights).value if weights is not None and grid.is_estimable(weights) else math.nan


def _adjusted(table: pd.DataFrame, correction: str) -> Numbers:
    """Return the p values corrected for the number of comparisons."""
    p = table["p"].to_numpy(float)
    if correction == "none":
        return p
    if correction == "holm":
        return holm(p)
    from scipy.stats import studentized_range

    adjusted = np.full(len(p), math.nan)
    for _, rows in table[table["p"].notna()].groupby("family"):
        # Values without any difference do not count.
        n_values = len(set(map(sort_key, [*rows["a"], *rows["b"]])))
        q = np.sqrt(2) * rows["t"].abs().to_numpy(float)
        adjusted[rows.index] = studentized_range.sf(q, n_values, rows["df"].to_numpy(float))
    return adjusted
