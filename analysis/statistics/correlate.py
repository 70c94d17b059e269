"""Correlation of a metric with the hyperparameters that are numbers."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, is_numeric
from analysis.frame.condition import select
from analysis.frame.matching import what_varies
from analysis.frame.schema import varying
from analysis.frame.series import Column, column_name, with_series
from analysis.statistics.aggregate import CONFIDENCE, has_value

COLUMNS = ["axis", "n", "pearson", "low", "high", "p", "spearman", "spearman_low", "spearman_high", "spearman_p"]


def correlation(
    df: pd.DataFrame, metric: Column, axes: Sequence[str] | None = None, where: str | None = None
) -> pd.DataFrame:
    """Return the correlation of a metric with each axis of numbers, over the complete trials; one row per axis.

    Correlations are in [-1, 1]: positive if the metric rises with the axis. The result has these columns:
    - `axis`; `n`, trials that have both values.
    - `pearson`, of a linear relation; its 95% interval `low`, `high`; its `p`.
    - `spearman`, of the ranks, for any monotone relation; `spearman_low`, `spearman_high`, `spearman_p`.

    A value is NaN for fewer than 3 trials (4 for an interval) and for a constant metric. The intervals are Fisher's:
    tanh(atanh(r) ± 1.96 * sqrt(v / (n - 3))), with v = 1 for Pearson and 1.06 for Spearman. They and p assume
    independent trials. In a grid over other axes too, they only show whether the relation is visible besides those.

    Args:
        df: the trials.
        metric: the name of a column of numbers, or a Series of the same rows.
        axes: hyperparameters that are numbers; by default all that vary, except `seed`.
        where: a condition that selects trials, as `select` takes it: "prune_ratio <= 0.85".

    Raises:
        ValueError: if a column does not exist, `metric` or an axis holds no numbers, an axis has a single value, or
            `where` cannot be read or leaves no trial.

    Reference:
        Fisher, "On the probable error of a coefficient of correlation", 1921.
        Fieller, Hartley and Pearson, "Tests for rank correlation coefficients", 1957,
        https://doi.org/10.1093/biomet/44.3-4.470

    Example:
        >>> from analysis import correlation, load_example
        >>> df = load_example("quickstart")
        >>> correlation(df, "test_acc_at_best")[["axis", "n", "pearson", "low", "high", "spearman"]].round(3)
              axis   n  pearson    low   high  spearman
        0  on_perc  27    0.767  0.546  0.888      0.92
        >>> of_rigl = correlation(df, "test_acc_at_best", where="model == 'RigL'")
        >>> of_rigl[["axis", "n", "pearson", "low", "high"]].round(3)
              axis  n  pearson    low   high
        0  on_perc  9    0.687  0.042  0.928
    """
    # scipy takes longer to import than an experiment to load.
    from scipy.stats import pearsonr, spearmanr

    if isinstance(axes, str):
        raise ValueError(f"axes must be a list of names, got {axes!r}. Write [{axes!r}].")
    df, metric = with_series(df, metric), column_name(metric)
    used = df[has_value(df, metric)]
    if where is not None:
        used = select(used, where)
    found = []
    for name in _axes(used, metric, axes):
        there = used[name].notna()
        x, y = used.loc[there, name].to_numpy(float), used.loc[there, metric].to_numpy(float)
        n = len(x)
        is_defined = n > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
        pearson, p = pearsonr(x, y) if is_defined else (math.nan, math.nan)
        spearman, spearman_p = spearmanr(x, y) if is_defined else (math.nan, math.nan)
        intervals = _interval(pearson, n, 1.0), _interval(spearman, n, 1.06)
        found.append([name, n, pearson, *intervals[0], p, spearman, *intervals[1], spearman_p])
    return pd.DataFrame(found, columns=COLUMNS)


def _axes(used: pd.DataFrame, metric: str, axes: Sequence[str] | None) -> list[str]:
    if axes is None:
        names = [name for name in varying(used, besides=[metric, "seed"]) if is_numeric(used[name])]
        if not names:
            raise ValueError(f"No numeric axis varies among the {len(used)} trials. {what_varies(used, metric)}")
        return names
    check_columns(used, axes)
    for name in axes:
        if not is_numeric(used[name]):
            raise ValueError(f"axes must be columns of numbers, got {name!r}. Use compare or importance for it.")
        if used[name].nunique() < 2:
            raise ValueError(f"{name} has a single value among the {len(used)} trials. {what_varies(used, metric)}")
    return list(axes)


def _interval(r: float, n: int, variance: float) -> tuple[float, float]:
    """Return Fisher's interval: atanh(r) is close to normal with the variance / (n - 3)."""
    if n < 4 or math.isnan(r):
        return math.nan, math.nan
    if abs(r) > 1 - 1e-15:
        return float(r), float(r)
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(variance / (n - 3))
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
