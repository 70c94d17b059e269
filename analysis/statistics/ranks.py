"""Ranks of methods over data sets, or over other blocks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each, what_varies
from analysis.frame.schema import with_known_config, with_schema
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.values import sort_key
from analysis.frame.words import plural, value_text
from analysis.statistics.aggregate import NOTED, agg, key_names
from analysis.statistics.blocks import Numbers, block_keys, check_values, numbers_by_block
from analysis.statistics.ranking import is_better_low

COLUMNS = ["rank", "best_in", "blocks", "left_out_blocks", "count", *NOTED]
# Means with the same significant digits are equal: rounding alone makes no ranks.
DIGITS = 12


def mean_ranks(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    blocks: Column | Sequence[Column] | None = "dataset_name",
    lowest: bool | None = None,
) -> pd.DataFrame:
    """Return the mean rank of each value of a hyperparameter over data sets or other blocks, best first.

    In each block, the complete trials of a value are averaged: over all seeds, and over every other hyperparameter
    that does not define blocks. The values are then ranked: 1 is the best, and equal means share their mean rank.
    Accuracies of different data sets are on different scales, so their mean says little; ranks avoid that. A block in
    which a value has no complete trial is left out for all values.

    The result has one row for each value, with these columns:
    - the axis.
    - `rank`, its mean over the blocks, from 1 to the number of values.
    - `best_in`, blocks in which no other value is better.
    - `blocks`, `left_out_blocks`.
    - `count`, `failed`, `stopped`, `incomplete`, `diverged`, `without_value`, `at_chance`, as in `agg`.

    Args:
        df: the trials.
        axis: a hyperparameter, such as "model", as the name of a column or as a Series of the same rows.
        metric: the name of a column of numbers, or a Series of the same rows.
        blocks: the columns of which each combination of values is a block; None takes all hyperparameters that vary,
            except the axis and `seed`. Tests assume independent blocks: data sets are independent, densities of one
            data set hardly.
        lowest: True if lower values are better; None decides by the name.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, the axis has one value or more than 20,
            there are fewer than 2 blocks with all values, `blocks` names the axis or the metric, or a Series has no
            name or other rows.

    Reference:
        Demšar, "Statistical comparisons of classifiers over multiple data sets", 2006,
        https://www.jmlr.org/papers/v7/demsar06a.html

    Example:
        >>> from analysis import load_example, mean_ranks
        >>> df = load_example("quickstart")
        >>> mean_ranks(df, "model", "test_acc_at_best", blocks=["on_perc", "seed"]).iloc[:, :6].round(3)
                 model   rank  best_in  blocks  left_out_blocks  count
        0         RigL  1.667        5       9                0      9
        1          SET  1.778        2       9                0      9
        2  SparseModel  2.556        2       9                0      9
    """
    df, found = block_ranks(df, axis, metric, blocks, lowest)
    table = agg(df, key_names(df, found.axis, taken=COLUMNS), found.metric)
    table["rank"], table["best_in"] = found.ranks.mean(axis=0), (found.means == found.best).sum(axis=0)
    table["blocks"], table["left_out_blocks"] = len(found.ranks), found.n_left_out
    table = table[[found.axis, *COLUMNS]].sort_values("rank", kind="stable", ignore_index=True)
    return with_schema(table, [found.axis], COLUMNS)


class BlockRanks(NamedTuple):
    """The means and ranks of the values of an axis, in the blocks in which each has a complete trial."""

    axis: str
    metric: str
    values: list[Any]  # in order; each is a column of the arrays
    means: Numbers  # (blocks, values), higher is better
    ranks: Numbers  # (blocks, values), 1 is the best
    n_left_out: int  # blocks without a value

    @property
    def best(self) -> Numbers:
        """The best mean of each block, as a column."""
        best: Numbers = self.means.max(axis=1, keepdims=True)
        return best


def block_ranks(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    blocks: Column | Sequence[Column] | None,
    lowest: bool | None,
) -> tuple[pd.DataFrame, BlockRanks]:
    """Return the trials with any Series as a column, and the means and ranks of the values in each block.

    Args and errors are those of `mean_ranks`.
    """
    from scipy.stats import rankdata

    df = with_series(df, axis, metric, blocks)
    axis, metric = column_name(axis), column_name(metric)
    df = with_known_config(df)
    values = check_values(df, axis, metric)
    names = block_keys(df, blocks, [axis, metric])
    found = numbers_by_block(df, [axis], names, metric)
    of_value = [found.get((sort_key(value),), {}) for value in values]
    all_blocks = sorted(set(cell_of_each(df, names)))
    if len(all_blocks) < 2:
        has = f"{', '.join(names)} has a single value" if names else "no other hyperparameter varies"
        hint = f"{what_varies(df, metric)} Pass some of them as blocks, or load more data sets."
        raise ValueError(f"There must be at least 2 blocks to rank in, but {has}. {hint}")
    shared = [block for block in all_blocks if all(block in each for each in of_value)]
    if len(shared) < 2:
        fewest = min(range(len(values)), key=lambda i: len(of_value[i]))
        raise ValueError(
            f"At least 2 blocks must have a complete trial of each {axis}, got {len(shared)} of {len(all_blocks)}. "
            f"{axis}={value_text(values[fewest])} has one in {plural(len(of_value[fewest]), 'block')}: "
            "leave it out, or run its trials."
        )
    means = np.array([[each[block].mean() for each in of_value] for block in shared])
    lowest = is_better_low(metric) if lowest is None else lowest
    means = significant(means, DIGITS) * (-1 if lowest else 1)
    ranks = rankdata(-means, axis=1)
    return df, BlockRanks(axis, metric, values, means, ranks, len(all_blocks) - len(shared))


def significant(numbers: Numbers, digits: int) -> Numbers:
    """Return the numbers rounded to so many significant digits."""
    return np.array([float(f"{number:.{digits}g}") for number in numbers.flat]).reshape(numbers.shape)
