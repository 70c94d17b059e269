"""Values of a config: missing ones, and the order of all kinds."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.frame.values import from_text, is_missing, sort_key
from analysis.frame.words import plural


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan"), np.float64("nan"), pd.NA, pd.NaT])
def test_missing_values(value: object) -> None:
    assert is_missing(value) is True
    assert sort_key(value) > sort_key("z") > sort_key(math.inf)


@pytest.mark.parametrize(
    "value", ["", "nan", 0, False, 0.0, math.inf, np.int64(0), (), (None,), (math.nan,), [None], {}]
)
def test_values_that_are_there(value: object) -> None:
    assert is_missing(value) is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("True", True),
        ("FALSE", False),
        ("tensor(True)", True),
        ("5", 5),
        (" -1e-3 ", -0.001),
        ("inf", math.inf),
        ("tensor(0.5000)", 0.5),
        ("tensor(0.5, device='cuda:0', grad_fn=<NllLossBackward0>)", 0.5),
        ("tensor([0.5])", 0.5),
        ("Parameter containing:\ntensor(0.5, requires_grad=True)", 0.5),
        ("tf.Tensor(0.5, shape=(), dtype=float32)", 0.5),
        ("<tf.Tensor: shape=(), dtype=float32, numpy=0.5>", 0.5),
        ("<tf.Variable 'v:0' shape=() dtype=float32, numpy=0.5>", 0.5),
        ("Array(0.5, dtype=float32)", 0.5),
        ("DeviceArray(0.5, dtype=float32, weak_type=True)", 0.5),
        ("np.float32(0.5)", 0.5),
        ("Tensor(shape=[1], dtype=float32, place=CPUPlace, stop_gradient=True,\n       [0.50000000])", 0.5),
        ("Tensor(shape=[], dtype=float32, place=Place(cpu), stop_gradient=True,\n       0.5)", 0.5),
        ("\n[0.5]\n<NDArray 1 @cpu(0)>", 0.5),
        ("[300, 100]", (300, 100)),
        ("[(1, [2]), None]", ((1, (2,)), None)),
        ("[{'b': 1, 1: 2}]", ('{"1": 2, "b": 1}',)),
        ("[18446744073709551616]", (2.0**64,)),
        ("[18446744073709551615]", (2**64 - 1,)),
    ],
)
def test_texts_that_stand_for_other_values(text: str, value: object) -> None:
    assert from_text(text) == value and type(from_text(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["", " ", "none", "relu(0.1)", "tensor([1., 2.])", "[1 2 3]", "1_000", "(" * 10_000, "{}", "cpu", "0x10"]
)
def test_other_texts_stay_texts(text: str) -> None:
    assert from_text(text) == text


@pytest.mark.parametrize(
    "text", ["[{1, 2}]", "[{'a': {1}}]", "[b'x']", "[1j]", "[...]", "[{(1,): 2}]", "['\\ud800']", "[" * 60 + "]" * 60]
)
def test_lists_that_json_cannot_hold_stay_texts(text: str) -> None:
    assert from_text(text) == text


def test_a_number_with_its_noun() -> None:
    assert [plural(n, "trial") for n in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]


def test_numbers_of_numpy_are_sorted_as_numbers() -> None:
    values = [np.int64(10), np.float32(2), np.bool_(True), "a", 3]
    assert sorted(values, key=sort_key) == [True, 2, 3, 10, "a"] and sort_key(np.int64(3)) == sort_key(3.0)
