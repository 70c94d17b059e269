"""The numbers of `random.noise` at some positions, without drawing those of all others. Compiled by Numba."""

from __future__ import annotations

import math

import numpy as np

from dynsparse.engines.sparse.arrays import Array
from dynsparse.engines.sparse.compiler import kernel
from dynsparse.engines.sparse.philox import PER_COUNT, draw_eight
from dynsparse.ops import masks
from dynsparse.random import Stream


def noise_at(stream: Stream, positions: Array) -> Array:
    """Return `random.noise` of a stream at some positions. Shapes: positions (n,), int64, ascending; (n,), int32."""
    noise = np.empty(len(positions), np.uint32)
    _draw_at(noise, positions, *_name(stream))
    return noise.view(np.int32)


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
        positions, noise = _free_noise_below(limit, mask, *_name(stream))
        if len(positions) >= number:
            lowest: Array = positions[masks.lowest_values(noise, number)]
            return lowest
        limit = 2.0**31  # one time in a billion, more than six standard deviations are needed


def _name(stream: Stream) -> tuple[np.uint64, ...]:
    parts = stream.seed, stream.purpose, stream.epoch, stream.layer, stream.step
    return tuple(np.uint64(int(each)) for each in parts)


@kernel
def _draw_at(noise, positions, seed, purpose, epoch, layer, step):  # type: ignore[no-untyped-def]
    numbers, drawn = np.empty(PER_COUNT, np.uint32), -1
    for i, position in enumerate(positions):
        count = position // PER_COUNT
        if count != drawn:
            draw_eight(numbers, 0, seed, purpose, count, epoch, layer, step)
            drawn = count
        noise[i] = numbers[position % PER_COUNT]


@kernel
def _free_noise_below(limit, mask, seed, purpose, epoch, layer, step):  # type: ignore[no-untyped-def]
    numbers = np.empty(PER_COUNT, np.uint32)
    positions, noise = np.empty(1024, np.int64), np.empty(1024, np.int32)
    n = 0
    for first in range(0, len(mask), PER_COUNT):
        draw_eight(numbers, 0, seed, purpose, first // PER_COUNT, epoch, layer, step)
        if n + PER_COUNT > len(positions):
            positions, noise = np.append(positions, positions), np.append(noise, noise)
        for i in range(min(PER_COUNT, len(mask) - first)):
            number = np.int32(numbers[i])
            if number < limit and not mask[first + i]:
                positions[n], noise[n] = first + i, number
                n += 1
    return positions[:n], noise[:n]
