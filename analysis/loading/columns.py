"""The rows of many trials as columns: one array for each logged name."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from analysis.frame.values import NESTED, as_number, flatten, from_text, is_number

Array = np.ndarray[Any, Any]


class Missing(NamedTuple):
    """The number of values of columns that may be missing: some for each value that is there, and some always."""

    per_value: int
    always: int


# A program that writes the epoch into the name of a metric would fill the memory otherwise. Trials of several
# experiments have different names for good reasons.
MISSING_IN_TRIAL, MISSING_IN_ALL = Missing(10, 1_000_000), Missing(20, 50_000_000)


class History(NamedTuple):
    """The rows of trials, one trial after the other.

    `starts` has the first row of each trial, and at its end the number of rows: (trials + 1,). `columns` has one array
    of all rows for each name: numbers, with NaN for missing ones, or objects, with None. `n_left_out` names are not
    among them, because they would fill the memory with missing values.
    """

    starts: Array
    columns: Mapping[str, Array]
    n_left_out: int = 0

    def take(self, trials: Sequence[int]) -> History:
        """Return the rows of some trials, in that order."""
        rows = self.rows_of(trials)
        ends = np.cumsum([0, *(self.starts[i + 1] - self.starts[i] for i in trials)])
        return History(ends, {name: column[rows] for name, column in self.columns.items()})

    def rows_of(self, trials: Sequence[int]) -> Array:
        """Return the places of the rows of some trials, one trial after the other."""
        return np.concatenate(
            [np.arange(0), *(np.arange(self.starts[i], self.starts[i + 1]) for i in trials)], dtype=np.int64
        )


def history_of(rows: list[dict[str, Any]], skipped: Collection[str]) -> History:
    """Return the history of one trial, without the skipped names. Inner dicts are flattened."""
    try:
        by_name, n_left_out = _by_name(rows)
        columns = {name: column(values) for name, values in by_name.items() if name not in skipped}
    except _NestedError:
        flat = [flatten({name: value for name, value in row.items() if name not in skipped}) for row in rows]
        by_name, n_left_out = _by_name(flat)
        columns = {name: column(values) for name, values in by_name.items() if name not in skipped}
    return History(np.array([0, len(rows)]), columns, n_left_out)


class _NestedError(Exception):
    """A column holds dicts or lists."""


def _by_name(rows: list[dict[str, Any]]) -> tuple[dict[str, Sequence[Any]], int]:
    """Return the values of each name, and the number of names that are left out."""
    if rows and len(rows[0]) > 1 and len(set(map(len, rows))) == 1:
        # Nearly all trials have rows with the same names.
        with contextlib.suppress(KeyError):
            return dict(zip(rows[0], zip(*map(itemgetter(*rows[0]), rows), strict=True), strict=True)), 0
    counts = Counter(name for row in rows for name in row)
    names = frequent(counts, len(rows), MISSING_IN_TRIAL)
    return {name: [row.get(name) for row in rows] for name in names}, len(counts) - len(names)


def without_rare(parts: Sequence[History]) -> tuple[list[History], int]:
    """Leave out the names that most rows of several histories lack, if they are many, and return their number."""
    n_rows = sum(int(part.starts[-1]) for part in parts)
    if len(set[str]().union(*(part.columns for part in parts))) * n_rows <= MISSING_IN_ALL.always:
        return list(parts), 0
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(dict.fromkeys(part.columns, int(part.starts[-1])))
    names = set(frequent(counts, n_rows, MISSING_IN_ALL))
    if len(names) == len(counts):
        return list(parts), 0
    kept = [{name: values for name, values in part.columns.items() if name in names} for part in parts]
    return [part._replace(columns=each) for part, each in zip(parts, kept, strict=True)], len(counts) - len(names)


def frequent(counts: Counter[str], n_rows: int, most: Missing) -> list[str]:
    """Return the most frequent names, as many as fill columns of which not too much is missing.

    Args:
        counts: the number of rows with each name.
        n_rows: the number of all rows.
        most: how much may be missing.
    """
    n_names = (most.per_value * counts.total() + most.always) // max(n_rows, 1)
    if len(counts) <= n_names:
        return list(counts)
    frequent = {name for name, _ in counts.most_common(n_names)}
    return [name for name in counts if name in frequent]


def joined(parts: Sequence[History]) -> History:
    """Join several histories into one."""
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
    """Join parts of a column; a part without the column (None) has missing values in all its rows."""
    if all(part is None or part.dtype != object for part in parts):
        missing = np.full(max(lengths), math.nan)
        return np.concatenate([missing[:n] if part is None else part for part, n in zip(parts, lengths, strict=True)])
    values: list[Any] = []
    for part, n in zip(parts, lengths, strict=True):
        values += [None] * n if part is None else part.tolist()
    return objects(values)


def column(values: Sequence[Any]) -> Array:
    """Return an array of numbers if all values are numbers, else one of objects. Texts become what they stand for."""
    kinds = set(map(type, values))
    if str in kinds:
        meant = {text: from_text(text) for text in {value for value in values if type(value) is str}}
        values = [meant[value] if type(value) is str else value for value in values]
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
    """Return an array of objects. np.array would turn tuples into a further dimension."""
    result = np.empty(len(values), object)
    result[:] = values
    return result


def is_numeric(values: Array) -> bool:
    """Return True if any value of a column is a number."""
    return values.dtype != object or any(map(is_number, values))


def numbers(values: Array) -> Array:
    """Return a column as numbers; NaN where a value is missing or not a number."""
    if values.dtype != object:
        return values
    found = [as_number(value) for value in values]
    return column([math.nan if number is None else number for number in found]) if found else np.empty(0)


class Summary(NamedTuple):
    """The summary of a metric: highest value and its row, counted from 0; lowest and its row; median; last."""

    highest: Array
    highest_at: Array
    lowest: Array
    lowest_at: Array
    median: Array
    last: Array


def summarise(values: Array, starts: Array) -> Summary:
    """Summarise a column of numbers for each trial. Of equal values the first counts; NaN counts in `last` only.

    A trial without any number has NaN everywhere.

    Shapes: values (rows,), starts (trials + 1,); each result (trials,).
    """
    n_rows, n_trials = len(values), len(starts) - 1
    if n_rows == 0:
        return Summary(*[np.full(n_trials, math.nan)] * 6)
    trial = np.repeat(np.arange(n_trials), np.diff(starts))
    order = _ascending(values, starts)
    ordered = values[order]
    n_present = np.bincount(trial[~np.isnan(values)], minlength=n_trials)
    begins = np.r_[True, (ordered[1:] != ordered[:-1]) | (trial[1:] != trial[:-1])]
    first_equal = np.maximum.accumulate(np.where(begins, np.arange(n_rows), 0))
    # A trial without a number may take any row: its result is set to NaN below.
    first = np.minimum(starts[:-1], n_rows - 1)
    top = first_equal[np.maximum(first + n_present - 1, 0)]
    middle = [first + np.maximum(n_present - 1, 0) // 2, np.minimum(first + n_present // 2, n_rows - 1)]
    lower, upper = ordered[middle[0]], ordered[middle[1]]
    with np.errstate(invalid="ignore", over="ignore"):
        median = (lower + upper) / 2
        median = np.where(np.isfinite(median), median, lower / 2 + upper / 2)
    last = values[np.maximum(starts[1:] - 1, 0)]
    every = [ordered[top], order[top] - first, ordered[first], order[first] - first, median, last]
    if n_present.all():
        return Summary(*every)
    return Summary(*(np.where(n_present > 0, each, math.nan) for each in every))


def values_at(values: Array, rows: Array) -> Array:
    """Return the values of some rows; NaN where the row is NaN.

    Shapes: values (rows,), rows (trials,); the result (trials,).
    """
    is_there = ~np.isnan(rows)
    found = np.full(len(rows), math.nan)
    found[is_there] = values[rows[is_there].astype(int)]
    return found


def _ascending(values: Array, starts: Array) -> Array:
    """Return the places of the rows: by trial, then ascending, with NaN at the end; equal values keep their order.

    Trials of one length are sorted together, which is faster than a sort of all rows. Few grids have many lengths.
    """
    order, lengths = np.arange(len(values)), np.diff(starts)
    for length in np.unique(lengths):
        rows = starts[:-1][lengths == length, np.newaxis] + np.arange(length)
        order[rows] = rows[:, :1] + np.argsort(values[rows], axis=1, kind="stable")
    return order
