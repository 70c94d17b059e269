"""Rows as columns, and what is shown of them, against plain pandas and against loops."""

import math
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.loading.columns import History, history_of, is_numeric, joined, numbers, summarise

ROWS: list[list[dict[str, Any]]] = [
    [{"a": 1.5, "b": 2, "c": "x"}, {"a": math.nan, "b": 3, "c": "y"}],
    [],
    [{"a": 1, "d": [1]}, {"d": None, "a": 2.0}, {"b": 2**70, "c": True}],
    [{"b": -1}],
]


def test_columns_hold_what_the_rows_hold() -> None:
    history = joined([history_of(rows, {"skipped"}) for rows in ROWS])
    assert history.starts.tolist() == [0, 2, 2, 5, 6]
    assert list(history.columns) == ["a", "b", "c", "d"]
    expected = pd.DataFrame([row for rows in ROWS for row in rows])
    for name, column in history.columns.items():
        pd.testing.assert_series_equal(
            pd.Series(numbers(column), dtype=float) if name in "ab" else pd.Series(column, dtype=object).isna(),
            expected[name].astype(float) if name in "ab" else expected[name].isna(),
            check_names=False,
        )
    assert history.columns["d"].tolist() == [None, None, (1,), None, None, None]


def test_names_that_nobody_wants_are_skipped() -> None:
    for rows in ([{"a": 1, "pid": 7}] * 2, [{"a": 1, "pid": 7}, {"pid": 8}]):
        assert list(history_of(rows, {"pid"}).columns) == ["a"]


def test_kinds_of_columns() -> None:
    def kind(*values: Any) -> str:
        return history_of([{"name": value, "other": 0} for value in values], set()).columns["name"].dtype.kind

    assert kind(1, 2) == "i"
    assert kind(1.0, 2.0) == kind(1, 2.5) == kind(1, 2**70) == "f"
    assert kind(True, False) == kind(1, True) == kind("a") == kind(None, 1.0) == "O"


def test_some_trials_in_another_order() -> None:
    history = joined([history_of(rows, set()) for rows in ROWS]).take([3, 1, 0])
    assert history.starts.tolist() == [0, 1, 1, 3]
    np.testing.assert_array_equal(numbers(history.columns["b"]), [-1, 2, 3])
    assert joined([history]).take([]).starts.tolist() == [0]


def test_a_part_without_a_column_has_no_value_there() -> None:
    whole, other = (
        History(np.array([0, 2]), {"n": np.array([1, 2])}),
        History(np.array([0, 1]), {"text": np.array(["x"], object)}),
    )
    both = joined([whole, other])
    np.testing.assert_array_equal(both.columns["n"], [1, 2, np.nan])
    assert both.columns["text"].tolist() == [None, None, "x"]


def test_is_numeric() -> None:
    assert is_numeric(np.array([1.0]))
    assert is_numeric(np.array([None, "tensor(0.5)"], object))
    assert not is_numeric(np.array([None, True, "x"], object))


@pytest.mark.parametrize("seed", range(20))
def test_summaries_equal_loops(seed: int) -> None:
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 9, 30)
    starts = np.r_[0, lengths.cumsum()]
    # Few values, so that there are ties, and whatever a metric may be.
    pool = [0.0, -0.0, 1.0, 2.5, -3.0, math.inf, -math.inf, math.nan, math.nan] if seed % 2 else [0.5, 0.25, 1e300]
    values = random.choice(pool, starts[-1])
    for i, found in enumerate(zip(*summarise(values, starts), strict=True)):
        trial = values[starts[i] : starts[i + 1]].tolist()
        present = [(value, row) for row, value in enumerate(trial) if not math.isnan(value)]
        if not present:
            assert all(math.isnan(number) for number in found)
            continue
        highest, lowest = max(present, key=lambda pair: pair[0]), min(present, key=lambda pair: pair[0])
        expected = [*highest, *lowest, median(value for value, _ in present), trial[-1]]
        np.testing.assert_array_equal(found, expected)


def test_summaries_of_nothing() -> None:
    assert all(np.isnan(each).all() for each in summarise(np.empty(0), np.array([0, 0, 0])))
    assert all(len(each) == 0 for each in summarise(np.empty(0), np.array([0])))
