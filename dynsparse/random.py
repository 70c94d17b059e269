"""Counter-based random numbers: each stream is a pure function of seed, purpose, epoch, layer and step.

A trial therefore draws the same bits alone or in a pack, on every engine and device, and after a resume.
The generator is Philox4x64-10. Its key is (seed, purpose); words 1 to 3 of its counter are (epoch, layer,
step), and word 0 counts blocks of four draws, so no two streams overlap. Only numpy's raw stream is used: it
stays the same from one version of numpy to the next, which numpy.random.Generator's methods do not promise.

Reference: John Salmon, Mark Moraes, Ron Dror and David Shaw, Parallel Random Numbers: As Easy as 1, 2, 3,
2011, https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """Purpose of a stream. Results depend on the numbers: add rows, never change one."""

    WEIGHT = 1
    BIAS = 2
    MASK = 3
    ORDER = 4
    NOISE_IMAGES = 5
    PRUNE = 6
    GROW = 7
    DROPOUT = 8
    SPLIT = 9
    PRUNE_TRAINED = 10
    MODULE = 11
    TEST_SPLIT = 12
    PERMUTED_PIXELS = 13
    CORRUPTION = 14
    AUGMENTATION = 15
    SPEECH_CLIPS = 16
    WEIGHT_NOISE = 17


# Dropout compares whole numbers below this one, so a share that is dropped is exact to 2**-17.
DROPOUT_VALUES = 2**16
# Examples whose numbers for a unit are consecutive: those of a block of the sparse engine.
DROPOUT_BLOCK = 64


@dataclass(frozen=True)
class Stream:
    """Name of one stream of random numbers. All fields are at least 0."""

    seed: int  # of the trial, in [0, 2**63)
    purpose: Purpose
    _: KW_ONLY
    epoch: int = 0
    layer: int = 0
    step: int = 0


def bits(n: int, stream: Stream) -> np.ndarray:
    """Return the first n draws of a stream. Shapes: (n,), uint64, every bit random."""
    generator = np.random.Philox(
        key=[stream.seed, stream.purpose], counter=[0, stream.epoch, stream.layer, stream.step]
    )
    return generator.random_raw(n)


def uniform(shape: tuple[int, ...], stream: Stream) -> Tensor:
    """Return numbers in [0, 1), multiples of 2**-24. Shapes: `shape`, float32."""
    return torch.from_numpy(uniform_of(_words(math.prod(shape), stream))).reshape(shape)


def uniform_of(words: np.ndarray) -> np.ndarray:
    """Return a number in [0, 1) for each number of 32 random bits. Shapes: (n,), uint32 to float32."""
    # A float32 holds 24 bits, so no number is rounded and none becomes 1.
    numbers: np.ndarray = (words >> 8).astype(np.float32) * np.float32(2**-24)
    return numbers


def dropout_numbers(n_examples: int, n_units: int, stream: Stream) -> Tensor:
    """Return whole numbers in [0, 2**16), one for each unit and example: see `dropout_limit`.

    They are parts of 16 bits of the draws, the lowest first. Each block of 64 examples has 64 of them for the first
    unit, then 64 for the second, and so on.

    Shapes: (n_examples, n_units), int32.
    """
    n_blocks = -(-n_examples // DROPOUT_BLOCK)
    # "<u8" puts the lowest bits first on big-endian machines too.
    draws = bits(n_blocks * n_units * DROPOUT_BLOCK // 4, stream).astype("<u8", copy=False)
    numbers = draws.view("<u2").reshape(n_blocks, n_units, DROPOUT_BLOCK).swapaxes(1, 2).astype(np.int32)
    return torch.from_numpy(numbers.reshape(-1, n_units)[:n_examples])


def dropout_limit(share: Tensor) -> Tensor:
    """Return the lowest of the `dropout_numbers` with which a unit is kept, if `share` of the units are to be dropped.

    It is `share` rounded to a multiple of 2**-16, and always below 1.

    Shapes: any; int32.
    """
    # float32, as the engines have it.
    return (share.float().double() * DROPOUT_VALUES).round().clamp_max(DROPOUT_VALUES - 1).int()


def noise(shape: tuple[int, ...], stream: Stream) -> Tensor:
    """Return numbers that break ties; two are equal with probability 2**-32. Shapes: `shape`, int32."""
    return torch.from_numpy(_words(math.prod(shape), stream).view(np.int32)).reshape(shape)


def permutation(n: int, stream: Stream) -> Tensor:
    """Return 0 to n - 1 in random order. Shapes: (n,), int64."""
    # torch sorts four times as fast as numpy, but cannot sort uint64. Flipping the top bit is subtracting 2**63, which
    # keeps the order and fits int64.
    keys = torch.from_numpy((bits(n, stream) ^ np.uint64(2**63)).view(np.int64))
    # A stable sort orders two equal keys the same way everywhere.
    return keys.sort(stable=True).indices


@contextmanager
def torch_generators(stream: Stream, device: str = "cpu") -> Iterator[None]:
    """Seed torch's own generators, of the CPU and of a device, from a stream; restore them afterwards."""
    generators = [torch.default_generator]
    if torch.device(device).type == "cuda":
        index = torch.device(device).index
        generators.append(torch.cuda.default_generators[torch.cuda.current_device() if index is None else index])
    states = [generator.get_state() for generator in generators]
    seed = int(bits(1, stream)[0])
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _words(n: int, stream: Stream) -> np.ndarray:
    """Return n numbers of 32 bits, two from each draw, the low half first. Shapes: (n,), uint32."""
    # "<u8" puts the low half first on big-endian machines too.
    draws = bits((n + 1) // 2, stream).astype("<u8", copy=False)
    return draws.view("<u4")[:n].astype(np.uint32, copy=False)
