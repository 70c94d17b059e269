"""Differences between kinds of pruning, applied to the same trained networks, at each sparsity."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns
from analysis.frame.matching import values_of
from analysis.frame.words import setting_text
from analysis.pruning.rows import TRIAL, default_groups
from analysis.statistics.aggregate import has_value, in_order, with_t_interval
from analysis.statistics.paired_tests import holm
from analysis.statistics.significance import LEVEL, p_text

EXCLUDED = ["unpaired", "left_out"]
COLUMNS = ["pairs", "mean_a", "mean_b", "difference", "std", "low", "high", "p", "p_holm"]


def kind_differences(sweeps: pd.DataFrame, metric: str, by: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the difference between the kinds of pruning in a metric, at each sparsity, in pairs from the same trial.

    Rows are in the order of the values. The result has these columns:
    - those of `by`, `sparsity`; the kinds `a` and `b`, in the order of their names.
    - `pairs`, `mean_a`, `mean_b`.
    - `difference` (b - a); its sample standard deviation `std`; its 95% t interval `low`, `high`. All but the
      difference are NaN for one pair.
    - `p` of Student's paired t test, NaN for one pair; `p_holm`, p corrected for all rows by Holm's method.
    - `unpaired`: trials in which only one of the two kinds has a value. `left_out`: trials in which neither has one,
      because they are incomplete or diverged, or have no value there. Trials that logged nothing are in no row of
      `sweeps`, so they are not counted; see `failures`.

    The sign-flip test of `compare` is not used: five seeds give five pairs, and with fewer than 6 it cannot reach
    p = 0.05, let alone after a correction for twenty sparsities. The t test can, but it assumes normal differences. If
    all differences are equal, p is 0, or 1 if they are 0.

    Args:
        sweeps: the result of `sweeps`.
        metric: a column of numbers.
        by: hyperparameters that are not averaged over; by default the data set, and all that vary except `seed`.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or there is only one kind.

    Reference:
        Student, "The probable error of a mean", 1908, https://doi.org/10.1093/biomet/6.1.1

    Example:
        >>> from analysis import kind_differences, load_example_history, sweeps
        >>> table = kind_differences(sweeps(load_example_history("sweep")), "val_acc")
        >>> table[["sparsity", "a", "b", "pairs", "difference", "low", "high", "p_holm"]].round(3)
           sparsity     a       b  pairs  difference    low   high  p_holm
        0      0.00  unit  weight      5       0.000  0.000  0.000   1.000
        1      0.25  unit  weight      5       0.168  0.137  0.199   0.001
        2      0.50  unit  weight      5       0.478  0.359  0.597   0.001
        3      0.70  unit  weight      5       0.562  0.408  0.716   0.002
        4      0.80  unit  weight      5       0.575  0.462  0.688   0.001
        5      0.90  unit  weight      5       0.439  0.297  0.581   0.002
    """
    by = default_groups(sweeps) if by is None else list(by)
    keys = [*by, "sparsity"]
    check_columns(sweeps, [*keys, "pruning", *TRIAL])
    used = sweeps.assign(**{metric: sweeps[metric].where(has_value(sweeps, metric))})
    kinds = values_of(sweeps["pruning"])
    if len(kinds) < 2:
        raise ValueError(
            f"pruning must have two values to compare, but has only {kinds[0]!r}."
            if kinds
            else "There is no trial to compare."
        )
    rows = []
    for values, group in used.groupby(keys, dropna=False, sort=False):
        wide = group.pivot(index=TRIAL, columns="pruning", values=metric).reindex(columns=kinds)
        for a, b in itertools.combinations(kinds, 2):
            rows.append([*values, a, b, *_pairs(wide[a].to_numpy(float), wide[b].to_numpy(float))])
    columns = [*keys, "a", "b", "count", "mean_a", "mean_b", "mean", "std", *EXCLUDED]
    table = with_t_interval(pd.DataFrame(rows, columns=columns)).rename(
        columns={"count": "pairs", "mean": "difference"}
    )
    table["p"] = [_p(row) for row in table.to_dict("records")]
    table["p_holm"] = holm(table["p"].to_numpy(float))
    return in_order(table[[*keys, "a", "b", *COLUMNS, *EXCLUDED]], [*keys, "a", "b"])


