"""Data sets as tensors in memory: what they are, and how they are loaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dynsparse.data.download import DataError, describe_error, fetch_files, requested_data_dir
from dynsparse.io.shared_arrays import cache_dir, load_or_make

# train_x, train_y, test_x, test_y. Shapes: x (examples, ...), uint8 pixels; y (examples,), classes from 0 on.
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Images:
    """Images as they are stored, most often 8 bits a pixel, and what makes numbers of them: (pixel - mean) * scale."""

    pixels: np.ndarray  # (examples, input_size), uint8; or float32 and normalised already
    mean: float = 0.0
    scale: float = 1.0  # one over the standard deviation

    # It outlives whoever asks first; a tensor made in inference mode could never be trained on.
    @cached_property
    @torch.inference_mode(False)
    def normalised(self) -> Tensor:
        """Four times the memory, for who computes on all of them. Shapes: (examples, input_size), float32."""
        return torch.from_numpy(self.pixels) if self.pixels.dtype == np.float32 else self.normalise()

    def normalise(self) -> Tensor:
        """A copy of them as numbers, which is not kept. Shapes: as above."""
        # The same as scaling pixels, mean and std to [0, 1] first, which is how they are usually quoted.
        return torch.from_numpy(self.pixels.astype(np.float32)).sub_(self.mean).mul_(self.scale)

    def at(self, index: Tensor) -> Images:
        """Some of them."""
        return replace(self, pixels=self.pixels[index.numpy()])


@dataclass(frozen=True)
class Dataset:
    """A data set in memory, shared by the trials of a process: do not write into it.

    Shapes: images (examples, input_size); y (examples,), int64, in [0, num_classes).
    """

    name: str
    train: Images
    train_y: Tensor
    test: Images
    test_y: Tensor
    num_classes: int

    @property
    def input_size(self) -> int:
        """Pixels of one example, all channels together."""
        return int(self.train.pixels.shape[1])

    @property
    def train_x(self) -> Tensor:
        """The normalised training images."""
        return self.train.normalised

    @property
    def test_x(self) -> Tensor:
        """The normalised test images."""
        return self.test.normalised


@dataclass(frozen=True)
class Source:
    """A row of `DATASETS`: what is known of a data set before it is loaded, and how to load it."""

    input_size: int
    num_classes: int
    read: Callable[[Path, bool], Arrays]  # (folder, download); True: download into the folder first
    files: tuple[str, ...] = ()  # what `read` needs in the folder; empty: the data comes with a dependency


def _read_digits(folder: Path, download: bool) -> Arrays:
    """The 1797 digits that scikit-learn embeds: 8x8 pixels from 0 to 16.

    They come without a test set. Of the images sorted by class, in file order within a class, every fifth is
    a test example, beginning with the first: 360 of them, a fifth of every class.
    """
    # Imported here, as torchvision below: importing both takes three seconds, longer than many a trial.
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = digits.images.astype(np.uint8), digits.target
    test = np.zeros(len(y), dtype=bool)
    test[np.argsort(y, kind="stable")[::5]] = True
    return x[~test], y[~test], x[test], y[test]


def _read_torchvision(class_name: str, folder: Path, download: bool, **options: str) -> Arrays:
    """A data set of torchvision's, pixels in the order of its files: EMNIST's images lie on their side."""
    from torchvision import datasets

    def read(train: bool) -> tuple[np.ndarray, np.ndarray]:
        part = getattr(datasets, class_name)(root=folder, train=train, download=download, **options)
        x = np.asarray(part.data)
        # torchvision has moved the channels of colour images last; the files have them first.
        return x if x.ndim == 3 else np.moveaxis(x, 3, 1), np.asarray(part.targets)

    return *read(True), *read(False)


def _idx_files(folder: str, train: str, test: str) -> tuple[str, ...]:
    """The four files of a data set in MNIST's format, as torchvision names them."""
    return tuple(
        f"{folder}/raw/{part}-{content}-ubyte" for part in (train, test) for content in ("images-idx3", "labels-idx1")
    )


