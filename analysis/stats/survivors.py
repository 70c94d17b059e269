"""What failed trials do to a comparison."""

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each, check_axis, others, values_of
from analysis.frame.values import sort_key
from analysis.stats.aggregate import has_value, in_order, key_names

TREATMENTS = ["complete", "balanced", "failed_as_worst"]
COLUMNS = ["n", "failed", "mean_complete", "mean_balanced", "n_balanced", "mean_failed_as_worst"]
RANKS = [f"rank_{name}" for name in TREATMENTS]


def survivorship(df: pd.DataFrame, axis: str, metric: str, *, lowest: bool = False) -> pd.DataFrame:
    """How the values of a hyperparameter compare, by what is done about the trials that failed.

    If one value makes trials fail where the others do badly, its mean over the survivors flatters it. One row for
    each value, in their order. Columns:
    - the axis; `n`, trials with a value; `failed`, trials with status "error" or whose metric is no finite number.
    - `mean_complete`: over the n trials.
    - `mean_balanced`: over the `n_balanced` of them in those combinations of the other hyperparameters that vary
      (`seed` included) in which every value of the axis was tried and every trial has a value: like with like.
    - `mean_failed_as_worst`: over the n trials and the failed ones, each of these counted as the worst value
      that any trial of `df` has.
    - `rank_complete`, `rank_balanced`, `rank_failed_as_worst`: 1 is best, equal means share a rank. If the
      columns differ, the failures decide the comparison.

    Unfinished trials count nowhere, but their combination is not balanced. A mean of no trial is nan.

    Args:
        lowest: whether lower values of the metric are better.

    Raises: ValueError if a column does not exist, `metric` holds no numbers, or the axis has a single value.
    """
    check_axis(df, axis, metric)
    key_names(df, axis, taken=[*COLUMNS, *RANKS])
    is_used = has_value(df, metric)
    has_failed = (df["status"] == "error") | ((df["status"] == "complete") & ~is_used)
    values = df[metric].astype(float)
    is_balanced = is_used & _is_balanced(df, axis, metric, is_used)
    worst = values[is_used].max() if lowest else values[is_used].min()
    places = np.array([str(sort_key(value)) for value in df[axis]])
    rows = []
    for value in values_of(df[axis]):
        here = places == str(sort_key(value))
        rows.append(
            {
                axis: value,
                "n": int((here & is_used).sum()),
                "failed": int((here & has_failed).sum()),
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
    """Whether in a trial's combination of the other hyperparameters every value of the axis has values only."""
    cells = cell_of_each(df, others(df, axis, metric))
    places = [sort_key(value) for value in df[axis]]
    there: dict[object, set[object]] = {}
    for cell, place in zip(cells, places, strict=True):
        there.setdefault(cell, set()).add(place)
    spoiled = {cell for cell, used in zip(cells, is_used, strict=True) if not used}
    everywhere = len(set(places))
    return pd.Series([len(there[cell]) == everywhere and cell not in spoiled for cell in cells], index=df.index)
