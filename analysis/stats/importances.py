"""Which hyperparameters a metric depends on most."""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each, values_of, what_varies
from analysis.frame.schema import varying
from analysis.frame.values import sort_key
from analysis.stats.aggregate import has_value

TREES = 200


def importance(df: pd.DataFrame, metric: str) -> pd.DataFrame:
    """How much each hyperparameter tells of a metric, and in which direction; the most important first.

    As in the panel of Weights & Biases: a random forest is trained to predict the metric from the hyperparameters;
    an importance is the share of the variance that the forest explains by splitting on it. They add up to 1.
    Beside it stands the linear correlation, because an importance has no direction, and says nothing of which value
    is best. The forest sees interactions and curves that a correlation does not. It also fits noise,
    and finds more of it in a parameter with many values than in a switch: compare each with the row of `seed`.

    One row for each hyperparameter that varies among the complete trials. Columns: `parameter`, `importance`,
    `correlation` (Pearson; a boolean is 0 or 1, one of two texts likewise in the order of the alphabet; nan for more
    than two texts), its `p`, and `n`, the trials that have both. Texts, tuples and booleans are one column for each
    of their values in the forest, summed here.

    Raises: ValueError if a column does not exist, `metric` holds no numbers, or nothing varies among the trials.

    Reference: Breiman, "Random forests", 2001, https://doi.org/10.1023/A:1010933404324
    """
    # scipy and scikit-learn take longer to import than an experiment to load.
    from scipy.stats import pearsonr
    from sklearn.ensemble import RandomForestRegressor

    used = df[has_value(df, metric)]
    names = list(varying(used, besides=[metric]))
    if not names:
        raise ValueError(f"no hyperparameter varies among the {len(used)} complete trials; {what_varies(df, metric)}")
    target = used[metric].to_numpy(float)
    # The forest draws rows by their position: in one order, it gives one result.
    rows = sorted(zip(cell_of_each(used, names), target, range(len(used)), strict=True))
    order = np.array([i for _, _, i in rows])
    blocks = {name: _features(used[name]) for name in names}
    forest = RandomForestRegressor(TREES, random_state=0)
    forest.fit(np.hstack(list(blocks.values()))[order], target[order])
    ends = np.cumsum([block.shape[1] for block in blocks.values()])[:-1]
    found = []
    for name, shares in zip(names, np.split(forest.feature_importances_, ends), strict=True):
        numbers = _as_numbers(used[name])
        there = np.isfinite(numbers)
        x, y = numbers[there], target[there]
        is_defined = len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
        r, p = pearsonr(x, y) if is_defined else (math.nan, math.nan)
        found.append([name, float(shares.sum()), float(r), float(p), int(used[name].notna().sum())])
    table = pd.DataFrame(found, columns=["parameter", "importance", "correlation", "p", "n"])
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _features(column: pd.Series) -> np.ndarray:
    """The columns that stand for a hyperparameter: its numbers (nan where missing), or one for each value."""
    if _is_number(column):
        return column.astype(float).to_numpy()[:, None]
    places = [sort_key(value) for value in column]
    return np.array([[place == sort_key(value) for value in values_of(column)] for place in places], dtype=float)


def _as_numbers(column: pd.Series) -> np.ndarray:
    """What is correlated: the numbers; 0 and 1 for two other values; nan for more than two."""
    if _is_number(column):
        return column.astype(float).to_numpy()
    values = values_of(column.dropna())
    place = {sort_key(value): float(i) for i, value in enumerate(values)} if len(values) == 2 else {}
    return np.array([place.get(sort_key(value), math.nan) for value in column])


def _is_number(column: pd.Series) -> bool:
    present: list[Any] = list(column.dropna())
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present)
