"""Compare the activity bits and coactivation counts of the sparse engine with numpy."""

from __future__ import annotations

import numpy as np
import pytest
from support.sparse_network import LANES, bits

activity_kernels = pytest.importorskip("dynsparse.engines.sparse.activity")


@pytest.mark.parametrize("n", [1, 63, 64])
def test_a_bit_is_set_for_each_example_for_which_a_unit_is_positive(n: int) -> None:
    numbers = [-np.inf, -1, -1e-45, -0.0, 0.0, 1e-45, 0.25, 1, np.inf, np.nan]
    x = np.random.RandomState(0).choice(numbers, (30, LANES)).astype(np.float32)
    activity = np.full((30, 8), 7, np.uint64)
    # Those of hidden units, here 10 to 19, are given, because dropout may have set x to 0.
    positive = np.random.RandomState(1).randint(0, 2**64, 30, np.uint64)
    activity_kernels.record_activity(x, np.float32(0.25), positive, 10, 20, n, activity, 5)
    # The mean has not been subtracted from the inputs, here units 0 to 9.
    expected = x > np.where(np.arange(30) < 10, 0.25, 0)[:, None]
    expected[10:20] = bits(positive[10:20])
    np.testing.assert_array_equal(bits(activity[:, 5]), expected & (np.arange(LANES) < n))
    assert (np.delete(activity, 5, axis=1) == 7).all()


@pytest.mark.parametrize("n_words", [8, 64, 200])
@pytest.mark.parametrize("last", [13, 20, 139, 140])
@pytest.mark.parametrize("middle", [11, 12])
def test_coactivation_counts_the_examples_for_which_both_units_are_active(middle: int, last: int, n_words: int) -> None:
    random = np.random.RandomState(n_words)
    activity = random.randint(0, 2**64, (last + 1, n_words), np.uint64)
    # Some units are always active, and some never.
    activity[[3, last - 1]], activity[[4, 12]] = ~np.uint64(0), 0
    total = np.full((last - middle, middle - 2), np.nan, np.float32)
    activity_kernels.count_coactivations(activity, 2, middle, last, total)
    active = bits(activity).reshape(len(activity), -1).astype(np.float64)
    np.testing.assert_array_equal(total, active[middle:last] @ active[2:middle].T)
