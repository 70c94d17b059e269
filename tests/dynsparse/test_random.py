"""Random numbers: an independent Philox gives the same, streams differ, the numbers are uniform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from dynsparse.random import Purpose, Stream, bits, dropout_limit, dropout_numbers, noise, permutation, uniform

STREAM = Stream(7, Purpose.MASK, epoch=3, layer=2, step=5)

# Worked out with `philox` below, not with the library.
BITS = ["7c46dcb0140c5e1a", "8e3250b40a616545", "79e0edd38efd49df"]
# The halves of the draws, low half first; and their upper 24 bits, over 2**24.
NOISE = ["140c5e1a", "7c46dcb0", "0a616545", "8e3250b4", "8efd49df"]
UNIFORM = ["140c5e", "7c46dc", "0a6165", "8e3250", "8efd49"]
# The positions of the first six draws, smallest draw first.
PERMUTATION = [3, 4, 2, 0, 1, 5]

# Good numbers fall below it once in a thousand seeds, and the seeds here are fixed; bad ones fall far below.
UNLIKELY = 0.001


def philox(key: tuple[int, int], counter: tuple[int, int, int, int]) -> list[int]:
    """One block of Philox4x64-10 in plain integers, as published."""
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * c2, 2**64)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = (k0 + 0x9E3779B97F4A7C15) % 2**64
        k1 = (k1 + 0xBB67AE8584CAA73B) % 2**64
    return [c0, c1, c2, c3]


def test_the_independent_philox_gives_the_published_answer() -> None:
    # The first line of the known answers that come with the authors' own library.
    published = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox((0, 0), (0, 0, 0, 0)) == published


@pytest.mark.parametrize(
    "stream",
    [STREAM, Stream(0, Purpose.WEIGHT), Stream(2**63 - 1, Purpose.SPLIT, epoch=10**6, layer=99, step=10**9)],
)
def test_bits_are_philox_with_key_seed_purpose_and_counter_epoch_layer_step(stream: Stream) -> None:
    key = (stream.seed, int(stream.purpose))
    # numpy counts up before it computes a block, so the first block is number 1.
    blocks = [philox(key, (block, stream.epoch, stream.layer, stream.step)) for block in (1, 2)]
    assert bits(8, stream).tolist() == blocks[0] + blocks[1]


def test_first_values_of_a_stream() -> None:
    assert [f"{draw:016x}" for draw in bits(3, STREAM).tolist()] == BITS
    assert uniform((5,), STREAM).tolist() == [int(word, 16) / 2**24 for word in UNIFORM]
    assert [f"{word % 2**32:08x}" for word in noise((5,), STREAM).tolist()] == NOISE
    assert permutation(6, STREAM).tolist() == PERMUTATION


def test_the_numbers_of_purposes_never_change() -> None:
    assert {purpose.name: purpose.value for purpose in Purpose} == {
        "WEIGHT": 1,
        "BIAS": 2,
        "MASK": 3,
        "ORDER": 4,
        "NOISE_IMAGES": 5,
        "PRUNE": 6,
        "GROW": 7,
        "DROPOUT": 8,
        "SPLIT": 9,
        "PRUNE_TRAINED": 10,
        "MODULE": 11,
        "TEST_SPLIT": 12,
        "PERMUTED_PIXELS": 13,
        "CORRUPTION": 14,
        "AUGMENTATION": 15,
        "SPEECH_CLIPS": 16,
        "WEIGHT_NOISE": 17,
    }


def test_distinct_streams_share_no_draw() -> None:
    # 2**-64 a pair is the chance that two draws are equal.
    streams = [Stream(seed, Purpose.MASK) for seed in (0, 1, 2**62)]
    streams += [Stream(0, purpose) for purpose in Purpose if purpose != Purpose.MASK]
    streams += [
        Stream(0, Purpose.MASK, epoch=1),
        Stream(0, Purpose.MASK, layer=1),
        Stream(0, Purpose.MASK, step=1),
    ]
    draws = np.concatenate([bits(1000, stream) for stream in streams])
    assert len(np.unique(draws)) == len(streams) * 1000


def test_values_do_not_depend_on_other_calls_or_on_how_many_are_drawn() -> None:
    before = uniform((100,), STREAM)
    torch.manual_seed(1)
    np.random.seed(1)
    noise((10,), STREAM)
    permutation(10, Stream(8, Purpose.ORDER))
    assert torch.equal(uniform((100,), STREAM), before)
    assert torch.equal(uniform((33,), STREAM), before[:33])
    assert torch.equal(uniform((3, 11), STREAM), before[:33].reshape(3, 11))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 5), (2, 3, 4), torch.Size([4, 0, 2])])
def test_shapes_and_types(shape: tuple[int, ...]) -> None:
    assert uniform(shape, STREAM).shape == shape
    assert uniform(shape, STREAM).dtype == torch.float32
    assert noise(shape, STREAM).shape == shape
    assert noise(shape, STREAM).dtype == torch.int32


def test_uniform_is_uniform_in_0_to_1() -> None:
    numbers = uniform((1_000_000,), STREAM)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert torch.equal(numbers * 2**24, (numbers * 2**24).round())
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > UNLIKELY


def test_every_byte_of_noise_is_uniform_and_ties_are_rare() -> None:
    numbers = noise((1_000_000,), STREAM).numpy()
    for byte in range(4):
        counts = np.bincount(numbers.view(np.uint32) >> (8 * byte) & 255, minlength=256)
        assert stats.chisquare(counts).pvalue > UNLIKELY
    # 10**12 / 2 pairs, each equal with a chance of 2**-32: 116 are expected, with a standard deviation of 11.
    assert 70 < len(numbers) - len(np.unique(numbers)) < 170


def test_neighbouring_streams_are_uncorrelated() -> None:
    layers = np.stack([uniform((100_000,), Stream(0, Purpose.GROW, layer=layer)).numpy() for layer in range(4)])
    correlations = np.corrcoef(layers)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(100_000)


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutation_is_one(n: int) -> None:
    order = permutation(n, STREAM)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(n))


def test_permutations_are_uniform() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for epoch in range(6000):
        order = tuple(permutation(3, Stream(0, Purpose.ORDER, epoch=epoch)).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > UNLIKELY


# Dropout


def test_the_numbers_of_dropout_are_those_of_the_draws_block_by_block() -> None:
    draws = [int(draw) for draw in bits(2 * 3 * 16, STREAM)]
    parts = [draw >> shift & 0xFFFF for draw in draws for shift in (0, 16, 32, 48)]
    numbers = dropout_numbers(100, 3, STREAM)
    assert numbers.shape == (100, 3)
    assert numbers.dtype == torch.int32
    for example, unit in [(0, 0), (1, 0), (63, 0), (0, 1), (5, 2), (64, 0), (99, 2)]:
        assert numbers[example, unit] == parts[(example // 64 * 3 + unit) * 64 + example % 64]


def test_the_limit_of_dropout_is_the_share_of_the_numbers() -> None:
    shares = torch.tensor([0.0, 2**-18, 2**-16, 0.25, 0.2, 0.5, 1 - 2**-24], dtype=torch.float64)
    assert dropout_limit(shares).tolist() == [0, 0, 1, 16384, 13107, 32768, 65535]


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_the_share_of_units_that_dropout_drops_is_the_wanted_one(share: float) -> None:
    numbers = dropout_numbers(1000, 400, STREAM)
    dropped = (numbers < dropout_limit(torch.tensor(share))).double().mean()
    # Four standard deviations of a mean of 400,000.
    assert dropped == pytest.approx(share, abs=4 * (share * (1 - share) / 400_000) ** 0.5)
