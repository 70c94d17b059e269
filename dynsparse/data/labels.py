"""Labels of any type as classes from 0; and numbers to predict, standardized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynsparse.data.download import DataError

Array = np.ndarray[Any, Any]


def encode_labels(name: str, parts: Sequence[Array]) -> tuple[list[Array], tuple[str, ...]]:
    """Return the classes of labels, and the names of the classes.

    Labels may be text, integers or booleans. Classes are numbered in the sorted order of the labels.

    Args:
        name: the name of the data, for messages.
        parts: the labels of each part. Shapes: (examples,).

    Returns:
        The classes of each part, int64, in [0, number of classes); and the label of each class as text.

    Raises:
        DataError: If the labels are no classes, or all of one class.
    """
    for part in parts:
        if part.ndim == 2:
            raise DataError(
                f"The labels of {name!r} must be one class for each example, got the shape {part.shape}. From one "
                "column per class, make labels with y.argmax(1). To predict several numbers, set loss='mse'."
            )
    distinct, codes = np.unique(np.concatenate(_of_one_type(name, parts)), return_inverse=True)
    if len(distinct) < 2:
        raise DataError(f"The labels of {name!r} must have at least 2 classes, got one: {distinct[0]!s}.")
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(codes.astype(np.int64), ends), tuple(map(str, distinct.tolist()))


def _of_one_type(name: str, parts: Sequence[Array]) -> list[Array]:
    found = [_as_text(part) if part.dtype.kind in "OSU" else part for part in parts]
    for part in found:
        if part.dtype.kind not in "Uuifb":
            raise DataError(f"The labels of {name!r} must be text, integers or booleans, got the type {part.dtype}.")
        if part.dtype.kind == "f":
            other = part[~(np.isfinite(part) & (part == np.round(part)))]
            if len(other):
                raise DataError(
                    f"The labels of {name!r} must be text, integers or booleans, got {other[0]!s}. To predict numbers, "
                    "set loss='mse'; missing labels must be removed."
                )
    if len({part.dtype.kind == "U" for part in found}) > 1:
        raise DataError(f"The labels of {name!r} must be text in both parts or in neither. Convert one of them.")
    return [part.astype(np.int64) if part.dtype.kind == "f" else part for part in found]


def _as_text(labels: Array) -> Array:
    return np.array([each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in labels])


def check_targets(name: str, parts: Sequence[Array]) -> list[Array]:
    """Return numbers to predict as float64. Shapes: (examples,) or (examples, numbers) to (examples, numbers).

    Raises:
        DataError: If they are not finite numbers.
    """
    for part in parts:
        if part.dtype.kind not in "uif":
            raise DataError(
                f"The labels of {name!r} must be numbers with loss='mse', got the type {part.dtype}. For classes, "
                "leave loss out."
            )
        if not np.isfinite(part).all():
            raise DataError(f"The labels of {name!r} must be finite numbers. Remove the examples whose label is not.")
    return [part.astype(np.float64).reshape(len(part), -1) for part in parts]


def standardize_targets(name: str, train: Array, test: Array) -> tuple[Array, Array, Array, Array]:
    """Return the numbers to predict with mean 0 and standard deviation 1 over the training part, and these moments.

    Shapes: train and test (examples, numbers), and so are the first two results, float32; the moments (numbers,).

    Raises:
        DataError: If a number is the same in all training examples, or there is no test example.
    """
    mean, deviation = train.mean(0), train.std(0)
    if len(test) == 0 or (train.min(0) == train.max(0)).any():
        raise DataError(
            f"{name!r} must have test examples, and training examples with different labels, got {len(test)} test "
            f"examples and {len(np.unique(train))} distinct labels."
        )
    scaled = [((part - mean) / deviation).astype(np.float32) for part in (train, test)]
    return scaled[0], scaled[1], mean, deviation


def check_classes(name: str, train_y: Array, test_y: Array, class_names: Sequence[str]) -> None:
    """Check that there are test examples, and training examples of each class. Raises: DataError."""
    if len(test_y) == 0:
        raise DataError(
            f"The test part of {name!r} must have at least one example, got none. Raise test_fraction, "
            "or lower n_folds."
        )
    counts = np.bincount(train_y, minlength=len(class_names))
    if counts.min() == 0:
        missing = class_names[int(counts.argmin())]
        raise DataError(
            f"Each class of {name!r} must be in the training part, got none of the class {missing!r}, which is only in "
            "the test part. Remove its examples, or split the data in another way."
        )


def check_split_classes(name: str, y: Array, class_names: Sequence[str]) -> None:
    """Check that each class of data that are to be split has an example for each part. Raises: DataError."""
    rare = [class_names[code] for code, count in Counter(y.tolist()).items() if count < 2]
    if rare:
        raise DataError(
            f"Each class of {name!r} must have at least 2 examples, for the training part and the test part, got 1 of "
            f"{', '.join(map(repr, sorted(rare)[:5]))}{', ...' if len(rare) > 5 else ''}. Remove rare classes. To "
            "predict numbers, set loss='mse'."
        )
