"""Features and labels that come as arrays: from .npz files, functions and libraries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynsparse.data.download import DataError
from dynsparse.data.sources.content import Array, Content, Part, hash_parts

# Kinds of numpy's types that are numbers: unsigned, signed, float, bool.
NUMBERS = "uifb"


def content_of_arrays(name: str, pairs: Sequence[tuple[Any, Any]], data_hash: str | None = None) -> Content:
    """Return the content of features and labels.

    Args:
        name: the name of the data, for messages.
        pairs: features and labels of all examples, or of the training part and of the test part. Shapes:
            (examples, ...) and (examples,).
        data_hash: None: that of the arrays.

    Raises:
        DataError: If the arrays are no data set.
    """
    arrays = [(_features(name, x), _labels(name, y)) for x, y in pairs]
    for part, (x, y) in zip(_part_names(len(arrays)), arrays, strict=True):
        if len(x) != len(y) or len(x) == 0:
            raise DataError(
                f"The {part} of {name!r} must have as many labels as examples, and at least one, got {len(x)} examples "
                f"and {len(y)} labels."
            )
    first, last = arrays[0][0], arrays[-1][0]
    if first.shape[1:] != last.shape[1:] or (first.dtype == np.uint8) != (last.dtype == np.uint8):
        raise DataError(
            f"The training and the test part of {name!r} must have examples of one shape, both of type uint8 or "
            f"neither, got {first.shape[1:]} of {first.dtype} and {last.shape[1:]} of {last.dtype}."
        )
    parts = tuple(Part(x, y) for x, y in arrays)
    return Content(parts, hash_parts(parts) if data_hash is None else data_hash)


def _part_names(n_parts: int) -> Sequence[str]:
    return ("data",) if n_parts == 1 else ("training part", "test part")


def _features(name: str, values: Any) -> Array:
    x = as_array(name, "features", values)
    if x.dtype.kind not in NUMBERS or x.ndim == 0:
        raise DataError(
            f"The features of {name!r} must be an array of numbers, one row for each example, got the type {x.dtype} "
            f"and the shape {x.shape}. Convert text to numbers, or store a table as .csv or .parquet, where columns of "
            "text are encoded."
        )
    if x.size // max(len(x), 1) == 0 and len(x):
        raise DataError(f"The examples of {name!r} must have at least one feature, got the shape {x.shape}.")
    if x.dtype.kind == "f" and np.isinf(x).any():
        columns = np.flatnonzero(np.isinf(x.reshape(len(x), -1)).any(0))
        raise DataError(f"The features of {name!r} must be finite, got infinite values in {_columns(columns)}.")
    return x


def _labels(name: str, values: Any) -> Array:
    y = as_array(name, "labels", values)
    # In a list with text, numpy makes text of missing labels, too: the classes "None" and "nan".
    given = values if isinstance(values, list | tuple) else y.flat if y.dtype.kind == "O" else ()
    n_missing = sum(map(_is_missing, given))
    if n_missing and y.dtype.kind in "OSU":
        raise DataError(
            f"Each example of {name!r} must have a label, got {n_missing} missing ones (None or NaN). Remove these "
            "examples."
        )
    if y.ndim not in (1, 2):
        raise DataError(
            f"The labels of {name!r} must be one class for each example, or a row of numbers to predict, got the shape "
            f"{y.shape}."
        )
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def as_array(name: str, what: str, values: Any) -> Array:
    """Return a list, tensor or array as an array. Raises: DataError."""
    # Tensors of torch on a GPU, or with a gradient, are no arrays.
    values = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"The {what} of {name!r} must be an array, got {type(values).__name__}: {error}.") from error


def _columns(indices: Array) -> str:
    shown = ", ".join(map(str, indices[:5]))
    return f"{'column' if len(indices) == 1 else 'columns'} {shown}{', ...' if len(indices) > 5 else ''}"
