"""Small data sets in MNIST's format, and what loading them must give."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch

from dynsparse.data import (
    DATASETS,
    Dataset,
)


def idx(array: np.ndarray) -> bytes:
    """A file in the idx format: two zeros, 8 for bytes, how many dimensions, each dimension, the bytes."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def random_images(n: int, shape: tuple[int, ...], num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels that take every pixel value and every class."""
    generator = np.random.RandomState(seed)
    return generator.randint(0, 256, (n, *shape)).astype(np.uint8), np.arange(n) % num_classes


def write_idx(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A small data set in MNIST's format where `load_dataset` looks for it."""
    num_classes = DATASETS[name].num_classes
    train, test = random_images(120, (28, 28), num_classes, 0), random_images(50, (28, 28), num_classes, 1)
    for file, content in zip(DATASETS[name].files, (*train, *test), strict=True):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(idx(content))
    return *train, *test


def normalise(pixels: np.ndarray, train_pixels: np.ndarray) -> torch.Tensor:
    """(x - mean) / std of pixels scaled to [0, 1], in float64."""
    x, train = pixels / 255, train_pixels / 255
    return torch.from_numpy((x - train.mean()) / train.std()).flatten(1)


def assert_dataset_equals(
    dataset: Dataset, train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray
) -> None:
    # Pixels are at most a few standard deviations from 0, and a float32 has 7 digits.
    torch.testing.assert_close(dataset.train_x.double(), normalise(train_x, train_x), rtol=0, atol=1e-5)
    torch.testing.assert_close(dataset.test_x.double(), normalise(test_x, train_x), rtol=0, atol=1e-5)
    assert dataset.train_y.tolist() == train_y.tolist()
    assert dataset.test_y.tolist() == test_y.tolist()
    for x, y in ((dataset.train_x, dataset.train_y), (dataset.test_x, dataset.test_y)):
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert x.is_contiguous()
