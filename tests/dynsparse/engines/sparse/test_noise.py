"""Compare the numbers at some positions with that of numpy's generator at all positions."""

from __future__ import annotations

import numpy as np
import pytest

from dynsparse.random import Purpose, Stream, uniform
from dynsparse.random import noise as noise_everywhere

noise = pytest.importorskip("dynsparse.engines.sparse.noise")

STREAMS = [
    Stream(0, Purpose.PRUNE),
    Stream(2**63 - 1, Purpose.GROW, epoch=3, layer=2, step=7),
    Stream(12345, Purpose.MASK, epoch=2**40, layer=2**33, step=2**62),
]


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_the_numbers_at_some_positions_are_those_of_the_whole_stream(stream: Stream) -> None:
    everywhere, uniform_everywhere = noise_everywhere((10_007,), stream).numpy(), uniform((10_007,), stream).numpy()
    for n in (0, 1, 3000, 10_007):
        positions = np.sort(np.random.default_rng(n).choice(10_007, n, replace=False))
        np.testing.assert_array_equal(noise.noise_at(stream, positions), everywhere[positions])
        np.testing.assert_array_equal(noise.uniform_at(stream, positions), uniform_everywhere[positions])


@pytest.mark.parametrize("stream", STREAMS, ids=str)
@pytest.mark.parametrize("density", [0.0, 0.1, 0.999, 1.0])
def test_the_free_positions_are_those_of_a_sorted_list(stream: Stream, density: float) -> None:
    everywhere = noise_everywhere((10_007,), stream).numpy()
    mask = np.random.default_rng(1).random(10_007) < density
    free = np.flatnonzero(~mask)
    by_noise = free[np.argsort(everywhere[free], kind="stable")]
    for number in (0, 1, 5, 100, 5000, len(free) - 1, len(free), len(free) + 10):
        if number >= 0:
            found = noise.free_positions_with_lowest_noise(stream, mask, number)
            assert sorted(found) == sorted(by_noise[:number])


def test_more_noise_is_collected_where_too_little_was_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # With a square root of -20 the limit lies 110 positions too low.
    monkeypatch.setattr(noise.math, "sqrt", lambda _: -20.0)
    limits = []
    collect = noise._free_noise_below
    monkeypatch.setattr(noise, "_free_noise_below", lambda limit, *rest: limits.append(limit) or collect(limit, *rest))
    stream, mask = STREAMS[0], np.zeros(10_007, np.bool_)
    everywhere = noise_everywhere((10_007,), stream).numpy()
    for number in range(200, 5000, 100):
        found = noise.free_positions_with_lowest_noise(stream, mask, number)
        assert sorted(found) == sorted(np.argsort(everywhere, kind="stable")[:number])
    assert limits.count(2.0**31) > 20