def _pairs(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Return count, means, mean and deviation of the differences, and the counts in EXCLUDED."""
    both = ~np.isnan(a) & ~np.isnan(b)
    n, differences = int(both.sum()), b[both] - a[both]
    excluded = [int((np.isnan(a) != np.isnan(b)).sum()), int((np.isnan(a) & np.isnan(b)).sum())]
    if not n:
        return [0, math.nan, math.nan, math.nan, math.nan, *excluded]
    deviation = float(differences.std(ddof=1)) if n > 1 else math.nan
    return [n, float(a[both].mean()), float(b[both].mean()), float(differences.mean()), deviation, *excluded]


def _p(row: dict[Any, Any]) -> float:
    from scipy.special import stdtr

    n, difference, deviation = row["pairs"], row["difference"], row["std"]
    if n < 2:
        return math.nan
    if deviation == 0:
        return 0.0 if difference else 1.0
    return float(2 * stdtr(n - 1, -abs(difference) * math.sqrt(n) / deviation))


def where_kinds_differ(differences: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest sparsity at which two kinds of pruning differ, and that of the largest difference.

    There is one row for each data set, or other group of `kind_differences`, and pair of kinds, with these columns:
    - those before `sparsity`, `a`, `b`.
    - `first_sparsity`, the lowest sparsity with p_holm at most 0.05; `first_difference`, the difference there.
    - `largest_at`, `largest_difference`: the same for the largest difference with p_holm at most 0.05.
    - `conclusion`, a sentence.

    The numbers are NaN if no difference has p_holm at most 0.05. With few trials, the kinds may differ at a lower
    sparsity, too: the intervals of `kind_differences` show by how much.

    Args:
        differences: the result of `kind_differences`.

    Raises:
        ValueError: if a column does not exist.

    Example:
        >>> from analysis import kind_differences, load_example_history, sweeps, where_kinds_differ
        >>> table = where_kinds_differ(kind_differences(sweeps(load_example_history("sweep")), "val_acc"))
        >>> table.drop(columns=["dataset_name", "conclusion"]).round(3)
              a       b  first_sparsity  first_difference  largest_at  largest_difference
        0  unit  weight            0.25             0.168         0.8               0.575
    """
    check_columns(differences, ["sparsity"])
    # The columns before the sparsity are the groups that the differences are not averaged over.
    by = list(differences.columns[: list(differences.columns).index("sparsity")])
    keys = [*by, "a", "b"]
    check_columns(differences, [*keys, "sparsity", "difference", "p_holm"])
    found = []
    for values, rows in differences.groupby(keys, dropna=False, sort=False):
        real = rows[rows["p_holm"] <= LEVEL].sort_values("sparsity")
        numbers = [math.nan] * 4
        text = _no_difference(rows, len(differences))
        if len(real):
            first, largest = real.iloc[0], real.iloc[int(real["difference"].abs().to_numpy().argmax())]
            numbers = [first["sparsity"], first["difference"], largest["sparsity"], largest["difference"]]
            text = _difference(first, largest, len(differences))
        where = setting_text(by, dict(zip(keys, values, strict=True)))
        found.append([*values, *numbers, f"{where}: {text}" if where else text])
    columns = [*keys, "first_sparsity", "first_difference", "largest_at", "largest_difference", "conclusion"]
    return in_order(pd.DataFrame(found, columns=columns), keys)


def _difference(first: pd.Series, largest: pd.Series, n_rows: int) -> str:
    numbers = (
        f"95% interval {first['low']:.3g} to {first['high']:.3g}, {first['pairs']} pairs, {p_text(first['p_holm'])}"
    )
    after = f" after Holm's correction for {n_rows} comparisons" if n_rows > 1 else ""
    a, b = first["a"], first["b"]
    text = f"the first clear difference between {b} and {a} pruning is at sparsity {first['sparsity']:g}: {b} minus {a}"
    text = f"{text} is {first['difference']:+.3g} ({numbers}{after})"
    if largest["sparsity"] == first["sparsity"]:
        return f"{text}."
    return f"{text}; the largest difference is {largest['difference']:+.3g}, at {largest['sparsity']:g}."


def _no_difference(rows: pd.DataFrame, n_rows: int) -> str:
    a, b = rows["a"].iloc[0], rows["b"].iloc[0]
    if rows["p"].isna().all():
        return f"{b} and {a} pruning cannot be compared: fewer than 2 pairs at each sparsity."
    text = f"no evidence that {b} and {a} pruning differ at any of {len(rows)} sparsities"
    return f"{text}, after Holm's correction for {n_rows} comparisons." if n_rows > 1 else f"{text}."
