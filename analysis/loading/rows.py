"""The rows of a trial: one straight run, the config of each row, and whether the trial diverged."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.frame.values import as_number, flatten, sort_key
from analysis.loading.columns import MISSING_IN_TRIAL, Array, History, frequent

Row = dict[str, Any]


def straight_run(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the trial's last attempt, and those before the point from which it was restored.

    Tune appends the rows of a new attempt. Those of an earlier one past the restore point belong to weights that were
    thrown away. So a row drops all earlier rows that have its training_iteration or a later one.
    """
    if _counts_up([row.get("training_iteration") for row in rows]):
        return list(rows)
    kept: list[Row] = []
    iterations: list[float] = []  # of the kept rows; they never fall
    for row in rows:
        number = as_number(row.get("training_iteration"))
        if number is None or math.isnan(number):
            # A row without the number belongs to the row before it.
            number = iterations[-1] if iterations else -math.inf
        elif iterations and number <= iterations[-1]:
            first = bisect_left(iterations, number)
            del kept[first:], iterations[first:]
        kept.append(row)
        iterations.append(number)
    return kept


def config_by_row(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return the hyperparameters that changed within the trial, with their value in each row.

    Population based training changes them when it restores a trial. Some versions of Tune write the config in each row.
    """
    if _counts_up([row.get("iterations_since_restore") for row in rows]):
        return {}
    written, config = None, dict[str, Any]()
    configs, of_row = [], []
    since = math.inf
    for row in rows:
        before, since = since, _rows_since_restore(row)
        if not since > before and isinstance(row.get("config"), dict) and row["config"] != written:
            written = row["config"]
            config = flatten(written)
            configs.append(config)
        of_row.append(config)
    if len(configs) < 2:
        return {}
    # Each config may have keys of its own: all of them in each row would fill the memory.
    keys = frequent(Counter(key for each in configs for key in each), len(configs), MISSING_IN_TRIAL)
    changed = [key for key in keys if len({sort_key(each.get(key)) for each in configs}) > 1]
    return {key: [each.get(key) for each in of_row] for key in changed}


def _counts_up(numbers: list[Any]) -> bool:
    """Return True if each number is one more than the one before, as in nearly all trials."""
    return not numbers or (type(numbers[0]) is int and numbers == list(range(numbers[0], numbers[0] + len(numbers))))


def _rows_since_restore(row: Row) -> float:
    number = as_number(row.get("iterations_since_restore"))
    return -math.inf if number is None or math.isnan(number) else number


def divergence(history: History) -> list[int]:
    """Return the numbers of the rows, from 1, at which the trial becomes diverged, or is not any more.

    After a row, a trial is diverged if a loss is NaN or infinite where it was last logged. A loss has "loss" in its
    name. Of most trials there is no such row, and of others one.
    """
    diverged = np.zeros(int(history.starts[-1]), bool)
    for name, values in history.columns.items():
        if "loss" in name:
            diverged |= ~np.isfinite(_last_numbers(values))
    return [int(place) + 1 for place in np.flatnonzero(np.diff(diverged, prepend=False))]


def _last_numbers(values: Array) -> Array:
    """Return the last number that was logged up to each row; 0 if nothing was logged, or no number."""
    if values.dtype != object:
        return values
    numbers: Array = np.empty(len(values))
    last = 0.0
    for place, value in enumerate(values):
        if value not in (None, ""):
            number = as_number(value)
            last = 0.0 if number is None else number
        numbers[place] = last
    return numbers
