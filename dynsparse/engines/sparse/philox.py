"""The generator of `dynsparse.random`, Philox4x64-10, for kernels that need few of its numbers. Compiled by Numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dynsparse.engines.sparse.compiler import inlined

MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
KEY_STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
ROUNDS = 10
# Numbers of 32 bits for each value of the counter.
PER_COUNT = 8


@inlined
def draw_eight(numbers, position, count, seed, purpose, epoch, layer, step):  # type: ignore[no-untyped-def]
    """Write the numbers [8 * count, 8 * count + 8) of a stream to an array of uint32, from `position` on."""
    for i, draw in enumerate(draw_four(count, seed, purpose, epoch, layer, step)):
        numbers[position + 2 * i] = np.uint32(draw & np.uint64(0xFFFFFFFF))
        numbers[position + 2 * i + 1] = np.uint32(draw >> np.uint64(32))


@inlined
def draw_four(count, seed, purpose, epoch, layer, step):  # type: ignore[no-untyped-def]
    """Return the draws [4 * count, 4 * count + 4) of a stream, each of 64 bits."""
    key0, key1 = np.uint64(seed), np.uint64(purpose)
    # numpy increments the counter before it draws.
    a, b, c, d = np.uint64(count + 1), np.uint64(epoch), np.uint64(layer), np.uint64(step)
    for _ in range(ROUNDS):
        low_a, high_a = product(a, MULTIPLIERS[0])
        low_c, high_c = product(c, MULTIPLIERS[1])
        a, b, c, d = high_c ^ b ^ key0, low_c, high_a ^ d ^ key1, low_a
        key0, key1 = key0 + KEY_STEPS[0], key1 + KEY_STEPS[1]
    return a, b, c, d


@intrinsic
def product(typingctx: Any, x: Any, y: Any) -> Any:
    """Return the lower and the upper 64 bits of the product of two uint64."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        wide = b.mul(*(b.zext(each, ir.IntType(128)) for each in args))
        halves = [b.trunc(each, ir.IntType(64)) for each in (wide, b.lshr(wide, ir.IntType(128)(64)))]
        return context.make_tuple(b, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), code
