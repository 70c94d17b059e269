"""Data sets of https://huggingface.co/datasets, with the library `datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from dynsparse.data.download import DataError, describe_error
from dynsparse.data.sources.arrays import content_of_arrays
from dynsparse.data.sources.content import Content, Part, Request, hash_parts
from dynsparse.data.sources.tables import content_of_table

# The label column, unless `target` names another one.
LABEL = "label"


def read_hugging_face(request: Request) -> Content:
    """Return the splits "train" and "test" of a data set, or "train" alone: a table, or one column of images.

    Raises:
        DataError: If the library is missing, if the data cannot be downloaded, or if a column is neither numbers, text
            nor an image.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"{request.name!r} needs the package datasets, which is not installed. Install it: pip install "
            "'dynsparse[hf]'."
        ) from error
    try:
        splits = datasets.load_dataset(request.name.partition(":")[2])
    except Exception as error:  # The library raises errors of many other libraries.
        raise DataError(
            f"{request.name!r} cannot be downloaded ({describe_error(error)}). Check the name and the network."
        ) from error
    if "train" not in splits:
        raise DataError(f"{request.name!r} must have a split 'train', got {', '.join(splits)}.")
    parts = [splits[name] for name in ("train", "test") if name in splits]
    targets = request.targets or (LABEL,)
    columns = [name for name in parts[0].column_names if name not in targets]
    if len(columns) == 1 and isinstance(parts[0].features[columns[0]], datasets.Image):
        pairs = [(_images(request.name, part[columns[0]]), _labels_of_images(part, targets)) for part in parts]
        return content_of_arrays(request.name, pairs)
    return _table(replace(request, target=targets), parts)


def _table(request: Request, parts: list[Any]) -> Content:
    import pandas as pd

    frames = [part.to_pandas() for part in parts]
    for frame, part in zip(frames, parts, strict=True):
        for target in request.targets:
            if target in frame:
                frame[target] = _labels(part, target)
    # Together, so that a column of text has the same features in both.
    [whole] = content_of_table(request, pd.concat(frames, ignore_index=True)).parts
    assert not isinstance(whole.x, np.ndarray)
    ends = np.cumsum([0, *map(len, frames)]).tolist()
    ranges = [slice(first, last) for first, last in pairwise(ends)]
    found = tuple(Part(whole.x.rows(each), whole.y[each]) for each in ranges)
    return Content(found, hash_parts(found))


def _labels_of_images(part: Any, targets: Sequence[str]) -> Any:
    columns = [_labels(part, target) for target in targets]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _labels(part: Any, target: str) -> list[Any]:
    """Return the labels of a split, by the names of their classes if it has them."""
    names = getattr(part.features.get(target), "names", None)
    labels = list(part[target])
    # The test splits of competitions have -1 where the label is secret.
    return labels if names is None or min(labels, default=0) < 0 else [names[each] for each in labels]


def _images(name: str, images: Any) -> np.ndarray:
    """Return images of one size with their colours first. Raises: DataError."""
    arrays = [np.asarray(each) for each in images]
    shapes = {each.shape for each in arrays}
    if len(shapes) != 1:
        raise DataError(f"The images of {name!r} must have one size, got {sorted(shapes)[:3]}. Resize them first.")
    x = np.stack(arrays)
    return np.moveaxis(x, 3, 1) if x.ndim == 4 else x
