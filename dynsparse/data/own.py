"""A researcher's own data: the keys of a configuration that name them, and what a configuration must know of them."""

# The properties of a protocol need no docstrings.
# ruff: noqa: D102

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from dynsparse.config import ConfigError
from dynsparse.config.functions import without_folder
from dynsparse.data.datasets import DATASETS
from dynsparse.data.download import DataError
from dynsparse.data.features import count_missing, n_features
from dynsparse.data.labels import check_targets, encode_labels
from dynsparse.data.sources import Content, Request, Table, kind_of
from dynsparse.data.sources.content import Array
from dynsparse.data.sources.files import find_file, folders, is_store
from dynsparse.ops.losses import LOSSES


class DataSettings(Protocol):
    """The configuration keys that say which data a trial reads. `Config` documents each key."""

    @property
    def dataset_name(self) -> str: ...
    @property
    def data_dir(self) -> str | None: ...
    @property
    def input_size(self) -> int | None: ...
    @property
    def num_classes(self) -> int | None: ...
    @property
    def input_shape(self) -> tuple[int, ...] | None: ...
    @property
    def data_hash(self) -> str | None: ...
    @property
    def loss(self) -> str: ...
    @property
    def target(self) -> str | tuple[str, ...] | None: ...
    @property
    def impute(self) -> str | None: ...
    @property
    def test_fraction(self) -> float | None: ...
    @property
    def fold(self) -> int | None: ...
    @property
    def n_folds(self) -> int: ...


@dataclass(frozen=True)
class OwnData:
    """The keys of own data. All have their defaults for a row of DATASETS.

    Attributes:
        is_regression: the labels are numbers to predict, not classes: loss="mse".
    """

    data_hash: str | None = None
    target: str | tuple[str, ...] | None = None
    impute: str | None = None
    test_fraction: float | None = None
    fold: int | None = None
    n_folds: int | None = None
    is_regression: bool = False


class Facts(NamedTuple):
    """What a Config must know of its data before they are loaded. For a row of DATASETS, `data_hash` is None."""

    input_size: int
    num_classes: int  # of a regression, the numbers to predict
    data_hash: str | None = None
    input_shape: tuple[int, ...] | None = None  # of an example of own data; None: a row of numbers
    class_names: tuple[str, ...] = ()
    n_parts: int = 2
    missing: tuple[tuple[str, int], ...] = ()  # columns with missing values, and their number


def is_own(name: str) -> bool:
    """Return True for own data, False for a row of DATASETS."""
    return name not in DATASETS and kind_of(name) is not None


def is_file(name: str) -> bool:
    """Return True for own data that are one file."""
    kind = None if name in DATASETS else kind_of(name)
    return kind is not None and kind.is_file


def name_without_folder(name: str) -> str:
    """Return the name of data without the folder of its file, which differs between machines."""
    return Path(name).name if is_file(name) else without_folder(name)


def is_regression(config: DataSettings) -> bool:
    """Return True if the labels of own data are numbers to predict."""
    return LOSSES[config.loss].is_regression


def own_keys(config: DataSettings) -> OwnData:
    """Return the keys of own data that a trial reads."""
    name = config.dataset_name
    kind = None if name in DATASETS else kind_of(name)
    if kind is None:
        return OwnData()
    fold = config.fold
    return OwnData(
        data_hash=config.data_hash,
        target=config.target if kind.is_table else None,
        impute=config.impute,
        test_fraction=config.test_fraction if fold is None else None,
        fold=fold,
        n_folds=None if fold is None else config.n_folds,
        is_regression=is_regression(config),
    )


