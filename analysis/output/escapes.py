"""Texts of any origin in Markdown and CSV: a value is never taken for a link, for HTML or for a formula."""

import re

import pandas as pd

from analysis.frame.values import as_number
from analysis.frame.words import printable

# Characters that begin something in Markdown; a "_" does so only at the edge of a word.
SPECIAL = re.compile(r"[\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_])")
# Characters with which a spreadsheet begins a formula, or which it skips before one.
FORMULA = ("=", "+", "-", "@", "\t", "\n")


def escaped_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return SPECIAL.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before texts, and names of columns, that a spreadsheet would compute.

    Texts that are numbers, such as "-0.5", stay as they are. Control sequences are removed: a lone carriage return
    would begin a new row.
    """
    columns = [
        column
        if pd.api.types.is_numeric_dtype(column.dtype)
        else pd.Series([_cell(value) for value in column], index=table.index, dtype=object)
        for _, column in table.items()
    ]
    names = pd.Index([_cell(name) for name in table.columns], dtype=object)
    return pd.DataFrame(dict(enumerate(columns)), index=table.index).set_axis(names, axis="columns")


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(FORMULA) and as_number(text) is None else text
