"""Random choices about data: noise, the split, the order of examples."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from dynsparse.data import (
    epoch_order,
    load_dataset,
    noise_images,
    split,
)

# Noise


def test_noise_overwrites_exactly_so_many_pixels_with_each_value() -> None:
    x = torch.arange(2000 * 784).reshape(2000, 784).float()
    before = x.clone()
    noisy = noise_images(x, 0.15, seed=0)
    assert torch.equal(x, before)
    # Distinct pixels: one that were drawn twice would leave fewer than 58 + 59.
    assert ((noisy == 0.9).sum(1) == 58).all()
    assert ((noisy == 0.1).sum(1) == 59).all()
    assert ((noisy != x).sum(1) == 117).all()


@pytest.mark.parametrize(
    ("noise_level", "bright", "dark"),
    [(0.0, 0, 0), (0.02, 0, 1), (0.5, 16, 16), (0.99, 31, 32), (1.0, 32, 32)],
)
def test_noise_levels(noise_level: float, bright: int, dark: int) -> None:
    noisy = noise_images(torch.zeros(50, 64), noise_level, seed=0)
    assert ((noisy == 0.9).sum(1) == bright).all()
    assert ((noisy == 0.1).sum(1) == dark).all()


def test_noise_depends_on_the_seed_and_the_image_alone() -> None:
    x = torch.zeros(100, 784)
    noisy = noise_images(x, 0.15, seed=1)
    assert torch.equal(noise_images(x, 0.15, seed=1), noisy)
    assert torch.equal(noise_images(x[:7], 0.15, seed=1), noisy[:7])
    # Two independent sets of 117 among 784 pixels have 17.5 in common.
    common = ((noise_images(x, 0.15, seed=2) != 0) & (noisy != 0)).sum(1).double()
    assert common.mean().item() == pytest.approx(117**2 / 784, abs=1.5)
    assert len({tuple(image.nonzero().flatten().tolist()) for image in noisy}) == 100


@pytest.mark.parametrize("value", [0.9, 0.1])
def test_noise_is_uniform_over_pixels(value: float) -> None:
    n_images, n_pixels, n_drawn = 20000, 64, 16
    counts = (noise_images(torch.zeros(n_images, n_pixels), 0.5, seed=0) == value).sum(0).double()
    share = n_drawn / n_pixels
    # An image's pixels are drawn without replacement, so that the counts are a little less spread.
    statistic = ((counts - n_images * share) ** 2 / (n_images * share * (1 - share))).sum().item()
    statistic *= (n_pixels - 1) / n_pixels
    assert 0.001 < stats.chi2.sf(statistic, n_pixels - 1) < 0.999


# The split and the order


@pytest.mark.parametrize(("val_fraction", "n_val"), [(0.0, 0), (0.1, 144), (0.5, 718), (0.9999, 1437)])
def test_the_split_is_disjoint_and_complete(val_fraction: float, n_val: int) -> None:
    dataset = load_dataset("digits")
    train, val = split(dataset, val_fraction, seed=0)
    assert len(val) == n_val
    assert sorted(train.tolist() + val.tolist()) == list(range(1437))
    assert torch.equal(train, train.sort().values)
    assert torch.equal(val, val.sort().values)
    assert (train.dtype, val.dtype) == (torch.int64, torch.int64)


def test_the_split_depends_on_the_seed() -> None:
    dataset = load_dataset("digits")
    assert torch.equal(split(dataset, 0.1, seed=1)[1], split(dataset, 0.1, seed=1)[1])
    assert not torch.equal(split(dataset, 0.1, seed=1)[1], split(dataset, 0.1, seed=2)[1])


def test_the_order_depends_on_seed_and_epoch() -> None:
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert torch.equal(epoch_order(1000, 1, 1), orders[3])