def with_data_dir(values: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Return the values of a trial with the folder in which its own data are looked up, if it needs and has none."""
    name = values.get("dataset_name")
    kind = kind_of(name) if isinstance(name, str) and name not in DATASETS else None
    if kind is None or not kind.is_file or values.get("data_dir") is not None:
        return values
    return {**values, "data_dir": str(folder)}


def absolute_data_dir(name: str, data_dir: str | None) -> str | None:
    """Return the folder of own data for a process with another working directory."""
    kind = kind_of(name)
    if is_store(data_dir) or kind is None or not kind.is_file:
        return data_dir
    return str(folders(data_dir)[0])


def files_in(folder: Path, trials: Iterable[DataSettings]) -> list[str]:
    """Return the files of own data that trials look up in a folder and find there, relative to it."""
    names = dict.fromkeys(each.dataset_name for each in trials if each.data_dir == str(folder))
    return [name for name in names if is_file(name) and not Path(name).is_absolute() and (folder / name).is_file()]


def example_shape(config: DataSettings) -> tuple[int, ...] | None:
    """Return the shape of an example, for images channels, rows and columns; None for a row of numbers."""
    source = DATASETS.get(config.dataset_name)
    return config.input_shape if source is None else source.image_shape


def facts(config: DataSettings) -> Facts:
    """Return sizes and hash of a trial's data. Own data are read, unless the configuration has all of these already.

    Raises:
        ConfigError: If own data cannot be read, or are not those that the configuration describes.
    """
    source = DATASETS.get(config.dataset_name)
    if source is not None:
        return Facts(source.input_size, source.num_classes)
    given = config.input_size, config.num_classes, config.data_hash
    if given[0] is not None and given[1] is not None and given[2] is not None:
        return Facts(given[0], given[1], given[2], config.input_shape)
    try:
        found = read_facts(request_of(config.dataset_name, config.data_dir, own_keys(config)))
        check_keys(config.dataset_name, config, found)
    except DataError as error:
        raise ConfigError(str(error)) from error
    names = ("input_size", "num_classes", "data_hash", "input_shape")
    for name, value, right in zip(names, (*given, config.input_shape), found, strict=False):
        if value not in (None, right):
            raise ConfigError(
                f"{name} must be {right!r} for dataset_name={config.dataset_name!r}, got {value!r}. Leave {name} out."
            )
    return found


def check_keys(name: str, given: DataSettings | OwnData, found: Facts) -> None:
    """Check that the keys of own data fit the data: imputation, and the part of the test set. Raises: DataError."""
    if found.missing and given.impute is None:
        shown = ", ".join(f"{column!r} ({count})" for column, count in found.missing[:5])
        raise DataError(
            f"{name!r} must not have missing values, got some in {len(found.missing)} columns: {shown}"
            f"{', ...' if len(found.missing) > 5 else ''}. Remove them, or set impute='median', 'mean' or "
            "'most_frequent'."
        )
    split_by = [key for key in ("test_fraction", "fold") if getattr(given, key) is not None]
    if found.n_parts == 2 and split_by:
        raise DataError(
            f"{split_by[0]} must be left out for {name!r}, which has a test part. To split the data in another way, "
            "store all examples in one part."
        )
    if found.n_parts == 1 and len(split_by) != 1:
        raise DataError(
            f"{name!r} has no test part, and needs test_fraction or fold, got {' and '.join(split_by) or 'neither'}. "
            "Set test_fraction=0.2, or fold=tune.grid_search(range(5))."
        )


def request_of(name: str, data_dir: str | None, own: OwnData) -> Request:
    """Return what a kind of `KINDS` is asked for."""
    kind = kind_of(name)
    target = own.target if kind is not None and kind.is_table else None
    return Request(name, absolute_data_dir(name, data_dir), target, own.is_regression)


def read_facts(request: Request) -> Facts:
    """Return the facts about own data. They are remembered until the file of the data changes. Raises: DataError."""
    return _facts(request, _stamp(request))


def about(config: DataSettings) -> dict[str, Any]:
    """Return what about.json of a trial says of its own data: their classes, by name. {} for a row of DATASETS.

    Raises:
        DataError: If own data cannot be read.
    """
    if not is_own(config.dataset_name):
        return {}
    found = read_facts(request_of(config.dataset_name, config.data_dir, own_keys(config)))
    return {"data": {"data_hash": found.data_hash, "classes": list(found.class_names)}}


def _stamp(request: Request) -> tuple[Any, ...]:
    """Return path, size and time of the file of the data, or of the function that returns them."""
    path = find_file(request) if is_file(request.name) else Path(request.name.rpartition(":")[0])
    if not os.path.isfile(path):
        return ()
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1000)
def _facts(request: Request, stamp: tuple[Any, ...]) -> Facts:
    content = _content(request, stamp)
    labels, class_names = [part.y for part in content.parts], tuple[str, ...]()
    if request.is_regression:
        n_outputs = check_targets(request.name, labels)[0].shape[1]
    else:
        class_names = encode_labels(request.name, labels)[1]
        n_outputs = len(class_names)
    missing: dict[str, int] = {}
    for part in content.parts:
        for column, count in count_missing(part.x).items():
            missing[column] = missing.get(column, 0) + count
    sizes = n_features(content.parts[0].x), n_outputs
    shape = _input_shape(content.parts[0].x)
    return Facts(*sizes, content.data_hash, shape, class_names, len(content.parts), tuple(missing.items()))


def _input_shape(x: Array | Table) -> tuple[int, ...] | None:
    """Return the shape of an example; None for a row of numbers. Images of one channel get an axis for it."""
    if isinstance(x, Table) or x.ndim < 3:
        return None
    return (1, *x.shape[1:]) if x.dtype == np.uint8 and x.ndim == 3 else x.shape[1:]


def read_content(request: Request) -> Content:
    """Return the content of own data. It is remembered until the file of the data changes. Raises: DataError."""
    return _content(request, _stamp(request))


# The first trial is checked soon after its Config was created, and needs the content again.
@lru_cache(maxsize=1)
def _content(request: Request, stamp: tuple[Any, ...]) -> Content:
    kind = kind_of(request.name)
    assert kind is not None
    try:
        return kind.read(request)
    except MemoryError as error:
        raise DataError(
            f"The data of {request.name!r} must fit into memory, and do not. Use a part of the examples or features, "
            "or smaller numbers (float32, uint8)."
        ) from error
