"""The units that dropout keeps, drawn with the numbers of `dynsparse.random`. Compiled by Numba.

Each number has 16 bits, and the 64 of a unit in a block of examples are compared at once.
"""

from __future__ import annotations

import numpy as np

from dynsparse.engines.sparse.arrays import LANES
from dynsparse.engines.sparse.compiler import inlined
from dynsparse.engines.sparse.philox import draw_four
from dynsparse.engines.sparse.simd import lanes_of_words_at_least
from dynsparse.random import DROPOUT_VALUES, Purpose

PURPOSE = np.uint64(Purpose.DROPOUT)
# Values of the counter for the numbers of a unit in a block: each gives 16.
COUNTS = LANES // 16


@inlined
def draw_kept_units(kept, layer_ends, n_batch, dropout, seed, epoch, step):  # type: ignore[no-untyped-def]
    """Draw the examples for which each hidden unit is kept, as `dynsparse.random.dropout_numbers` says.

    Shapes: kept (blocks, units), uint64, one bit per lane; dropout is a float32. Lanes without an example may have any
    bit.
    """
    kept[:] = 0
    # As `dynsparse.random.dropout_limit`.
    limit = np.uint16(min(np.round(np.float64(dropout) * DROPOUT_VALUES), DROPOUT_VALUES - 1))
    numbers = np.empty(4 * COUNTS, np.uint64)
    for layer in range(len(layer_ends) - 2):
        first, last = layer_ends[layer], layer_ends[layer + 1]
        for block in range((n_batch + LANES - 1) // LANES):
            for unit in range(last - first):
                count = (block * (last - first) + unit) * COUNTS
                for i in range(COUNTS):
                    draws = draw_four(count + i, seed, PURPOSE, epoch, layer, step)
                    for j in range(4):
                        numbers[4 * i + j] = draws[j]
                kept[block, first + unit] = lanes_of_words_at_least(numbers, limit)
