"""Permuted pixels and corrupted test images, from small files in MNIST's format, against other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from support.idx_files import write_idx

from dynsparse.data import DataError, load_dataset
from dynsparse.data.sources import Content, Request, kind_of
from dynsparse.data.sources.changed_images import CORRUPTIONS
from dynsparse.random import Purpose, Stream

STREAM = Stream(0, Purpose.CORRUPTION)


def read(name: str, folder: Path) -> Content:
    kind = kind_of(name)
    assert kind is not None
    return kind.read(Request(name, str(folder)))


def corrupt(corruption: str, x: np.ndarray) -> Any:
    return CORRUPTIONS[corruption](x.astype(np.float32), STREAM)


def test_all_images_get_one_permutation_of_their_pixels(tmp_path: Path) -> None:
    train_x, train_y, test_x, test_y = write_idx(tmp_path, "MNIST")
    train, test = read("permuted:MNIST", tmp_path).parts
    assert train.x.shape == (120, 1, 28, 28) and train.x.dtype == np.uint8
    assert train.y.tolist() == train_y.tolist() and test.y.tolist() == test_y.tolist()
    # The columns of pixels of all images are distinct, so they show the permutation.
    before, after = np.concatenate([train_x, test_x]), np.concatenate([train.x, test.x])
    places = {column.tobytes(): i for i, column in enumerate(before.reshape(170, -1).T)}
    order = [places[column.tobytes()] for column in after.reshape(170, -1).T]
    assert sorted(order) == list(range(784)) and order[:5] != [0, 1, 2, 3, 4]
    assert read("permuted:MNIST", tmp_path).data_hash == read("permuted:MNIST", tmp_path).data_hash


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_test_images_are_corrupted_and_training_images_are_clean(corruption: str, tmp_path: Path) -> None:
    train_x, train_y, test_x, test_y = write_idx(tmp_path, "MNIST")
    content = read(f"corrupted:MNIST:{corruption}", tmp_path)
    train, test = content.parts
    assert np.array_equal(train.x[:, 0], train_x) and train.y.tolist() == train_y.tolist()
    assert test.y.tolist() == test_y.tolist()
    assert test.x.dtype == np.uint8 and not np.array_equal(test.x[:, 0], test_x)
    again = read(f"corrupted:MNIST:{corruption}", tmp_path)
    assert np.array_equal(again.parts[1].x, test.x) and again.data_hash == content.data_hash
    assert len({read(f"corrupted:MNIST:{each}", tmp_path).data_hash for each in CORRUPTIONS}) == len(CORRUPTIONS)


def test_each_data_set_has_its_name(tmp_path: Path) -> None:
    write_idx(tmp_path, "MNIST")
    dataset = load_dataset("corrupted:MNIST:stripe", str(tmp_path))
    assert (dataset.name, dataset.num_classes, dataset.train_x.shape) == ("corrupted:MNIST:stripe", 10, (120, 784))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("permuted:MINST", "Unknown data set of images 'MINST'. Did you mean 'MNIST'"),
        ("permuted:", "Unknown data set of images ''. Available: digits, MNIST, "),
        ("corrupted:MNIST", "Unknown corruption ''. Available: shot_noise, "),
        ("corrupted:MNIST:blur", "Write corrupted:NAME:CORRUPTION."),
        ("corrupted:digits:contrast", "needs images whose white is 255, got 16 in 'digits'."),
    ],
)
def test_what_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(name, tmp_path)
    assert message in str(error.value)


# Each corruption


@pytest.mark.parametrize("value", [0, 3, 128, 255])
def test_shot_noise_is_poisson(value: int) -> None:
    photons = corrupt("shot_noise", np.full((200, 1, 20, 20), value)) / 25.5
    counts = np.bincount(photons.astype(int).ravel(), minlength=40)
    assert np.allclose(photons, photons.round()) and counts.sum() == 80_000
    expected = 80_000 * scipy.stats.poisson.pmf(np.arange(len(counts)), 10 * value / 255)
    often = expected > 5
    # The sum of squared standardized differences is about the number of terms.
    assert ((counts - expected)[often] ** 2 / expected[often]).sum() < often.sum() + 4 * (2 * often.sum()) ** 0.5


def test_impulse_noise_sets_a_tenth_to_black_and_a_tenth_to_white() -> None:
    x = corrupt("impulse_noise", np.full((100, 1, 20, 20), 100))
    assert [round((x == value).mean(), 2) for value in (0, 100, 255)] == [0.1, 0.8, 0.1]


def test_the_deterministic_ones_by_hand() -> None:
    x = np.array([[[[0, 255, 0, 0, 255, 0, 0, 30]]]])
    assert corrupt("brightness", x)[0, 0, 0, :2].tolist() == [100, 355]
    # The mean is 67.5.
    assert corrupt("contrast", x)[0, 0, 0, :2].tolist() == pytest.approx([54, 105])
    assert corrupt("stripe", x)[0, 0, 0].tolist() == [0, 255, 0, 255, 0, 0, 0, 30]
    point = np.zeros((1, 1, 21, 21))
    point[0, 0, 10, 10] = 255
    bell = np.exp(-(np.arange(-6, 7) ** 2) / (2 * 1.5**2))
    weights = np.outer(bell, bell) / bell.sum() ** 2
    np.testing.assert_allclose(corrupt("gaussian_blur", point)[0, 0, 4:17, 4:17], 255 * weights, atol=1e-4)


def test_a_rotation_is_that_of_scipy_by_up_to_45_degrees() -> None:
    # A smooth image, because the two libraries treat the border in other ways.
    rows, columns = np.mgrid[-13.5:14, -13.5:14]
    image = 255 * np.exp(-((rows - 4) ** 2) / 10 - (columns + 2) ** 2 / 6)
    rotated = corrupt("rotation", np.broadcast_to(image, (50, 1, 28, 28)))
    angles = np.linspace(-45, 45, 901)
    candidates = np.stack([scipy.ndimage.rotate(image, angle, reshape=False, order=1) for angle in angles])
    distances = abs(rotated - candidates[None, :].reshape(1, 901, 28, 28)).max((2, 3))
    assert distances.min(1).max() < 2
    found = angles[distances.argmin(1)]
    assert found.min() < -30 and found.max() > 30 and len(set(found)) > 40


def test_a_translation_moves_by_up_to_6_pixels_and_fills_with_black() -> None:
    point = np.zeros((500, 1, 28, 28))
    point[:, 0, 13, 14] = 255
    _, _, rows, columns = np.nonzero(corrupt("translation", point))
    assert sorted(set(rows - 13)) == sorted(set(columns - 14)) == list(range(-6, 7))
    corner = np.full((500, 1, 28, 28), 7)
    shares = (corrupt("translation", corner) == 7).mean((1, 2, 3))
    assert shares.min() == pytest.approx((22 / 28) ** 2) and shares.max() > 0.9
