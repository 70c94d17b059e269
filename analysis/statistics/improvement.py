"""The probability that a trial with one value of a hyperparameter is better than one with another value."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each
from analysis.frame.schema import with_known_config
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.values import sort_key
from analysis.statistics.aggregate import has_value
from analysis.statistics.blocks import block_keys, check_values, numbers_by_block, stratified_interval
from analysis.statistics.ranking import is_better_low

COLUMNS = ["axis", "a", "b", "blocks", "left_out_blocks", "probability", "low", "high"]
COLUMNS += ["count_a", "count_b", "left_out_a", "left_out_b"]


def probability_of_improvement(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    blocks: Column | Sequence[Column] | None = None,
    lowest: bool | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how likely a trial with value b is better than one with value a, for each pair of values.

    In a block with n trials of a and m trials of b, the probability is U / (n * m), where U is the Mann-Whitney
    statistic: the number of pairs of a trial of b and a trial of a in which b is better; a tie counts half. The
    result is the mean over the blocks, each with the same weight. It says how often b is better, not by how much;
    `compare` gives the difference.

    The result has one row for each pair of values, in the order of the values, with these columns:
    - `axis`, `a`, `b`.
    - `blocks`, those with complete trials of both; `left_out_blocks`, the others.
    - `probability`: 0.5 if neither is better, 1 if every trial of b is better than every one of a in the same block.
    - `low`, `high`: its 95% interval, from 9,999 stratified bootstrap resamples. Each draws, for both values in every
      block, as many trials as there are. NaN if one of them has a single trial in a block. The interval is not
      corrected for the number of rows.
    - `count_a`, `count_b`: the trials that are compared.
    - `left_out_a`, `left_out_b`: trials with that value that failed, are unfinished, diverged, or have a NaN or
      infinite metric.

    Args:
        df: the trials.
        axis: a hyperparameter, as the name of a column or as a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        blocks: the columns of which each combination of values is a block, such as "dataset_name"; None takes all
            hyperparameters that vary, except the axis and `seed`. Trials are compared within a block only, so metrics
            of different data sets need no common scale.
        lowest: True if lower values are better; None decides by the name.
        seed: seed of the bootstrap.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, the axis has one value or more than 20,
            `blocks` names the axis or the metric, or a Series has no name or other rows.

    Reference:
        Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the other",
        1947, https://doi.org/10.1214/aoms/1177730491
        Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021,
        https://arxiv.org/abs/2108.13264

    Example:
        >>> from analysis import load_example, probability_of_improvement
        >>> df = load_example("quickstart")
        >>> table = probability_of_improvement(df, "model", "test_acc_at_best")
        >>> table[["a", "b", "blocks", "probability", "low", "high", "count_a", "count_b"]].round(3)
              a            b  blocks  probability    low   high  count_a  count_b
        0  RigL          SET       3        0.333  0.111  0.556        9        9
        1  RigL  SparseModel       3        0.259  0.111  0.333        9        9
        2   SET  SparseModel       3        0.222  0.037  0.407        9        9
    """
    df = with_series(df, axis, metric, blocks)
    axis, metric = column_name(axis), column_name(metric)
    df = with_known_config(df)
    values = check_values(df, axis, metric)
    lowest = is_better_low(metric) if lowest is None else lowest
    names = block_keys(df, blocks, [axis, metric])
    signed = df.assign(**{metric: df[metric].astype(float) * (-1 if lowest else 1)})
    found = numbers_by_block(signed, [axis], names, metric)
    n_blocks = len(set(cell_of_each(df, names)))
    left_out = df.loc[~has_value(df, metric), axis].map(sort_key).tolist()
    rows = []
    for a, b in itertools.combinations(values, 2):
        in_a, in_b = found.get((sort_key(a),), {}), found.get((sort_key(b),), {})
        shared = sorted(in_a.keys() & in_b.keys())
        samples = [in_a[block] for block in shared] + [in_b[block] for block in shared]
        low, high = stratified_interval(samples, _probability, seed)
        rows.append(
            {
                "axis": axis,
                "a": a,
                "b": b,
                "blocks": len(shared),
                "left_out_blocks": n_blocks - len(shared),
                "probability": float(_probability(*samples)) if samples else np.nan,
                "low": low,
                "high": high,
                "count_a": sum(len(in_a[block]) for block in shared),
                "count_b": sum(len(in_b[block]) for block in shared),
                "left_out_a": left_out.count(sort_key(a)),
                "left_out_b": left_out.count(sort_key(b)),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS).astype({"a": object, "b": object})


def _probability(*samples: Any, axis: int = -1) -> Any:
    """Return the mean probability over the blocks; samples are those of a in each block, then those of b."""
    n_blocks = len(samples) // 2
    pairs = zip(samples[:n_blocks], samples[n_blocks:], strict=True)
    return np.mean([_of_block(np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)) for a, b in pairs], axis=0)


def _of_block(a: Any, b: Any) -> Any:
    """Return U / (n * m) of trials along the first axis.

    scipy.stats.mannwhitneyu takes ten times as long for the few seeds of a block.
    """
    return np.mean([((b > each) + 0.5 * (b == each)).mean(axis=0) for each in a], axis=0)
