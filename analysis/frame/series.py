"""Columns that a caller names or gives as a Series."""

from collections.abc import Sequence

import pandas as pd

Column = str | pd.Series


def with_series(df: pd.DataFrame, *given: Column | Sequence[Column] | None) -> pd.DataFrame:
    """Return the DataFrame with every Series among the arguments as a column, which has the name of the Series.

    A column of the same name is replaced in the copy that is returned. Without a Series the DataFrame is returned as
    it is.

    Args:
        df: the trials.
        given: column names, Series with the index of `df`, and lists of both; None is nothing.

    Raises:
        ValueError: if a Series has no name, another index than `df`, or the name of another argument.

    Example:
        >>> import pandas as pd
        >>> df = pd.DataFrame({"on_perc": [0.1, 0.2], "val_acc_max": [0.91, 0.94]})
        >>> with_series(df, "on_perc", (100 * df["val_acc_max"]).rename("percent"))["percent"].tolist()
        [91.0, 94.0]
    """
    columns = [each for columns in given for each in _listed(columns)]
    names = column_names(columns)
    found = {}
    for column, name in zip(columns, names, strict=True):
        if isinstance(column, str):
            continue
        if names.count(name) > 1:
            raise ValueError(f"A Series must not have the name of another column, got {name!r} twice. {_RENAME}")
        if not column.index.equals(df.index):
            raise ValueError(
                f"A Series must have the index of the DataFrame, got {name!r} with another one. "
                f"Compute it from this DataFrame: {len(df)} rows, the Series has {len(column)}."
            )
        found[name] = column.array
    if not found:
        return df
    result = df.copy(deep=False)
    for name, values in found.items():
        result[name] = values
    return result


def column_name(column: Column) -> str:
    """Return the name of a column that is a name or a Series.

    Raises:
        ValueError: if a Series has no name.
    """
    if isinstance(column, pd.Series):
        if not isinstance(column.name, str) or not column.name:
            raise ValueError(f"A Series must have a name, got one named {column.name!r}. {_RENAME}")
        return column.name
    if not isinstance(column, str):
        raise ValueError(f"A column must be a name or a Series, got {type(column).__name__}: {column!r}.")
    return column


def column_names(columns: Column | Sequence[Column] | None) -> list[str]:
    """Return the names of one or more columns as a list, empty for None."""
    return [column_name(column) for column in _listed(columns)]


_RENAME = "Give it one: series.rename('my_name')."


def _listed(columns: Column | Sequence[Column] | None) -> list[Column]:
    if columns is None:
        return []
    return [columns] if isinstance(columns, str | pd.Series) else list(columns)
