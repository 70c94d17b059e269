"""What a source of data contains, before it is split and standardized."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
# Digits of a hash. Two of a million data sets agree in 16 digits with a probability below one in ten million.
HASH_DIGITS = 16


@dataclass(frozen=True)
class Request:
    """The data that a trial asks for.

    Args:
        name: the value of the key `dataset_name`.
        folder: the value of the key `data_dir`.
        target: name of the label column of a table, or several; None: that of the source.
        is_regression: labels are numbers to predict, not classes.
    """

    name: str
    folder: str | None = None
    target: str | tuple[str, ...] | None = None
    is_regression: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the label columns."""
        return (self.target,) if isinstance(self.target, str) else self.target or ()


@dataclass(frozen=True)
class Category:
    """A column of text. It becomes one feature for each of its values."""

    name: str
    values: tuple[str, ...]  # in sorted order
    codes: Array  # (examples,), int64: index into `values`; -1 where the value is missing


@dataclass(frozen=True)
class Table:
    """Features of a table: columns of numbers, and columns of text."""

    numbers: Array  # (examples, columns), float64; NaN where a value is missing
    names: tuple[str, ...]  # of the columns of numbers
    categories: tuple[Category, ...] = ()

    def rows(self, index: Any) -> Table:
        """Return some rows, with the same columns and values."""
        categories = tuple(Category(each.name, each.values, each.codes[index]) for each in self.categories)
        return Table(self.numbers[index], self.names, categories)


@dataclass(frozen=True)
class Part:
    """Examples with their labels, as the source has them.

    Shapes: x (examples, ...), uint8 for images or another type of numbers, or a Table; y (examples,), or (examples,
    numbers) for several numbers to predict.
    """

    x: Array | Table
    y: Array


@dataclass(frozen=True)
class Content:
    """What a source contains.

    Args:
        parts: the training part and the test part, or one part that is split later.
        data_hash: hash of the content. It is the same on every machine, and another one if the content differs.
    """

    parts: tuple[Part, ...]
    data_hash: str


@dataclass(frozen=True)
class Kind:
    """A row of `KINDS`: how data of one kind are read.

    Args:
        form: regular expression of the names, without regard to case.
        read: returns the content. Raises DataError.
        is_table: the key `target` names the label column.
        is_file: the data are one file, which is looked for in the experiment's folder.
    """

    form: str
    read: Callable[[Request], Content]
    is_table: bool = False
    is_file: bool = False


def hash_file(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]


def hash_parts(parts: Sequence[Part]) -> str:
    """Return the hash of features and labels in memory."""
    digest = hashlib.sha256()
    for part in parts:
        for array in (*_arrays(part.x), part.y):
            is_text = array.dtype.kind not in "uifb"
            # Lengths separate the texts: otherwise "ab", "c" would be "a", "bc".
            content = repr(array.tolist()).encode() if is_text else np.ascontiguousarray(array).data
            digest.update(f"{'text' if is_text else array.dtype.str}{array.shape}".encode())
            digest.update(content)
    return digest.hexdigest()[:HASH_DIGITS]


def _arrays(x: Array | Table) -> list[Array]:
    if isinstance(x, np.ndarray):
        return [x]
    columns = [(np.array([each.name, *each.values]), each.codes) for each in x.categories]
    return [np.array(x.names), x.numbers, *(array for pair in columns for array in pair)]
