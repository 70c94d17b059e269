"""The numbers of `random.noise` and `random.uniform` at some positions, without those of all. Compiled by Numba."""

from __future__ import annotations

import math

import numpy as np

from dynsparse.engines.sparse.arrays import Array
from dynsparse.engines.sparse.compiler import kernel
from dynsparse.engines.sparse.philox import PER_COUNT, draw_eight
from dynsparse.ops import masks
from dynsparse.random import Stream, uniform_of


def noise_at(stream: Stream, positions: Array) -> Array:
    """Return `random.noise` of a stream at some positions.

    Shapes: positions (n,), int64, ascending; the result (n,), int32.
    """
    noise = np.empty(len(positions), np.uint32)
    _draw_at(noise, positions, *_key(stream))
    return noise.view(np.int32)


def uniform_at(stream: Stream, positions: Array) -> Array:
    """Return `random.uniform` of a stream at some positions.

    Shapes: positions (n,), int64, ascending; the result (n,), float32.
    """
    return uniform_of(noise_at(stream, positions).view(np.uint32))


def free_positions_with_lowest_noise(stream: Stream, mask: Array, number: int) -> Array:
    """Return the inactive positions with the lowest noise, in any order; all of them if there are fewer.

    Shapes: mask (n,), bool; the result (number or fewer,), int64.
    """
    if number == 0:
        return np.empty(0, np.int64)
    n_free = len(mask) - int(np.count_nonzero(mask))
    if number >= n_free:
        return np.flatnonzero(~mask)
    # Only noise below a limit is collected. The expected number of positions below it exceeds `number` by six standard
    # deviations and ten. One time in a billion this is too little, and then all noise is collected.
    limit = -(2**31) + 2**32 * min(1.0, (number + 6 * math.sqrt(number) + 10) / n_free)
    positions, noise = _free_noise_below(limit, mask, *_key(stream))
    if len(positions) < number:
        positions, noise = _free_noise_below(2.0**31, mask, *_key(stream))
    lowest: Array = positions[masks.select_lowest(noise, number)]
    return lowest


def _key(stream: Stream) -> tuple[np.uint64, ...]:
    """Return seed, purpose, epoch, layer and step, in the order in which the kernels take them."""
    parts = stream.seed, stream.purpose, stream.epoch, stream.layer, stream.step
    return tuple(np.uint64(int(each)) for each in parts)


@kernel
def _draw_at(noise, positions, seed, purpose, epoch, layer, step):  # type: ignore[no-untyped-def]
    numbers, drawn = np.empty(PER_COUNT, np.uint32), -1
    for i, position in enumerate(positions):
        count = position // PER_COUNT
        if count != drawn:
            draw_eight(numbers, 0, count, seed, purpose, epoch, layer, step)
            drawn = count
        noise[i] = numbers[position % PER_COUNT]


@kernel
def _free_noise_below(limit, mask, seed, purpose, epoch, layer, step):  # type: ignore[no-untyped-def]
    numbers = np.empty(PER_COUNT, np.uint32)
    positions, noise = np.empty(1024, np.int64), np.empty(1024, np.int32)
    n = 0
    for first in range(0, len(mask), PER_COUNT):
        draw_eight(numbers, 0, first // PER_COUNT, seed, purpose, epoch, layer, step)
        if n + PER_COUNT > len(positions):
            # Twice as long; only the first n entries are read.
            positions, noise = np.append(positions, positions), np.append(noise, noise)
        for i in range(min(PER_COUNT, len(mask) - first)):
            number = np.int32(numbers[i])
            if number < limit and not mask[first + i]:
                positions[n], noise[n] = first + i, number
                n += 1
    return positions[:n], noise[:n]
