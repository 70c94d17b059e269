"""Data sets as tensors in memory, and the table of those that can be loaded."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dynsparse.data.download import (
    DataError,
    describe_error,
    fetch_files,
    missing_files,
    requested_data_dir,
    resolve_data_dir,
)
from dynsparse.data.holdout import at_random
from dynsparse.data.library_sets import Arrays, idx_files, read_digits, read_svhn, read_torchvision
from dynsparse.data.speech_commands import ARCHIVE, FOLDER, download_speech_commands, read_speech_commands
from dynsparse.io.shared_arrays import cache_dir, load_or_make
from dynsparse.random import Stream


@dataclass(frozen=True)
class Images:
    """Images as stored, mostly with 8 bits per pixel, and their normalisation: (pixel - mean) * scale."""

    pixels: np.ndarray  # (examples, input_size), uint8; or float32 and normalised already
    mean: float = 0.0
    scale: float = 1.0  # one over the standard deviation

    # The cached tensor may be created in inference mode but used in training, which refuses inference tensors.
    @cached_property
    @torch.inference_mode(False)
    def normalised(self) -> Tensor:
        """The images as numbers, cached in four times the memory. Shapes: (examples, input_size), float32."""
        if self.pixels.dtype != np.float32:
            return self.normalise()
        # A tensor cannot protect an array that is mapped from the cache, so it gets a copy.
        return torch.from_numpy(np.require(self.pixels, requirements="W"))

    def normalise(self) -> Tensor:
        """Return the images as numbers, without caching them. Shapes: (examples, input_size), float32."""
        # Equal to scaling pixels, mean and std to [0, 1] first, as they are usually quoted.
        return torch.from_numpy(self.pixels.astype(np.float32)).sub_(self.mean).mul_(self.scale)

    def select(self, index: Tensor) -> Images:
        """Return the images at some indices."""
        return replace(self, pixels=self.pixels[index.numpy()])


@dataclass(frozen=True)
class Dataset:
    """A data set in memory. The trials of a process share it, so it must not be changed.

    Shapes: images (examples, input_size); y (examples,), int64, in [0, num_classes). In a regression, y has numbers to
    predict, standardized: (examples, num_classes), float32.

    Attributes:
        num_classes: the number of classes or, in a regression, of the numbers to predict.
        class_names: the label of each class; () where classes are numbered in the data.
        feature_names: the name of each feature of a table; () for other data.
        feature_mean: what has been subtracted from each feature; () for images.
        feature_scale: what each feature has been multiplied by then; () for images.
        target_mean: in a regression, the mean of each number to predict over the training part, in its unit; else ().
        target_deviation: likewise, its standard deviation.
        hold_out: returns which training examples are held out for validation, given labels, number and random stream.
    """

    name: str
    train: Images
    train_y: Tensor
    test: Images
    test_y: Tensor
    num_classes: int
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    feature_mean: tuple[float, ...] = ()
    feature_scale: tuple[float, ...] = ()
    target_mean: tuple[float, ...] = ()
    target_deviation: tuple[float, ...] = ()
    hold_out: Callable[[Tensor, int, Stream], Tensor] = at_random

    @property
    def input_size(self) -> int:
        """The number of pixels of one example, over all channels."""
        return int(self.train.pixels.shape[1])

    @property
    def train_x(self) -> Tensor:
        """The normalised training images."""
        return self.train.normalised

    @property
    def test_x(self) -> Tensor:
        """The normalised test images."""
        return self.test.normalised

    def normalise(self, inputs: np.ndarray) -> Tensor:
        """Return further inputs, in the unit of the source, as a network gets them.

        Shapes: inputs (examples, input_size), or images (examples, ...); the result (examples, input_size), float32.

        Example:
            >>> from dynsparse.data import OwnData, load_dataset
            >>> data = load_dataset("sklearn:wine", own=OwnData(test_fraction=0.2))
            >>> x = data.normalise([data.feature_mean, [0.0] * 13])
            >>> x.shape, float(x[0].abs().max())
            (torch.Size([2, 13]), 0.0)
        """
        x = np.asarray(inputs).reshape(len(inputs), -1)
        if not self.feature_mean:
            return replace(self.train, pixels=x).normalise()
        standardized = (x - np.array(self.feature_mean)) * np.array(self.feature_scale)
        return torch.from_numpy(standardized.astype(np.float32))

    def predictions(self, outputs: Tensor | np.ndarray) -> Tensor:
        """Return what a network predicts in a regression, in the unit of the labels.

        Shapes: outputs (examples, num_classes), of the network; the result the same.

        Example:
            >>> from dynsparse.data import OwnData, load_dataset
            >>> data = load_dataset("sklearn:diabetes", own=OwnData(test_fraction=0.2, is_regression=True))
            >>> data.predictions(data.test_y)[:3, 0].tolist()
            [206.0, 69.0, 171.0]
        """
        return torch.as_tensor(outputs) * torch.tensor(self.target_deviation) + torch.tensor(self.target_mean)


@dataclass(frozen=True)
class Source:
    """A row of `DATASETS`: the sizes of a data set, and a function that loads it."""

    input_size: int
    num_classes: int
    read: Callable[[Path, bool], Arrays]  # (folder, download); True downloads into the folder first
    files: tuple[str, ...] = ()  # files that `read` needs in the folder; empty if a dependency contains the data
    n_train: int | None = None  # training examples, for checks before the data are read; None: not known
    image_shape: tuple[int, ...] | None = None  # channels, height, width; None: the inputs have no shape
    unpacked: str | None = None  # a folder with the content of `files`, which `read` takes instead if it is there
    download: Callable[[Path], object] | None = None  # downloads `files` without reading them; None: `read` does

    def is_in(self, folder: Path) -> bool:
        """Return True if what `read` needs is in a folder."""
        return self.read_from(folder) == (self.unpacked,) or not missing_files(self.files, folder)

    def read_from(self, folder: Path) -> tuple[str, ...]:
        """Return what `read` needs in a folder: `unpacked` if it is there, or else `files`."""
        if self.unpacked is not None and os.path.isdir(folder / self.unpacked):
            return (self.unpacked,)
        return self.files


def _of_torchvision(name: str) -> Source:
    read, files = partial(read_torchvision, name), idx_files(name, "train", "t10k")
    return Source(784, 10, read, files, 60_000, (1, 28, 28))


# To add a data set, add a row here, or from your program before it creates a Config.
DATASETS: dict[str, Source] = {
    "digits": Source(64, 10, read_digits, n_train=1437, image_shape=(1, 8, 8)),
    **{name: _of_torchvision(name) for name in ("MNIST", "FashionMNIST", "KMNIST")},
    "EMNIST": Source(
        784,
        47,
        partial(read_torchvision, "EMNIST", split="balanced"),
        idx_files("EMNIST", "emnist-balanced-train", "emnist-balanced-test"),
        112_800,
        (1, 28, 28),
    ),
    "CIFAR10": Source(
        3072,
        10,
        partial(read_torchvision, "CIFAR10"),
        tuple(
            f"cifar-10-batches-py/{file}"
            for file in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
        ),
        50_000,
        (3, 32, 32),
    ),
    "CIFAR100": Source(
        3072,
        100,
        partial(read_torchvision, "CIFAR100"),
        tuple(f"cifar-100-python/{file}" for file in ("train", "test", "meta")),
        50_000,
        (3, 32, 32),
    ),
    "SVHN": Source(3072, 10, read_svhn, ("SVHN/train_32x32.mat", "SVHN/test_32x32.mat"), 73_257, (3, 32, 32)),
    "SpeechCommands": Source(
        1024,
        12,
        read_speech_commands,
        (ARCHIVE,),
        image_shape=(1, 32, 32),
        unpacked=FOLDER,
        download=download_speech_commands,
    ),
}


# Mean and scale of the normalisation (pixel - mean) * scale, from the training set and its moments.
PIXELS: dict[str, Callable[[np.ndarray, dict[str, float]], tuple[float, float]]] = {
    # Pixels that are all equal have no standard deviation; they become 0.
    "standard": lambda train, moments: (moments["mean"], 1 / (moments["std"] or 1.0)),
    "unit": lambda train, moments: (0.0, 1 / (float(train.max()) or 1.0)),
}


def load_builtin(name: str, data_dir: str | None, pixels: str) -> Dataset:
    """Return a data set of DATASETS, read from a folder or downloaded into it. Raises: DataError."""
    return _load(name, DATASETS[name], requested_data_dir(data_dir) or str(cache_dir()), pixels)


# A process trains many trials on the same data. It keeps two data sets, for a grid over data sets, and no more: for the
# largest, the torch engine needs 700 MB.
@lru_cache(maxsize=2)
@torch.inference_mode(False)
def _load(name: str, source: Source, data_dir: str, pixels: str) -> Dataset:
    folder = resolve_data_dir(data_dir)
    if not source.is_in(folder):
        fetch_files(name, source.files, data_dir, source.download or (lambda folder: source.read(folder, True)))
    names = source.read_from(folder)
    files = [folder / each for each in names]
    # The time of a folder is that of the last file that was added or removed.
    files += [below for each in files if each.is_dir() for below in sorted(each.iterdir())]

    def read() -> tuple[Arrays, dict[str, float]]:
        try:
            train_x, train_y, test_x, test_y = source.read(folder, False)
            _check(source, train_x, train_y)
            _check(source, test_x, test_y)
        except Exception as error:  # For damaged files, torchvision raises many types of errors.
            if not files:
                raise
            raise DataError(
                f"{name} in {folder} cannot be read, its files may be damaged ({describe_error(error)}). Replace these "
                f"files, or delete them to download them again: {', '.join(names)}."
            ) from error
        mean, std = pixel_moments(train_x)
        flat_train, flat_test = (x.reshape(len(x), -1) for x in (train_x, test_x))
        return (flat_train, train_y.astype(np.int64), flat_test, test_y.astype(np.int64)), {"mean": mean, "std": std}

    # Data that comes with a package is small and loads at once, so it is not cached on disk.
    (train_x, train_y, test_x, test_y), moments = load_or_make(name, files, read) if files else read()
    mean, scale = PIXELS[pixels](train_x, moments)
    labels = torch.tensor(train_y), torch.tensor(test_y)
    return Dataset(
        name, Images(train_x, mean, scale), labels[0], Images(test_x, mean, scale), labels[1], source.num_classes
    )


def _check(source: Source, x: np.ndarray, y: np.ndarray) -> None:
    """Check the sizes of images and labels. Raises: ValueError."""
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"images and labels must have the same number, got {len(x)} images and {len(y)} labels")
    if x[0].size != source.input_size:
        raise ValueError(f"an image must have {source.input_size} pixels, got {x[0].size}")
    if not 0 <= y.min() <= y.max() < source.num_classes:
        raise ValueError(f"labels must be from 0 to {source.num_classes - 1}, got {y.min()} to {y.max()}")


def pixel_moments(pixels: np.ndarray) -> tuple[float, float]:
    """Return the mean and the standard deviation of all pixels, in the unit of the pixels."""
    # Integer arithmetic until the end is exact, so the result is the same on every machine with any number of threads.
    counts = torch.bincount(torch.from_numpy(pixels).flatten()).tolist()
    n = sum(counts)
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    return total / n, math.sqrt(n * squares - total * total) / n
