"""Tables in .csv and .parquet files, and what becomes of their columns."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsparse.config.suggest import near_matches
from dynsparse.data.download import DataError, describe_error
from dynsparse.data.sources.content import Array, Category, Content, Part, Request, Table, hash_file, hash_parts
from dynsparse.data.sources.files import check_memory, find_file

if TYPE_CHECKING:
    import pandas as pd

# A column of text with more values is mostly an identifier or a sentence, from which a network learns nothing.
MAX_VALUES = 100
# A column of text in which this share of the values are numbers was meant as one of numbers.
MOSTLY_NUMBERS = 0.5
# How many names of columns a message shows.
SHOWN_NAMES = 10


def read_csv(request: Request) -> Content:
    """Return the table of a .csv file: commas between columns, names in the first row, UTF-8. Raises: DataError."""
    # The import takes half a second, and only tables need it.
    import pandas as pd

    path = find_file(request)
    try:
        check_memory(request.name, path.stat().st_size)
        _check_header(path)
        # "utf-8-sig" skips the mark that Excel writes at the start of a file.
        frame = pd.read_csv(path, encoding="utf-8-sig", low_memory=False, index_col=False)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be encoded in UTF-8 ({error}). Save it as CSV UTF-8.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise _damaged(path, error) from error
    return content_of_table(request, frame, hash_file(path))


def _check_header(path: Path) -> None:
    """Check the first two rows: their separators, the names of the columns, their number. Raises: DataError."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(itertools.islice(csv.reader(file), 2))
    names = rows[0] if rows else []
    if len(rows) < 2:
        raise DataError(f"{path} must have a row of names and at least one row of values, got {len(rows)} rows.")
    separator = next((each for each in ";\t|" if len(names) == 1 and each in names[0]), None)
    if separator is not None:
        raise DataError(
            f"{path} must have commas between its columns, got {separator!r} in the first row. Convert it: "
            f"pandas.read_csv(path, sep={separator!r}).to_csv(path, index=False); if its numbers have decimal commas, "
            "read it with decimal=','."
        )
    check_names(str(path), names)
    if len(rows[1]) != len(names):
        raise DataError(
            f"Each row of {path} must have as many values as there are names, got {len(names)} names and "
            f"{len(rows[1])} values in the second row."
        )


def read_parquet(request: Request) -> Content:
    """Return the table of a .parquet file. Raises: DataError."""
    import pandas as pd
    from pyarrow import parquet

    path = find_file(request)
    try:
        check_memory(request.name, path.stat().st_size)
        check_names(str(path), parquet.read_schema(path).names)
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # Those of pyarrow are subclasses.
        raise _damaged(path, error) from error
    return content_of_table(request, frame, hash_file(path))


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read, it may be damaged ({describe_error(error)}). Write it again.")


def check_names(table: str, names: list[str]) -> None:
    """Check that each column has a name of its own. Raises: DataError."""
    if not all(name.strip() for name in names):
        number = next(number for number, name in enumerate(names, start=1) if not name.strip())
        raise DataError(
            f"Each column of {table} must have a name, got none for column {number}. If it is the index of a "
            "DataFrame, write the file with index=False."
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"Each column of {table} must have a name of its own, got {repeated[0]!r} twice. Rename one.")


def content_of_table(request: Request, frame: pd.DataFrame, data_hash: str | None = None) -> Content:
    """Return the content of a DataFrame with features and labels.

    Columns of numbers are features; a column of text becomes one feature for each of its values.

    Args:
        request: names the label column, or several.
        frame: the table.
        data_hash: None: that of the columns.

    Raises:
        DataError: If there is no such label column, or a column is neither numbers nor text.
    """
    y = _labels(request, frame)
    features = frame.drop(columns=list(request.targets))
    if features.shape[1] == 0:
        names_of_labels = ", ".join(map(repr, request.targets))
        raise DataError(f"{request.name!r} must have a feature beside the label column {names_of_labels}, got none.")
    numbers, names, categories = [], [], []
    for name in features.columns:
        column = _column(request.name, str(name), features[name])
        if isinstance(column, Category):
            categories.append(column)
        else:
            numbers.append(column)
            names.append(str(name))
    matrix = np.stack(numbers, axis=1) if numbers else np.empty((len(frame), 0))
    parts = (Part(Table(matrix, tuple(names), tuple(categories)), y),)
    return Content(parts, hash_parts(parts) if data_hash is None else data_hash)


