"""Features as float32 of mean 0 and standard deviation 1: imputation, encoding of text, standardization.

All numbers are those of the training part alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dynsparse.data.download import DataError
from dynsparse.data.sources.content import Array, Table

# Rows that are converted at once: more would need much memory for their float64.
ROWS_AT_ONCE = 10_000

# What replaces a missing number: a statistic of the known values of its column in the training part.
IMPUTATIONS: dict[str, Callable[[Array], Any]] = {
    "mean": np.mean,
    "median": np.median,
    "most_frequent": lambda known: _most_frequent(known),
}


class Features(NamedTuple):
    """Standardized features: (value - mean) * scale. Shapes: train and test (examples, features), float32."""

    train: Array
    test: Array
    mean: Array  # (features,), float64
    scale: Array  # (features,), float64: one over the standard deviation; 0 for a constant feature


def count_missing(x: Array | Table) -> dict[str, int]:
    """Return the number of missing values of each column that has any."""
    matrix = x.numbers if isinstance(x, Table) else x.reshape(len(x), -1)
    counts: dict[str, int] = {}
    if matrix.dtype.kind == "f":
        per_column = np.isnan(matrix).sum(0)
        names = x.names if isinstance(x, Table) else [f"column {i}" for i in range(matrix.shape[1])]
        counts = {names[i]: int(per_column[i]) for i in np.flatnonzero(per_column)}
    if isinstance(x, Table):
        counts |= {each.name: int((each.codes < 0).sum()) for each in x.categories if (each.codes < 0).any()}
    return counts


def feature_names(x: Array | Table) -> tuple[str, ...]:
    """Return the names of the features; () for arrays, whose columns have no names."""
    if not isinstance(x, Table):
        return ()
    return (*x.names, *(f"{each.name}={value}" for each in x.categories for value in each.values))


def n_features(x: Array | Table) -> int:
    """Return the number of features of an example."""
    return len(feature_names(x)) if isinstance(x, Table) else x.size // max(len(x), 1)


def standardize(name: str, train: Array | Table, test: Array | Table, impute: str | None) -> Features:
    """Return standardized features. A column that is constant in the training part becomes 0 in both parts.

    Args:
        name: the name of the data, for messages.
        train: features of the training part; missing values are NaN, or a code of -1.
        test: features of the test part.
        impute: a row of IMPUTATIONS, or None if there are no missing values.

    Raises:
        DataError: If a column has no known value in the training part.
    """
    if impute is not None:
        train, test = _imputed(name, _as_table(train), _as_table(test), impute)
    of_train, of_test = _numbers(train), _numbers(test)
    mean, scale = _moments(of_train)
    found = Features(_scaled(of_train, mean, scale), _scaled(of_test, mean, scale), mean, scale)
    for x in (found.train, found.test):
        if not np.isfinite(x).all():
            column = int(np.flatnonzero(~np.isfinite(x).all(0))[0])
            of = feature_names(train)[column] if isinstance(train, Table) else f"column {column}"
            raise DataError(
                f"The features of {name!r} must be numbers that float32 holds after they are standardized, got larger "
                f"ones in {of!r}. Change its unit, or remove outliers."
            )
    return found


def _as_table(x: Array | Table) -> Table:
    if isinstance(x, Table):
        return x
    matrix = _numbers(x)
    return Table(matrix, tuple(f"column {i}" for i in range(matrix.shape[1])))


def _imputed(name: str, train: Table, test: Table, impute: str) -> tuple[Table, Table]:
    """Return both parts with known values in the place of missing ones."""
    parts = [Table(x.numbers.copy(), x.names, x.categories) for x in (train, test)]
    for column, of in enumerate(train.names):
        is_missing = [np.isnan(x.numbers[:, column]) for x in parts]
        if any(each.any() for each in is_missing):
            known = train.numbers[~is_missing[0], column]
            _check_known(name, of, len(known))
            value = IMPUTATIONS[impute](known)
            for x, missing in zip(parts, is_missing, strict=True):
                x.numbers[missing, column] = value
    categories: list[list[Any]] = [[], []]
    for of_train, of_test in zip(train.categories, test.categories, strict=True):
        known = of_train.codes[of_train.codes >= 0]
        if (of_train.codes < 0).any() or (of_test.codes < 0).any():
            _check_known(name, of_train.name, len(known))
        # Text has no mean.
        code = int(_most_frequent(known)) if len(known) else -1
        for found, each in zip(categories, (of_train, of_test), strict=True):
            found.append(type(each)(each.name, each.values, np.where(each.codes < 0, code, each.codes)))
    first, second = (Table(x.numbers, x.names, tuple(each)) for x, each in zip(parts, categories, strict=True))
    return first, second


def _check_known(name: str, column: str, n_known: int) -> None:
    if n_known == 0:
        raise DataError(
            f"A column with missing values must have a known value in the training part, got none in {column!r} of "
            f"{name!r}. Remove the column."
        )


def _most_frequent(known: Array) -> Any:
    """Return the most frequent value; the smallest one at ties."""
    values, counts = np.unique(known, return_counts=True)
    return values[counts.argmax()]


def _numbers(x: Array | Table) -> Array:
    """Return the features as a matrix: columns of numbers, then 0 or 1 for each value of each column of text."""
    if not isinstance(x, Table):
        return x.reshape(len(x), -1)
    encoded = [(each.codes[:, None] == np.arange(len(each.values))).astype(np.float64) for each in x.categories]
    return np.concatenate([x.numbers, *encoded], axis=1) if encoded else x.numbers


def _moments(x: Array) -> tuple[Array, Array]:
    """Return mean and scale of each column, in float64. Shapes: x (examples, features); each (features,)."""
    low, high = x.min(0).astype(np.float64), x.max(0).astype(np.float64)
    # Sums and squares of very large or small numbers leave the range of float64.
    unit = np.maximum(np.abs(low), np.abs(high))
    unit[unit == 0] = 1
    parts = [slice(start, start + ROWS_AT_ONCE) for start in range(0, len(x), ROWS_AT_ONCE)]
    mean = sum((x[part] / unit).sum(0, dtype=np.float64) for part in parts) / len(x)
    variance = sum(np.square(x[part] / unit - mean).sum(0) for part in parts) / len(x)
    scale = np.zeros_like(unit)
    # Because of rounding, the variance of a constant may be above 0.
    with np.errstate(over="ignore", divide="ignore"):
        np.divide(1, np.sqrt(variance) * unit, out=scale, where=(low != high) & (variance > 0))
    return np.where(low == high, low, mean * unit), scale


def _scaled(x: Array, mean: Array, scale: Array) -> Array:
    result = np.empty(x.shape, dtype=np.float32)
    for start in range(0, len(x), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        with np.errstate(over="ignore", invalid="ignore"):
            result[part] = (x[part] - mean) * scale
    return result
