"""The numbers of `random.noise` at some positions, without drawing those of all others. Compiled by Numba."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dynsparse.engines.sparse.arrays import Array
from dynsparse.engines.sparse.compiler import inlined, kernel
from dynsparse.ops import masks
from dynsparse.random import Stream

# Philox4x64-10: see `dynsparse.random`.
MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
KEY_STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
ROUNDS = 10
WORDS_PER_BLOCK = 8  # four draws of 64 bits are eight numbers of 32


def noise_at(stream: Stream, positions: Array) -> Array:
    """Return `random.noise` of a stream at some positions. Shapes: positions (n,), int64, ascending; (n,), int32."""
    return _noise_at(*_name(stream), positions)


def free_positions_with_lowest_noise(stream: Stream, mask: Array, number: int) -> Array:
    """Return the inactive positions with the lowest noise, in any order; all of them if there are fewer.

    Shapes: mask (n,), bool; the result (number,), int64.
    """
    n_free = len(mask) - int(np.count_nonzero(mask))
    if number >= n_free:
        return np.flatnonzero(~mask)
    # Only noise below a limit can be among the lowest, so only this is collected: a little more than `number` numbers.
    share = number / n_free
    limit = -(2**31) + 2**32 * min(1.0, share + (6 * math.sqrt(share * n_free) + 10) / n_free)
    while True:
        positions, noise = _free_noise_below(*_name(stream), mask, limit)
        if len(positions) >= number:
            return positions[masks.lowest_values(noise, number)]
        limit = 2.0**31  # one time in a billion, more than six standard deviations are needed


def _name(stream: Stream) -> tuple[np.uint64, ...]:
    return tuple(
        np.uint64(each) for each in (stream.seed, int(stream.purpose), stream.epoch, stream.layer, stream.step)
    )


@intrinsic
def high_half(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the upper 64 bits of the product of two numbers of 64 bits."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(each, wide) for each in args))
        return builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), code


@inlined
def draw_block(seed, purpose, epoch, layer, step, block, words):  # type: ignore[no-untyped-def]
    """Set words to the eight numbers of a block. Shapes: words (8,), int32."""
    # numpy counts up before it draws.
    a, b, c, d = block + np.uint64(1), epoch, layer, step
    for _ in range(ROUNDS):
        a, b, c, d = (
            high_half(MULTIPLIERS[1], c) ^ b ^ seed,
            MULTIPLIERS[1] * c,
            high_half(MULTIPLIERS[0], a) ^ d ^ purpose,
            MULTIPLIERS[0] * a,
        )
        seed, purpose = seed + KEY_STEPS[0], purpose + KEY_STEPS[1]
    for i, draw in enumerate((a, b, c, d)):
        words[2 * i] = np.int32(np.uint32(draw & np.uint64(0xFFFFFFFF)))
        words[2 * i + 1] = np.int32(np.uint32(draw >> np.uint64(32)))


@kernel
def _noise_at(seed, purpose, epoch, layer, step, positions):  # type: ignore[no-untyped-def]
    noise, words, drawn = np.empty(len(positions), np.int32), np.empty(WORDS_PER_BLOCK, np.int32), -1
    for i, position in enumerate(positions):
        block = position // WORDS_PER_BLOCK
        if block != drawn:
            draw_block(seed, purpose, epoch, layer, step, np.uint64(block), words)
            drawn = block
        noise[i] = words[position % WORDS_PER_BLOCK]
    return noise


@kernel
def _free_noise_below(seed, purpose, epoch, layer, step, mask, limit):  # type: ignore[no-untyped-def]
    words = np.empty(WORDS_PER_BLOCK, np.int32)
    positions, noise = np.empty(1024, np.int64), np.empty(1024, np.int32)
    n = 0
    for first in range(0, len(mask), WORDS_PER_BLOCK):
        draw_block(seed, purpose, epoch, layer, step, np.uint64(first // WORDS_PER_BLOCK), words)
        if n + WORDS_PER_BLOCK > len(positions):
            positions, noise = np.append(positions, positions), np.append(noise, noise)
        for i in range(min(WORDS_PER_BLOCK, len(mask) - first)):
            if words[i] < limit and not mask[first + i]:
                positions[n], noise[n] = first + i, words[i]
                n += 1
    return positions[:n], noise[:n]
