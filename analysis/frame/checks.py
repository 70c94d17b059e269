"""Checks of the columns that a caller names."""

from collections.abc import Sequence

import pandas as pd

from analysis.frame.suggest import unknown


def check_columns(df: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise a ValueError that names the near matches if one of the columns does not exist."""
    several = [name for name in names if isinstance(name, list | set | dict)]
    if several:
        raise ValueError(f"Name one column, not a {type(several[0]).__name__} of columns; got {several[0]!r}.")
    wrong = [name for name in names if name not in df.columns]
    if wrong:
        raise ValueError(" ".join(unknown("column", name, [str(c) for c in df.columns]) for name in wrong))


def check_numbers(df: pd.DataFrame, metric: str) -> None:
    """Raise a ValueError if the column does not exist or holds no numbers."""
    check_columns(df, [metric])
    if not pd.api.types.is_numeric_dtype(df[metric]):
        raise ValueError(f"metric must be a column of numbers, got {metric!r} of type {df[metric].dtype}.")
