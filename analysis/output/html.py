"""Tables as HTML, with every text escaped."""

import html
from typing import Any

import pandas as pd

from analysis.frame.schema import HYPERPARAMETERS
from analysis.frame.values import is_missing
from analysis.statistics.aggregate import NOTHING


def table(df: pd.DataFrame) -> str:
    """Return a short table, with 4 digits for each number that was measured; an empty string if there is no row."""
    if not len(df):
        return ""
    exact = df.attrs.get(HYPERPARAMETERS, ())
    columns = [_texts(df.iloc[:, i], name in exact) for i, name in enumerate(df.columns)]
    is_number = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in df.dtypes]
    classes = [' class="number"' if number else "" for number in is_number]
    head = "".join(f"<th{kind}>{html.escape(str(name))}</th>" for name, kind in zip(df, classes, strict=True))
    rows = [
        "".join(f"<td{kind}>{html.escape(cell)}</td>" for cell, kind in zip(row, classes, strict=True))
        for row in zip(*columns, strict=True)
    ]
    body = "".join(f"<tr>{cells}</tr>" for cells in rows)
    return f'<div class="wide"><table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _texts(column: pd.Series, is_exact: bool) -> list[str]:
    if is_exact or not pd.api.types.is_float_dtype(column):
        return list(map(text, column))
    return [NOTHING if is_missing(value) else f"{value:.4g}" for value in column]


def folded(summary: str, content: str) -> str:
    """Return content that is hidden until its summary is clicked."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def with_texts(df: pd.DataFrame) -> pd.DataFrame:
    """Return the table with texts in every column of objects, as a JavaScript table needs it."""
    names = [name for name in df if pd.api.types.is_object_dtype(df[name])]
    return df.assign(**{str(name): df[name].map(text) for name in names})


def text(value: Any) -> str:
    """Return a value of a table as text, not escaped, with all its digits; "–" if it is missing."""
    return NOTHING if is_missing(value) else str(value)
