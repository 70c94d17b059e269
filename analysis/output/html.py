"""Tables as HTML, with every text escaped."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.checks import is_numeric
from analysis.frame.schema import HYPERPARAMETERS
from analysis.frame.values import is_missing
from analysis.output.tables import is_p
from analysis.statistics.aggregate import NOTHING
from analysis.statistics.significance import p_digits

# Numbers below this share of the largest one of their column are rounding errors.
ROUNDING = 1e-12


def table(df: pd.DataFrame, headers: Mapping[str, str] | None = None, kind: str = "plain") -> str:
    """Return a table as HTML, with 4 digits for measured numbers; an empty string if there is no row.

    Hyperparameters and integers have all digits.

    Args:
        df: the table.
        headers: for some columns, a header of one line or two instead of the name.
        kind: the CSS class of the table.
    """
    if not len(df):
        return ""
    exact = df.attrs.get(HYPERPARAMETERS, ())
    columns = [_texts(df.iloc[:, i], str(name), name in exact) for i, name in enumerate(df.columns)]
    classes = [' class="number"' if is_numeric(df.iloc[:, i]) else "" for i in range(df.shape[1])]
    heads = [_head((headers or {}).get(str(name), str(name))) for name in df]
    head = "".join(f"<th{of}>{name}</th>" for name, of in zip(heads, classes, strict=True))
    rows = [
        "".join(f"<td{of}>{html.escape(cell)}</td>" for cell, of in zip(row, classes, strict=True))
        for row in zip(*columns, strict=True)
    ]
    body = "".join(f"<tr>{cells}</tr>" for cells in rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(name: str) -> str:
    """Return the header of a column as HTML, with the second line smaller."""
    first, _, second = name.partition("\n")
    return html.escape(first) + (f"<br><small>{html.escape(second)}</small>" if second else "")


def _texts(column: pd.Series, name: str, is_exact: bool) -> list[str]:
    if is_exact or not pd.api.types.is_float_dtype(column):
        return list(map(text, column))
    if is_p(name):
        return [NOTHING if is_missing(value) else p_digits(value) for value in column]
    least = ROUNDING * float(column[np.isfinite(column)].abs().max())
    # Otherwise a rounding error would be shown as -1.1e-16, and -0.0 as -0.
    return [NOTHING if is_missing(value) else f"{0 if abs(value) <= least else value:.4g}" for value in column]


def folded(summary: str, content: str) -> str:
    """Return content that is hidden until its summary is clicked; an empty string without content."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>" if content else ""


def with_texts(df: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the values of object columns as text, which a JavaScript table can sort."""
    names = [name for name in df if pd.api.types.is_object_dtype(df[name])]
    return df.assign(**{str(name): df[name].map(text) for name in names})


def text(value: Any) -> str:
    """Return a value of a table as text, not escaped, with all its digits; "–" if it is missing."""
    return NOTHING if is_missing(value) else str(value)
