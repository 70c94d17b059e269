"""The data sets of scikit-learn and torchvision that are rows of `DATASETS`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# train_x, train_y, test_x, test_y. Shapes: x (examples, ...), uint8 pixels; y (examples,), classes from 0.
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def read_digits(folder: Path, download: bool) -> Arrays:
    """Return the 1797 digits that scikit-learn contains: 8x8 pixels from 0 to 16.

    They have no test set. Of the images sorted by class, in file order within a class, every fifth becomes a test
    example, starting with the first. This gives 360 test examples, a fifth of each class.
    """
    # Imported here, like torchvision below: importing both takes three seconds, longer than some trials.
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = digits.images.astype(np.uint8), digits.target
    test = np.zeros(len(y), dtype=bool)
    test[np.argsort(y, kind="stable")[::5]] = True
    return x[~test], y[~test], x[test], y[test]


def read_torchvision(class_name: str, folder: Path, download: bool, **options: str) -> Arrays:
    """Return a data set of torchvision with pixels in the order of its files, so EMNIST's images are transposed."""
    from torchvision import datasets

    def read(train: bool) -> tuple[np.ndarray, np.ndarray]:
        part = getattr(datasets, class_name)(root=folder, train=train, download=download, **options)
        x = np.asarray(part.data)
        # The files have the channels of colour images first; torchvision has moved them last.
        return x if x.ndim == 3 else np.moveaxis(x, 3, 1), np.asarray(part.targets)

    return *read(True), *read(False)


def read_svhn(folder: Path, download: bool) -> Arrays:
    """Return the street-view house numbers without the "extra" part: colours first, and class 0 for the digit 0."""
    from torchvision.datasets import SVHN

    train, test = (SVHN(folder / "SVHN", split, download=download) for split in ("train", "test"))
    return train.data, train.labels, test.data, test.labels


def idx_files(folder: str, train: str, test: str) -> tuple[str, ...]:
    """Return torchvision's names for the four files of a data set in MNIST's format."""
    return tuple(
        f"{folder}/raw/{part}-{content}-ubyte" for part in (train, test) for content in ("images-idx3", "labels-idx1")
    )
