"""Checks of the columns that a caller names."""

from collections.abc import Sequence

import pandas as pd

from analysis.frame.suggest import unknown
from analysis.frame.summaries import summarised


def check_columns(df: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise a ValueError that names the near matches if one of the columns does not exist."""
    several = [name for name in names if isinstance(name, list | set | dict)]
    if several:
        raise ValueError(f"Name one column, not a {type(several[0]).__name__} of columns; got {several[0]!r}.")
    if not df.columns.is_unique:
        twice = df.columns[df.columns.duplicated()].unique().tolist()
        raise ValueError(f"Columns must have different names, got {twice} more than once. Rename or drop some.")
    wrong = [name for name in names if name not in df.columns]
    if "status" in wrong and "epoch" in df.columns:
        raise ValueError("This table has one row per epoch. Pass one with a row per trial, the result of load.")
    if "epoch" in wrong and "status" in df.columns:
        raise ValueError("This table has one row per trial. Pass one with a row per epoch, the result of load_history.")
    if wrong:
        raise ValueError(
            " ".join(unknown("column", name, [str(c) for c in df.columns]) + _hint(name) for name in wrong)
        )


def _hint(name: str) -> str:
    """Return how to load a summary that `load` leaves out."""
    logged = summarised(name)
    if logged == name:
        return ""
    return (
        f" Values without 'acc', 'r2' or 'rmse' in their name are loaded on request: load(path, metrics=[{logged!r}])."
    )


def check_numbers(df: pd.DataFrame, metric: str) -> None:
    """Raise a ValueError if the column does not exist or holds no numbers."""
    check_columns(df, [metric])
    if not pd.api.types.is_numeric_dtype(df[metric]):
        raise ValueError(f"metric must be a column of numbers, got {metric!r} of type {df[metric].dtype}.")


def is_numeric(column: pd.Series) -> bool:
    """Return True for a column of numbers; False for one of booleans, which pandas counts among the numbers."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
