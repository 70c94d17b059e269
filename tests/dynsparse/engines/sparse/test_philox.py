"""Compare the numbers that kernels draw with those of numpy's Philox generator."""

from __future__ import annotations

import numpy as np
import pytest

philox = pytest.importorskip("dynsparse.engines.sparse.philox")


def test_eight_numbers_are_those_of_numpys_generator() -> None:
    generator = np.random.Philox(key=[2**63 - 1, 8], counter=[0, 3, 2, 41])
    expected = generator.random_raw(4 * 10).astype("<u8").view("<u4")[72:80]
    found = np.zeros(10, np.uint32)
    philox.draw_eight(found, 1, 9, 2**63 - 1, 8, 3, 2, 41)
    np.testing.assert_array_equal(found, [0, *expected, 0])
