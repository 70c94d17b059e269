"""Performance profiles: the share of trials above each threshold of a metric."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.schema import with_known_config, with_schema
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.values import sort_key
from analysis.statistics.aggregate import has_value, key_names
from analysis.statistics.blocks import block_keys, check_values, numbers_by_block, stratified_interval
from analysis.statistics.ranking import is_better_low

COLUMNS = ["threshold", "share", "low", "high", "count", "left_out"]
N_THRESHOLDS = 51


def performance_profile(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    blocks: Column | Sequence[Column] | None = None,
    thresholds: Sequence[float] | None = None,
    lowest: bool | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the share of the trials that are better than each threshold, for each value of a hyperparameter.

    The share at a threshold t is that of the complete trials with metric > t, or metric < t if lower values are
    better. A profile shows the whole distribution: a value whose profile is nowhere below another one is at least as
    good at every quantile. If two profiles cross, which value is better depends on the result that you need. The
    area under a profile is the mean.

    The result has one row for each value and threshold, with these columns:
    - the axis; `threshold`.
    - `share`, from 1 at low thresholds to 0 at high ones; the other way round if lower values are better.
    - `low`, `high`: its 95% interval at this threshold, from 9,999 stratified bootstrap resamples. Each draws from
      every block as many trials as it has. The interval is NaN if a block has a single trial. Its width is 0 where, in
      each block, all trials or none are better.
    - `count`, the trials of the value; `left_out`, those that failed, are unfinished, diverged, or have a NaN or
      infinite metric. If it differs between values, see `survivorship`.

    The trials of all blocks are pooled as they are. Accuracies of different data sets are on different scales: pass a
    normalised metric as a Series, or use `mean_ranks`.

    Args:
        df: the trials.
        axis: a hyperparameter, as the name of a column or as a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        blocks: the columns of which each combination of values is a block, such as "dataset_name"; None takes all
            hyperparameters that vary, except the axis and `seed`.
        thresholds: None takes 51 from the lowest to the highest metric.
        lowest: True if lower values are better; None decides by the name.
        seed: seed of the bootstrap.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers or no complete trial has one, the axis has
            one value or more than 20, a threshold is not finite, `blocks` names the axis or the metric, or a
            Series has no name or other rows.

    Reference:
        Dolan and Moré, "Benchmarking optimization software with performance profiles", 2002,
        https://doi.org/10.1007/s101070100263
        Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021,
        https://arxiv.org/abs/2108.13264

    Example:
        >>> from analysis import load_example, performance_profile
        >>> df = load_example("quickstart")
        >>> performance_profile(df, "model", "test_acc_at_best", thresholds=[0.5, 0.9]).round(3)
                 model  threshold  share    low   high  count  left_out
        0         RigL        0.5  1.000  1.000  1.000      9         0
        1         RigL        0.9  0.667  0.667  0.667      9         0
        2          SET        0.5  0.889  0.667  1.000      9         0
        3          SET        0.9  0.333  0.333  0.333      9         0
        4  SparseModel        0.5  0.667  0.667  0.667      9         0
        5  SparseModel        0.9  0.333  0.333  0.333      9         0
    """
    df = with_series(df, axis, metric, blocks)
    axis, metric = column_name(axis), column_name(metric)
    df = with_known_config(df)
    values = check_values(df, axis, metric)
    key_names(df, axis, taken=COLUMNS)
    lowest = is_better_low(metric) if lowest is None else lowest
    is_used = has_value(df, metric)
    found = numbers_by_block(df, [axis], block_keys(df, blocks, [axis, metric]), metric)
    limits = _limits(df.loc[is_used, metric], metric, thresholds)
    places = df[axis].map(sort_key)
    parts = []
    for value in values:
        samples = list(found.get((sort_key(value),), {}).values())
        # One row for each threshold: all are resampled together.
        better = [((sample < limits) if lowest else (sample > limits)).astype(float) for sample in samples]
        share = _share(*better) if samples else np.nan
        low, high = stratified_interval(better, _share, seed)
        left_out = int((~is_used & (places == sort_key(value))).sum())
        part = {"threshold": limits[:, 0], "share": share, "low": low, "high": high}
        part |= {"count": sum(map(len, samples)), "left_out": left_out}
        parts.append(pd.DataFrame(part).assign(**{axis: pd.Series([value] * len(limits))}))
    return with_schema(pd.concat(parts, ignore_index=True)[[axis, *COLUMNS]], [axis], COLUMNS)


def _share(*samples: Any, axis: int = -1) -> Any:
    return np.concatenate(samples, axis).mean(axis)


def _limits(numbers: pd.Series, metric: str, thresholds: Sequence[float] | None) -> Any:
    """Return the thresholds in order, as a column."""
    if numbers.empty:
        raise ValueError(f"No complete trial has a finite {metric}, so there is no profile.")
    if thresholds is None:
        return np.unique(np.linspace(numbers.min(), numbers.max(), N_THRESHOLDS))[:, None]
    limits = np.unique(np.asarray(thresholds, dtype=float))
    if not len(limits) or not np.isfinite(limits).all():
        raise ValueError(f"thresholds must be at least one number, each finite, got {list(thresholds)}.")
    return limits[:, None]
