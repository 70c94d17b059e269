"""Blocks: data sets, or other settings, in each of which the values of a hyperparameter are compared."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.frame.matching import cell_of_each, check_axis, values_of
from analysis.frame.schema import varying
from analysis.frame.series import Column, column_names
from analysis.frame.suggest import unknown
from analysis.statistics.aggregate import CONFIDENCE, has_value

Numbers = NDArray[np.float64]
Cell = tuple[Any, ...]
# Of an axis: 20 values have 190 pairs.
MOST_VALUES = 20
# Of the bootstrap, and the numbers that are drawn at once.
RESAMPLES, BATCH = 9999, 10**6


def check_values(df: pd.DataFrame, axis: str, metric: str) -> list[Any]:
    """Return the values of the axis in order.

    Raises:
        ValueError: if a column does not exist, the metric holds no numbers, or the axis has one value or more than 20.
    """
    check_axis(df, axis, metric)
    values = values_of(df[axis])
    if len(values) > MOST_VALUES:
        raise ValueError(f"{axis} must have at most {MOST_VALUES} values, but has {len(values)}. Filter the trials.")
    return values


def block_keys(df: pd.DataFrame, blocks: Column | Sequence[Column] | None, besides: Sequence[str]) -> list[str]:
    """Return the columns whose values name a block; for None all hyperparameters that vary, except `seed`.

    Args:
        df: the trials.
        blocks: the columns.
        besides: columns that cannot be blocks.

    Raises:
        ValueError: if a column does not exist, is named twice or in `besides`, or there is none.
    """
    if blocks is None:
        return list(varying(df, besides=[*besides, "seed"]))
    names = column_names(blocks)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"blocks must be at least one column, each named once, got {names}.")
    for name in names:
        if name not in df:
            hint = "Pass the columns that tell data sets or settings apart, such as blocks=['on_perc']."
            raise ValueError(f"{unknown('column', name, [str(column) for column in df.columns])} {hint}")
        if name in besides:
            raise ValueError(f"blocks must not name a column that has another role, got {name!r}. Name other columns.")
    return names


def numbers_by_block(
    df: pd.DataFrame, keys: Sequence[str], blocks: Sequence[str], metric: str
) -> dict[Cell, dict[Cell, Numbers]]:
    """Return the metric of the complete trials, for each combination of keys and each block.

    Blocks and numbers are sorted, so that the order of the trials changes neither sums nor resamples.
    """
    used = df[has_value(df, metric)]
    found: dict[Cell, dict[Cell, list[float]]] = {}
    cells = zip(cell_of_each(used, keys), cell_of_each(used, blocks), used[metric].astype(float), strict=True)
    for group, block, number in cells:
        found.setdefault(group, {}).setdefault(block, []).append(number)
    return {
        group: {block: np.sort(numbers) for block, numbers in sorted(of_group.items())}
        for group, of_group in found.items()
    }


def stratified_interval(samples: Sequence[Numbers], statistic: Callable[..., Any], seed: int) -> tuple[Any, Any]:
    """Return the 95% interval of a statistic of several samples, each of which is resampled on its own.

    The limits are percentiles of 9,999 resamples. They are NaN if a sample has a single number, or there is none.

    Args:
        samples: the numbers of each block, along the last axis.
        statistic: a function of the samples and the keyword `axis`.
        seed: of the resamples.

    Reference:
        Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021,
        https://arxiv.org/abs/2108.13264
    """
    from scipy.stats import bootstrap

    if not samples or min(sample.shape[-1] for sample in samples) < 2:
        return np.nan, np.nan
    return tuple(
        bootstrap(
            samples,
            statistic,
            axis=-1,
            n_resamples=RESAMPLES,
            batch=1 + BATCH // sum(sample.size for sample in samples),
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    )
