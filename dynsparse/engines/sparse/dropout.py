"""The units that dropout keeps, drawn with the numbers of `dynsparse.random`. Compiled by Numba.

Drawing them here takes a quarter of the time of `uniform`. With `uniform`, drawing would take as long as the rest of a
step.
"""

from __future__ import annotations

import numpy as np

from dynsparse.engines.sparse.arrays import LANES
from dynsparse.engines.sparse.compiler import inlined
from dynsparse.engines.sparse.philox import PER_COUNT, draw_eight
from dynsparse.random import Purpose

PURPOSE = np.uint64(Purpose.DROPOUT)


@inlined
def draw_kept_units(kept, layer_ends, n_batch, dropout, seed, epoch, step):  # type: ignore[no-untyped-def]
    """Draw the examples for which each hidden unit is kept, with a probability of 1 - dropout.

    In a layer of n units, unit j is kept for example i if number i * n + j of the layer's stream, as
    `dynsparse.random.uniform` returns it, is at least `dropout`.

    Shapes: kept (blocks, units), uint64, one bit per lane; dropout is a float32.
    """
    kept[:] = 0
    # `uniform` is the upper 24 bits of a number, divided by 2**24.
    limit = np.uint64(np.ceil(np.float64(dropout) * 2**24)) << np.uint64(8)
    for layer in range(len(layer_ends) - 2):
        first, last = layer_ends[layer], layer_ends[layer + 1]
        n_units = last - first
        buffer = np.empty(n_units + 2 * PER_COUNT, np.uint32)
        for example in range(n_batch):
            begin, end = example * n_units, (example + 1) * n_units
            first_count = begin // PER_COUNT
            for count in range(first_count, (end + PER_COUNT - 1) // PER_COUNT):
                draw_eight(buffer, (count - first_count) * PER_COUNT, count, seed, PURPOSE, epoch, layer, step)
            # As arrays of their own, both are read eight units at a time.
            numbers, row = buffer[begin % PER_COUNT :][:n_units], kept[example // LANES, first:last]
            bit = np.uint64(1) << np.uint64(example % LANES)
            for unit in range(n_units):
                row[unit] |= bit if numbers[unit] >= limit else np.uint64(0)