# To add a data set, add a row, here or from a program before it makes a Config.
DATASETS: dict[str, Source] = {
    "digits": Source(64, 10, _read_digits),
    "MNIST": Source(784, 10, partial(_read_torchvision, "MNIST"), _idx_files("MNIST", "train", "t10k")),
    "FashionMNIST": Source(
        784, 10, partial(_read_torchvision, "FashionMNIST"), _idx_files("FashionMNIST", "train", "t10k")
    ),
    "KMNIST": Source(784, 10, partial(_read_torchvision, "KMNIST"), _idx_files("KMNIST", "train", "t10k")),
    "EMNIST": Source(
        784,
        47,
        partial(_read_torchvision, "EMNIST", split="balanced"),
        _idx_files("EMNIST", "emnist-balanced-train", "emnist-balanced-test"),
    ),
    "CIFAR10": Source(
        3072,
        10,
        partial(_read_torchvision, "CIFAR10"),
        tuple(
            f"cifar-10-batches-py/{file}"
            for file in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
        ),
    ),
}


# How pixels become numbers: mean and scale of (pixel - mean) * scale, over the whole training set.
PIXELS: dict[str, Callable[[np.ndarray, dict[str, float]], tuple[float, float]]] = {
    "standard": lambda train, moments: (moments["mean"], 1 / moments["std"]),
    "unit": lambda train, moments: (0.0, 1 / float(train.max())),
}


def load_dataset(name: str, data_dir: str | None = None, pixels: str = "standard") -> Dataset:
    """The data set of that name in `DATASETS`, read from the folder that is asked for, or downloaded into it.

    Args:
        data_dir: a folder, or that of a store (s3://bucket/folder), from which it is fetched once to each machine;
            None: DYNSPARSE_DATA_DIR, or a cache folder of the user's.
        pixels: of PIXELS: "standard", with mean 0 and standard deviation 1; "unit", in [0, 1].

    Raises: DataError if the data set is not there and cannot be downloaded, or if its files are damaged.
    """
    if name not in DATASETS:
        raise DataError(f"unknown dataset_name {name!r}; choose from {', '.join(DATASETS)}")
    return _load(name, DATASETS[name], requested_data_dir(data_dir) or str(cache_dir()), pixels)


# A process trains many trials on the same data. Two data sets are kept, for a grid over them, and no more: the torch
# engine takes 700 MB for the largest.
@lru_cache(maxsize=2)
@torch.inference_mode(False)
def _load(name: str, source: Source, data_dir: str, pixels: str) -> Dataset:
    folder = fetch_files(name, source.files, data_dir, lambda folder: source.read(folder, True))

    def read() -> tuple[Arrays, dict[str, float]]:
        try:
            train_x, train_y, test_x, test_y = source.read(folder, False)
            _check(source, train_x, train_y)
            _check(source, test_x, test_y)
        except Exception as error:  # torchvision raises whatever the damaged bytes lead it to
            if not source.files:
                raise
            raise DataError(
                f"{name} in {folder} cannot be read; its files may be damaged ({describe_error(error)}). Replace them, "
                f"or delete them to have them downloaded again: {', '.join(source.files)}"
            ) from error
        mean, std = _moments(train_x)
        flat_train, flat_test = (x.reshape(len(x), -1) for x in (train_x, test_x))
        return (flat_train, train_y.astype(np.int64), flat_test, test_y.astype(np.int64)), {"mean": mean, "std": std}

    # What comes with a package is small, and there in an instant.
    files = [folder / file for file in source.files]
    (train_x, train_y, test_x, test_y), moments = load_or_make(name, files, read) if files else read()
    mean, scale = PIXELS[pixels](train_x, moments)
    labels = torch.tensor(train_y), torch.tensor(test_y)
    return Dataset(
        name, Images(train_x, mean, scale), labels[0], Images(test_x, mean, scale), labels[1], source.num_classes
    )


def _check(source: Source, x: np.ndarray, y: np.ndarray) -> None:
    """Raises: ValueError if images and labels are not those of the data set."""
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"{len(x)} images and {len(y)} labels")
    if x[0].size != source.input_size:
        raise ValueError(f"{x[0].size} pixels in an image instead of {source.input_size}")
    if not 0 <= y.min() <= y.max() < source.num_classes:
        raise ValueError(f"labels from {y.min()} to {y.max()} instead of 0 to {source.num_classes - 1}")


def _moments(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation over all pixels, in the pixels' own unit."""
    # In integers until the end: exact, so the same on every machine and with any number of threads.
    counts = torch.bincount(torch.from_numpy(pixels).flatten()).tolist()
    n = sum(counts)
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    return total / n, math.sqrt(n * squares - total * total) / n
