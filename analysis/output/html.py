"""Tables as HTML, with every text escaped."""

import html
from typing import Any

import pandas as pd


def table(df: pd.DataFrame) -> str:
    """A short table, numbers with 4 digits; nothing where there is no row."""
    if not len(df):
        return ""
    is_number = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in df.dtypes]
    classes = [' class="number"' if number else "" for number in is_number]
    head = "".join(f"<th{kind}>{html.escape(str(name))}</th>" for name, kind in zip(df, classes, strict=True))
    rows = [
        "".join(f"<td{kind}>{html.escape(text(value))}</td>" for value, kind in zip(row, classes, strict=True))
        for row in df.itertuples(index=False)
    ]
    body = "".join(f"<tr>{cells}</tr>" for cells in rows)
    return f'<div class="wide"><table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(summary: str, content: str) -> str:
    """Content that is shown when its summary is clicked."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def text(value: Any) -> str:
    """A value of a table, not escaped; "–" if it is missing."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
