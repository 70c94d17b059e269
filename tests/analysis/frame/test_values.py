"""Values of a config: missing ones, and the order of all kinds."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.frame.values import is_missing, sort_key
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


def test_a_number_with_its_noun() -> None:
    assert [plural(n, "trial") for n in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]
