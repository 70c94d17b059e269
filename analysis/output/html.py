"""Tables as HTML, with every text escaped."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.frame.schema import HYPERPARAMETERS
from analysis.frame.values import is_missing
from analysis.output.tables import is_p
from analysis.statistics.aggregate import NOTHING
from analysis.statistics.significance import p_digits

# A number that is smaller than the largest of its column by this factor is a rounding error.
ROUNDING = 1e-12


def table(df: pd.DataFrame, headers: Mapping[str, str] | None = None, kind: str = "plain") -> str:
    """Return a table, with 4 digits for each number that was measured; an empty string if there is no row.

    Args:
        df: the table.
        headers: what to write above a column instead of its name, on one line or two.
        kind: the class of the table.
    """
    if not len(df):
        return ""
    exact = df.attrs.get(HYPERPARAMETERS, ())
    columns = [_texts(df.iloc[:, i], str(name), name in exact) for i, name in enumerate(df.columns)]
    is_number = [pd.api.types.is_numeric_dtype(each) and not pd.api.types.is_bool_dtype(each) for each in df.dtypes]
    classes = [' class="number"' if number else "" for number in is_number]
    names = [(headers or {}).get(str(name), str(name)) for name in df]
    heads = [_head(name) for name in names]
    head = "".join(f"<th{each}>{name}</th>" for name, each in zip(heads, classes, strict=True))
    rows = [
        "".join(f"<td{each}>{html.escape(cell)}</td>" for cell, each in zip(row, classes, strict=True))
        for row in zip(*columns, strict=True)
    ]
    body = "".join(f"<tr>{cells}</tr>" for cells in rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(name: str) -> str:
    """Return the name of a column; what stands on a second line is smaller."""
    first, _, second = name.partition("\n")
    return html.escape(first) + (f"<br><small>{html.escape(second)}</small>" if second else "")


def _texts(column: pd.Series, name: str, is_exact: bool) -> list[str]:
    if is_exact or not pd.api.types.is_float_dtype(column):
        return list(map(text, column))
    if is_p(name):
        return [NOTHING if is_missing(value) else p_digits(value) for value in column]
    least = ROUNDING * float(column[np.isfinite(column)].abs().max())
    # A rounding error would be -1.1e-16, and -0.0 would keep its sign.
    return [NOTHING if is_missing(value) else f"{0 if abs(value) <= least else value:.4g}" for value in column]


def folded(summary: str, content: str) -> str:
    """Return content that is hidden until its summary is clicked; an empty string without content."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>" if content else ""


def with_texts(df: pd.DataFrame) -> pd.DataFrame:
    """Return the table with texts in every column of objects, as a JavaScript table needs it."""
    names = [name for name in df if pd.api.types.is_object_dtype(df[name])]
    return df.assign(**{str(name): df[name].map(text) for name in names})


def text(value: Any) -> str:
    """Return a value of a table as text, not escaped, with all its digits; "–" if it is missing."""
    return NOTHING if is_missing(value) else str(value)
