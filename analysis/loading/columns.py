"""The rows of many trials as columns: what was logged under each name, trial after trial."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from analysis.frame.values import NESTED, as_number, flatten, is_number

Array = np.ndarray[Any, Any]


class History(NamedTuple):
    """The rows of trials, one trial after the other.

    `starts` has where the rows of each trial begin, and at its end their number: (trials + 1,). `columns` has one array
    of all rows for each name: numbers, with NaN where there is none, or objects, with None.
    """

    starts: Array
    columns: Mapping[str, Array]

    def take(self, trials: Sequence[int]) -> History:
        """The rows of some trials, in that order."""
        rows = self.rows_of(trials)
        ends = np.cumsum([0, *(self.starts[i + 1] - self.starts[i] for i in trials)])
        return History(ends, {name: column[rows] for name, column in self.columns.items()})

    def rows_of(self, trials: Sequence[int]) -> Array:
        """Where the rows of some trials are, one trial after the other."""
        return np.concatenate(
            [np.arange(0), *(np.arange(self.starts[i], self.starts[i + 1]) for i in trials)], dtype=np.int64
        )


def history_of(rows: list[dict[str, Any]], skipped: Collection[str]) -> History:
    """The history of one trial, without the names to be skipped. Inner dicts are unfolded."""
    try:
        columns = {name: column(values) for name, values in _by_name(rows).items() if name not in skipped}
    except _NestedError:
        flat = [flatten({name: value for name, value in row.items() if name not in skipped}) for row in rows]
        columns = {name: column(values) for name, values in _by_name(flat).items() if name not in skipped}
    return History(np.array([0, len(rows)]), columns)


class _NestedError(Exception):
    """A column holds dicts or lists."""


def _by_name(rows: list[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    if rows and len(rows[0]) > 1 and len(set(map(len, rows))) == 1:
        # Rows with the same names, as nearly all have.
        with contextlib.suppress(KeyError):
            return dict(zip(rows[0], zip(*map(itemgetter(*rows[0]), rows), strict=True), strict=True))
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def joined(parts: Sequence[History]) -> History:
    """Several histories as one."""
    lengths = [int(part.starts[-1]) for part in parts]
    offsets = np.cumsum([0, *lengths])
    starts = np.concatenate(
        [*(part.starts[:-1] + offset for part, offset in zip(parts, offsets, strict=False)), offsets[-1:]]
    )
    names = dict.fromkeys(name for part in parts for name in part.columns)
    return History(
        starts, {name: _joined_column([part.columns.get(name) for part in parts], lengths) for name in names}
    )


def _joined_column(parts: Sequence[Array | None], lengths: Sequence[int]) -> Array:
    """One column of several; a part that lacks it has no value in so many rows."""
    if all(part is None or part.dtype != object for part in parts):
        missing = np.full(max(lengths), math.nan)
        return np.concatenate([missing[:n] if part is None else part for part, n in zip(parts, lengths, strict=True)])
    values: list[Any] = []
    for part, n in zip(parts, lengths, strict=True):
        values += [None] * n if part is None else part.tolist()
    return objects(values)


def column(values: Sequence[Any]) -> Array:
    """An array of numbers if all are some, else of objects as they are."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.array(values)
    if not NESTED.isdisjoint(kinds):
        raise _NestedError
    if kinds == {int} or kinds == {int, float}:
        try:
            return np.array(values, np.int64 if float not in kinds else float)
        except OverflowError:
            # Beyond 64 bits, or beyond what a float can hold.
            return np.array([float(str(value)) for value in values])
    return objects(values)


def objects(values: Sequence[Any]) -> Array:
    """An array of objects, tuples among them: np.array would unfold those."""
    result = np.empty(len(values), object)
    result[:] = values
    return result


def is_numeric(values: Array) -> bool:
    """Whether anything in a column is a number, whatever else is in it."""
    return values.dtype != object or any(map(is_number, values))


def numbers(values: Array) -> Array:
    """A column as numbers, NaN where a value is missing or none."""
    if values.dtype != object:
        return values
    found = [as_number(value) for value in values]
    return column([math.nan if number is None else number for number in found]) if found else np.empty(0)


class Summary(NamedTuple):
    """Of each trial: the highest number, its row counted from 0, the lowest, its row, the median, the last row's."""

    highest: Array
    highest_at: Array
    lowest: Array
    lowest_at: Array
    median: Array
    last: Array


def summarise(values: Array, starts: Array) -> Summary:
    """What is shown of a column of numbers. Of equal ones the first counts; NaN counts in `last` only.

    A trial that has no number has NaN everywhere. Shapes: values (rows,), starts (trials + 1,); each result (trials,).
    """
    n_rows, n_trials = len(values), len(starts) - 1
    if n_rows == 0:
        return Summary(*[np.full(n_trials, math.nan)] * 6)
    trial = np.repeat(np.arange(n_trials), np.diff(starts))
    # Trial by trial, in each from the lowest on, NaN at its end; of equal ones in the order of rows.
    order = np.lexsort((values, trial))
    ordered = values[order]
    n_present = np.bincount(trial[~np.isnan(values)], minlength=n_trials)
    begins = np.r_[True, (ordered[1:] != ordered[:-1]) | (trial[1:] != trial[:-1])]
    first_equal = np.maximum.accumulate(np.where(begins, np.arange(n_rows), 0))
    # Where nothing is present any row will do: it is not shown.
    first = np.minimum(starts[:-1], n_rows - 1)
    top = first_equal[np.maximum(first + n_present - 1, 0)]
    middle = [first + np.maximum(n_present - 1, 0) // 2, np.minimum(first + n_present // 2, n_rows - 1)]
    with np.errstate(invalid="ignore"):
        median = (ordered[middle[0]] + ordered[middle[1]]) / 2
    last = values[np.maximum(starts[1:] - 1, 0)]
    every = [ordered[top], order[top] - first, ordered[first], order[first] - first, median, last]
    if n_present.all():
        return Summary(*every)
    return Summary(*(np.where(n_present > 0, each, math.nan) for each in every))
