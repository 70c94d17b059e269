"""Data that a function of the user returns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynsparse.config.functions import load_function
from dynsparse.data.download import DataError, describe_error
from dynsparse.data.sources.arrays import as_array, content_of_arrays
from dynsparse.data.sources.content import Array, Content, Request


def read_function(request: Request) -> Content:
    """Return what a function returns: (train_x, train_y, test_x, test_y), (x, y), or data sets of torch.

    Raises:
        DataError: If there is no such function, if it raises an error, or if it returns something else.
    """
    try:
        function = load_function(request.name)
    except ValueError as error:
        raise DataError(str(error)) from error
    try:
        returned = function()
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"The function {request.name!r} has raised {describe_error(error)}.") from error
    return content_of_arrays(request.name, _pairs(request.name, returned))


def _pairs(name: str, returned: Any) -> list[tuple[Any, Any]]:
    values = list(returned) if isinstance(returned, tuple | list) else [returned]
    if values and all(_is_torch_data_set(each) for each in values) and len(values) <= 2:
        return [_examples(name, each) for each in values]
    if len(values) in (2, 4) and isinstance(returned, tuple | list):
        return [(values[i], values[i + 1]) for i in range(0, len(values), 2)]
    raise DataError(
        f"The function {name!r} must return (train_x, train_y, test_x, test_y), (x, y), or one or two data sets of "
        f"torch, got {type(returned).__name__}{f' of {len(values)}' if isinstance(returned, tuple | list) else ''}."
    )


def _is_torch_data_set(value: Any) -> bool:
    """Return True for what has examples by their index, but is no array, tensor or list."""
    has_items = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return has_items and not isinstance(value, tuple | list | dict | str | np.ndarray) and not hasattr(value, "shape")


def _examples(name: str, data: Any) -> tuple[Array, Array]:
    """Return the features and labels of a data set of torch, whose items are (x, y)."""
    pairs = []
    for index in range(len(data)):
        item = data[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"The items of the data set from {name!r} must be (x, y), got {type(item).__name__}.")
        pairs.append((as_array(name, "features", item[0]), item[1]))
    shapes = {x.shape for x, _ in pairs}
    if len(shapes) > 1:
        raise DataError(
            f"The examples of the data set from {name!r} must have one shape, got {sorted(shapes)[:3]}. Crop or pad "
            "them."
        )
    features = np.stack([x for x, _ in pairs]) if pairs else np.empty((0, 1))
    return features, as_array(name, "labels", [_label(y) for _, y in pairs])


def _label(value: Any) -> Any:
    """Return a label as a number or text, or several numbers to predict as an array."""
    if not hasattr(value, "item"):
        return value
    return value.item() if math.prod(value.shape) == 1 else np.asarray(value)
