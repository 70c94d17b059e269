"""Activity of units, one bit per example, and the coactivation counts that follow from it. Compiled by Numba."""

from __future__ import annotations

import numpy as np

from dynsparse.engines.sparse.arrays import LANES
from dynsparse.engines.sparse.compiler import inlined, kernel
from dynsparse.engines.sparse.simd import count_common_bits, lanes_above

# Units whose activity stays in the second-level cache while that of all others is read.
TILE = 64


@inlined
def record_activity(x, input_mean, positive, first_hidden, last_hidden, n, activity, block):  # type: ignore[no-untyped-def]
    """Set activity[unit, block] to the lanes in which a unit is positive, for a block of n examples.

    For the hidden units [first_hidden, last_hidden) these lanes are given in `positive`. The inputs before them are
    positive where they are above their mean, which has not been subtracted.

    Shapes: x (units, 64); positive (units,), uint64; activity (units, blocks), uint64.
    """
    valid = valid_lanes(n)
    for unit in range(len(activity)):
        is_hidden = first_hidden <= unit < last_hidden
        limit = input_mean if unit < first_hidden else np.float32(0)
        activity[unit, block] = (positive[unit] if is_hidden else lanes_above(x, unit, limit)) & valid


@inlined
def valid_lanes(n):  # type: ignore[no-untyped-def]
    """Return the bits of the first n lanes, for n from 1 to 64."""
    return ~np.uint64(0) >> np.uint64(LANES - n)


@kernel
def count_coactivations(activity, first, middle, last, total):  # type: ignore[no-untyped-def]
    """Compute total[o, i], the number of examples for which the units middle + o and first + i are both positive.

    Shapes: activity (units, a multiple of 8), uint64; total (last - middle, middle - first), float32.
    """
    for tile in range(middle, last, TILE):
        for a in range(first, middle, 2):
            for b in range(tile, min(tile + TILE, last), 2):
                # Two units by two units. If their number is odd, the last one is counted twice.
                next_a, next_b = min(a + 1, middle - 1), min(b + 1, last - 1)
                n = count_common_bits(activity, b, next_b, a, next_a)
                total[b - middle, a - first], total[b - middle, next_a - first] = n[0], n[1]
                total[next_b - middle, a - first], total[next_b - middle, next_a - first] = n[2], n[3]
