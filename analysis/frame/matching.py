"""Matching of trials: groups of trials that agree in every other hyperparameter."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import varying
from analysis.frame.suggest import unknown
from analysis.frame.values import hashable, sort_key
from analysis.frame.words import value_text


def values_of(column: pd.Series) -> list[Any]:
    """Return the distinct values of a column in order, missing values last."""
    return list({sort_key(value): value for value in sorted(column, key=sort_key)}.values())


def pairs_to_compare(values: Sequence[Any], axis: str, against: Any = None) -> list[tuple[int, int]]:
    """Return the positions a and b of each pair of values to compare.

    Args:
        values: the values of the axis, in order.
        axis: its name.
        against: the value that is a in each pair, or its text; None for all pairs, each in the order of the values.

    Raises:
        ValueError: if `against` is not among the values.
    """
    positions = range(len(values))
    if against is None:
        return list(itertools.combinations(positions, 2))
    key, texts = sort_key(hashable(against)), [value_text(value) for value in values]
    found = [i for i in positions if sort_key(values[i]) == key] or [i for i in positions if texts[i] == against]
    if not found:
        raise ValueError(unknown(f"value of {axis}", against, texts))
    return [(found[0], i) for i in positions if i != found[0]]


def others(df: pd.DataFrame, axis: str, metric: str) -> list[str]:
    """Return the hyperparameters that vary besides the axis, including `seed`."""
    return list(varying(df, besides=[axis, metric]))


def cell_of_each(df: pd.DataFrame, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return a sortable key for each row. Rows with equal values in all columns have equal keys."""
    if not names:
        return [()] * len(df)
    return list(zip(*([sort_key(value) for value in df[name]] for name in names), strict=True))


def check_axis(df: pd.DataFrame, axis: str, metric: str) -> None:
    """Raise a ValueError if the axis is not a column with several values, or the metric not a column of numbers."""
    check_columns(df, [axis, metric, "status"])
    check_numbers(df, metric)
    if axis in (metric, "status"):
        raise ValueError(f"axis must be a hyperparameter, got {axis!r}. {what_varies(df, metric)}")
    values = values_of(df[axis])
    if len(values) < 2:
        has = f"only the value {values[0]!r}" if values else "no value, because there is no trial"
        raise ValueError(f"{axis} must have several values to compare, but has {has}. {what_varies(df, metric)}")


def what_varies(df: pd.DataFrame, metric: str) -> str:
    """Return the sentence of an error message that lists the hyperparameters with several values."""
    return f"Hyperparameters that vary: {', '.join(varying(df, besides=[metric])) or 'none'}."


def listed(names: Iterable[object]) -> str:
    """Return the names as a Python list: ["a", "b"]."""
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
