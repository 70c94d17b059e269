"""Importance of the hyperparameters: the share of a metric's variance that a random forest explains by each."""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each, values_of, what_varies
from analysis.frame.schema import varying
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.values import sort_key
from analysis.statistics.aggregate import has_value

TREES = 200


def importance(df: pd.DataFrame, metric: Column) -> pd.DataFrame:
    """Return how much a metric depends on each hyperparameter, and in which direction; the most important first.

    A random forest is trained to predict the metric from the hyperparameters, as in the parameter importance panel of
    Weights & Biases. An importance is the share of the explained variance that comes from splits on the
    hyperparameter; all add up to 1. It sees interactions and curves that a correlation does not see. It has no
    direction, so the linear correlation is given too. The forest also fits noise, and more of it for hyperparameters
    with many values: compare each importance with that of `seed`.

    The result has one row for each hyperparameter that varies among the complete trials, with these columns:
    - `parameter`, `importance`.
    - `correlation`: Pearson's. A boolean counts as 0 or 1, and so do two texts in alphabetical order. NaN for more
      than two texts, fewer than 3 trials, or a constant metric.
    - `p` of the correlation; `n`, the trials that have both values.

    In the forest each value of a text, tuple or boolean is a feature of its own; their importances are summed.

    Args:
        df: the trials.
        metric: the name of a column of numbers, or a Series of the same rows.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or nothing varies among the trials.

    Reference:
        Breiman, "Random forests", 2001, https://doi.org/10.1023/A:1010933404324

    Example:
        >>> from analysis import importance, load_example
        >>> importance(load_example("quickstart"), "test_acc_at_best").round(2)
          parameter  importance  correlation     p   n
        0   on_perc        0.78         0.77  0.00  27
        1     model        0.16          NaN   NaN  27
        2      seed        0.06         0.11  0.58  27
    """
    # scipy and scikit-learn take longer to import than an experiment to load.
    from scipy.stats import pearsonr
    from sklearn.ensemble import RandomForestRegressor

    df, metric = with_series(df, metric), column_name(metric)
    used = df[has_value(df, metric)]
    names = list(varying(used, besides=[metric]))
    if not names:
        raise ValueError(f"No hyperparameter varies among the {len(used)} complete trials. {what_varies(df, metric)}")
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
    """Return the features of a hyperparameter: its numbers (NaN where missing), or one feature for each value."""
    if _is_number(column):
        return column.astype(float).to_numpy()[:, None]
    keys = [sort_key(value) for value in values_of(column)]
    return np.array([[place == key for key in keys] for place in map(sort_key, column)], dtype=float)


def _as_numbers(column: pd.Series) -> np.ndarray:
    """Return the numbers to correlate: 0 and 1 for two values that are not numbers, NaN for more than two."""
    if _is_number(column):
        return column.astype(float).to_numpy()
    values = values_of(column.dropna())
    place = {sort_key(value): float(i) for i, value in enumerate(values)} if len(values) == 2 else {}
    return np.array([place.get(sort_key(value), math.nan) for value in column])


def _is_number(column: pd.Series) -> bool:
    present: list[Any] = list(column.dropna())
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present)