def _labels(request: Request, frame: pd.DataFrame) -> Array:
    """Return the labels: (examples,); of several columns (examples, columns)."""
    columns = [_label_column(request.name, target, frame) for target in request.targets or (None,)]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _label_column(table: str, target: str | None, frame: pd.DataFrame) -> Array:
    columns = [str(name) for name in frame.columns]
    if target not in columns:
        shown = f"{', '.join(columns[:SHOWN_NAMES])}{', ...' if len(columns) > SHOWN_NAMES else ''}"
        near = near_matches(target, columns) if target is not None else []
        hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise DataError(
            f"target must be the name of the label column of {table!r}, got {target!r}. {hint}Its columns: {shown}."
        )
    labels = frame[target]
    if labels.isna().any():
        raise DataError(
            f"Each example of {table!r} must have a label, got {int(labels.isna().sum())} missing values in the "
            f"column {target!r}. Remove these rows."
        )
    values = labels.to_numpy(dtype=object) if _is_text(labels) else labels.to_numpy()
    return np.array([str(each) for each in values]) if _is_text(labels) else values


def _is_text(column: pd.Series[Any]) -> bool:
    """Return True for columns of text, or of categories."""
    import pandas as pd

    return isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(column)


def _column(table: str, name: str, column: pd.Series[Any]) -> Array | Category:
    """Return a column as numbers, NaN where missing, or as a Category. Raises: DataError."""
    if not _is_text(column):
        numbers: Array = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isinf(numbers).any():
            raise DataError(f"The columns of {table!r} must be finite, got infinite values in {name!r}.")
        return numbers
    values = column.to_numpy(dtype=object)
    is_missing = column.isna().to_numpy()
    texts = [each for each, missing in zip(values, is_missing, strict=True) if not missing]
    other = next((each for each in texts if not isinstance(each, str | bool | int | float | np.generic)), None)
    if other is not None or column.dtype.kind in "mM":
        raise DataError(
            f"The columns of {table!r} must be numbers or text, got {column.dtype} in {name!r}"
            f"{'' if other is None else f', such as {other!r}'}. Convert the column to numbers, or remove it."
        )
    _check_values(table, name, list(map(str, texts)))
    distinct = sorted(set(map(str, texts)))
    codes = {value: code for code, value in enumerate(distinct)}
    of_rows = [-1 if missing else codes[str(each)] for each, missing in zip(values, is_missing, strict=True)]
    return Category(name, tuple(distinct), np.array(of_rows, dtype=np.int64))


def _check_values(table: str, name: str, texts: list[str]) -> None:
    """Check that a column of text has few values, and was not meant as numbers. Raises: DataError."""
    distinct = sorted(set(texts))
    others = [each for each in distinct if not _is_number(each)]
    n_numbers = sum(map(_is_number, texts))
    if others and n_numbers > MOSTLY_NUMBERS * len(texts):
        raise DataError(
            f"The column {name!r} of {table!r} must be numbers or text, got {n_numbers} numbers and text such as "
            f"{others[0]!r}. Leave the cell of a missing number empty."
        )
    if len(distinct) > MAX_VALUES:
        raise DataError(
            f"A column of text must have at most {MAX_VALUES} distinct values, got {len(distinct)} in {name!r} of "
            f"{table!r}, such as {distinct[0]!r}. Remove the column, or convert it to numbers."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
