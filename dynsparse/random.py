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
    WEIGHT_NOISE = 16


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
    # A float32 holds 24 bits, so no number is rounded and none becomes 1.
    numbers = (_words(math.prod(shape), stream) >> 8).astype(np.float32) * np.float32(2**-24)
    return torch.from_numpy(numbers).reshape(shape)


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
