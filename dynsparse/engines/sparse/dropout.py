"""The units that dropout keeps, drawn with the numbers of `dynsparse.random`. Compiled by Numba.

Drawing them here takes a quarter of the time that `uniform` takes, which is that of the rest of a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dynsparse.engines.sparse.arrays import LANES
from dynsparse.engines.sparse.compiler import inlined, kernel
from dynsparse.random import Purpose

# Of Philox4x64-10.
MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
KEY_STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
ROUNDS = 10
# Numbers of 32 bits for each value of the counter.
PER_COUNT = 8
PURPOSE = np.uint64(Purpose.DROPOUT)


@kernel
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
                draw_eight(buffer, (count - first_count) * PER_COUNT, seed, count, epoch, layer, step)
            # As arrays of their own, both are read eight units at a time.
            numbers, row = buffer[begin % PER_COUNT :][:n_units], kept[example // LANES, first:last]
            bit = np.uint64(1) << np.uint64(example % LANES)
            for unit in range(n_units):
                row[unit] |= bit if numbers[unit] >= limit else np.uint64(0)


@inlined
def draw_eight(numbers, position, seed, count, epoch, layer, step):  # type: ignore[no-untyped-def]
    """Write the numbers [8 * count, 8 * count + 8) of a stream to an array of uint32."""
    key0, key1 = np.uint64(seed), PURPOSE
    # numpy increments the counter before it draws.
    a, b, c, d = np.uint64(count + 1), np.uint64(epoch), np.uint64(layer), np.uint64(step)
    for _ in range(ROUNDS):
        low_a, high_a = product(a, MULTIPLIERS[0])
        low_c, high_c = product(c, MULTIPLIERS[1])
        a, b, c, d = high_c ^ b ^ key0, low_c, high_a ^ d ^ key1, low_a
        key0, key1 = key0 + KEY_STEPS[0], key1 + KEY_STEPS[1]
    for i, draw in enumerate((a, b, c, d)):
        numbers[position + 2 * i] = np.uint32(draw & np.uint64(0xFFFFFFFF))
        numbers[position + 2 * i + 1] = np.uint32(draw >> np.uint64(32))


@intrinsic
def product(typingctx: Any, x: Any, y: Any) -> Any:
    """Return the lower and the upper 64 bits of the product of two uint64."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        wide = b.mul(*(b.zext(each, ir.IntType(128)) for each in args))
        halves = [b.trunc(each, ir.IntType(64)) for each in (wide, b.lshr(wide, ir.IntType(128)(64)))]
        return context.make_tuple(b, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), code
