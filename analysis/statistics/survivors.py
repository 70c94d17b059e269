"""Survivorship: the influence of failed trials on a comparison."""

import pandas as pd

from analysis.frame.matching import cell_of_each, check_axis, others, values_of
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.values import sort_key
from analysis.statistics.aggregate import has_value, in_order, key_names
from analysis.statistics.chance import is_at_chance

TREATMENTS = ["complete", "balanced", "failed_as_worst"]
COLUMNS = ["n", "failed", "at_chance", "mean_complete", "mean_balanced", "n_balanced", "mean_failed_as_worst"]
RANKS = [f"rank_{name}" for name in TREATMENTS]


def survivorship(df: pd.DataFrame, axis: Column, metric: Column, *, lowest: bool = False) -> pd.DataFrame:
    """Compare the values of a hyperparameter under three treatments of failed trials.

    If trials with one value fail in settings where all values do badly, the mean over its survivors is too good. The
    result has one row for each value, in order, with these columns:
    - the axis.
    - `n`, trials with a finite metric that did not diverge; `failed`, trials with status "error", that diverged, or
      with a NaN or infinite metric; `at_chance`, of the n trials those that never left chance level.
    - `mean_complete`: mean over the n trials.
    - `mean_balanced`: mean over the `n_balanced` trials in balanced combinations of the other hyperparameters, `seed`
      included. A combination is balanced if every value of the axis was tried and every trial has a finite metric.
    - `mean_failed_as_worst`: mean over the n trials and the failed ones, which count as the worst value of any trial
      of `df`.
    - `rank_complete`, `rank_balanced`, `rank_failed_as_worst`: 1 is best; equal means share a rank. If the ranks
      differ, the failures decide the comparison.

    Unfinished trials are not counted, but their combination is not balanced. A mean of no trial is NaN.

    Args:
        df: the trials.
        axis: a hyperparameter, as the name of a column or as a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        lowest: True if lower values of the metric are better.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, the axis has a single value, or a Series has
            no name or other rows.

    Example:
        Suppose that the worst trials of SET had failed. The mean over its survivors is then better than that of RigL.

        >>> from analysis import load_example, survivorship
        >>> df = load_example("quickstart")
        >>> df.loc[(df["model"] == "SET") & (df["on_perc"] == 0.02), "status"] = "error"
        >>> table = survivorship(df, "model", "test_acc_at_best")
        >>> table.filter(regex="^(model|n|failed)$|mean|n_balanced").round(3)
                 model  n  failed  mean_complete  mean_balanced  n_balanced  mean_failed_as_worst
        0         RigL  9       0          0.841          0.925           6                 0.841
        1          SET  6       3          0.906          0.906           6                 0.702
        2  SparseModel  9       0          0.695          0.881           6                 0.695
        >>> table.filter(regex="model|rank")
                 model  rank_complete  rank_balanced  rank_failed_as_worst
        0         RigL            2.0            1.0                   1.0
        1          SET            1.0            2.0                   2.0
        2  SparseModel            3.0            3.0                   3.0
    """
    df = with_series(df, axis, metric)
    axis, metric = column_name(axis), column_name(metric)
    check_axis(df, axis, metric)
    key_names(df, axis, taken=[*COLUMNS, *RANKS])
    is_used = has_value(df, metric)
    has_failed = (df["status"] == "error") | ((df["status"] == "complete") & ~is_used)
    values = df[metric].astype(float)
    is_balanced = is_used & _is_balanced(df, axis, metric, is_used)
    worst = values[is_used].max() if lowest else values[is_used].min()
    places = [sort_key(value) for value in df[axis]]
    rows = []
    for value in values_of(df[axis]):
        here = pd.Series([place == sort_key(value) for place in places], index=df.index)
        rows.append(
            {
                axis: value,
                "n": int((here & is_used).sum()),
                "failed": int((here & has_failed).sum()),
                "at_chance": int((here & is_used & is_at_chance(df)).sum()),
                "mean_complete": values[here & is_used].mean(),
                "mean_balanced": values[here & is_balanced].mean(),
                "n_balanced": int((here & is_balanced).sum()),
                "mean_failed_as_worst": values.where(is_used, worst)[here & (is_used | has_failed)].mean(),
            }
        )
    table = pd.DataFrame(rows, columns=[axis, *COLUMNS])
    for treatment, rank in zip(TREATMENTS, RANKS, strict=True):
        # Rounded, or the order in which equal numbers were added would decide.
        table[rank] = table[f"mean_{treatment}"].round(12).rank(method="min", ascending=lowest)
    return in_order(table, [axis])


def _is_balanced(df: pd.DataFrame, axis: str, metric: str, is_used: pd.Series) -> pd.Series:
    """Mark the trials in balanced combinations: all values of the axis were tried, and all metrics are finite."""
    cells = cell_of_each(df, others(df, axis, metric))
    places = [sort_key(value) for value in df[axis]]
    there: dict[object, set[object]] = {}
    for cell, place in zip(cells, places, strict=True):
        there.setdefault(cell, set()).add(place)
    spoiled = {cell for cell, used in zip(cells, is_used, strict=True) if not used}
    everywhere = len(set(places))
    return pd.Series([len(there[cell]) == everywhere and cell not in spoiled for cell in cells], index=df.index)
