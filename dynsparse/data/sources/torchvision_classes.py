"""Classes of torchvision.datasets that have a training and a test part in memory."""

from __future__ import annotations

import inspect
from http.client import HTTPException
from typing import Any

import numpy as np

from dynsparse.data.download import DataError, describe_error, resolve_data_dir
from dynsparse.data.sources.arrays import content_of_arrays
from dynsparse.data.sources.content import Content, Request


def read_torchvision(request: Request) -> Content:
    """Return the images of a class of torchvision, such as "torchvision:USPS", downloaded if they are missing.

    Raises:
        DataError: If there is no such class, if it has no attributes `data` and `targets`, or if it cannot be read.
    """
    # Imported here, because it takes seconds.
    from torchvision import datasets

    name, folder = request.name.partition(":")[2], resolve_data_dir(request.folder)
    of_torchvision: Any = getattr(datasets, name, None)
    if not _has_parts(of_torchvision):
        usable = [each for each in datasets.__all__ if _has_parts(getattr(datasets, each))]
        raise DataError(
            f"torchvision:CLASS must be a class of torchvision.datasets with an argument `train`, got {name!r}. "
            f"Available: {', '.join(usable)}. Read others with a function of your own."
        )
    try:
        parts = [of_torchvision(root=folder, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError, ValueError, TypeError, HTTPException) as error:
        raise DataError(
            f"{request.name!r} cannot be read from {folder} or downloaded into it ({describe_error(error)}). Check the "
            "network, or read it with a function of your own."
        ) from error
    if not all(hasattr(part, "data") and hasattr(part, "targets") for part in parts):
        raise DataError(
            f"A class of torchvision must have the attributes `data` and `targets`, which {name!r} lacks. Read it with "
            "a function of your own."
        )
    return content_of_arrays(request.name, [(_channels_first(part.data), part.targets) for part in parts])


def _has_parts(each: Any) -> bool:
    return inspect.isclass(each) and "train" in inspect.signature(each).parameters


def _channels_first(images: Any) -> np.ndarray:
    """Return images with their colours first, as torch expects them. Shapes: (n, rows, columns[, 3]), uint8."""
    x = np.asarray(images)
    return np.moveaxis(x, 3, 1) if x.ndim == 4 and x.shape[3] == 3 else x
