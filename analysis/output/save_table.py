"""Tables as files for programs, spreadsheets and papers."""

import io
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analysis.frame.schema import HYPERPARAMETERS, METRICS
from analysis.frame.suggest import unknown
from analysis.frame.values import is_missing
from analysis.loading.atomic import write_file
from analysis.loading.remote import is_remote
from analysis.output.tables import format_table, with_index_as_columns

# Characters that a spreadsheet cannot hold.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# The entries of `attrs` that `issues`, `hyperparameters` and `metrics` read.
KEPT_ATTRS = {"issues", HYPERPARAMETERS, METRICS}
# A column of objects keeps its values if all that are not missing are of one of these kinds.
KEPT = {"boolean", "date", "datetime", "datetime64", "empty", "floating", "integer", "string"}


def save(df: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a table in the format of the suffix, and return the path.

    - .parquet: numbers, booleans and strings without loss; `issues` works on what `pandas.read_parquet` returns.
    - .csv: the output of `format_table(df, "csv")`, numbers with all digits; strings that look like numbers, as a
      trial_id "00012", need `dtype=str` when read, and strings like formulas have an apostrophe before them.
    - .xlsx: numbers with 16 digits, as openpyxl writes them; strings are never formulas.
    - .tex: the output of `format_table(df, "latex")`, numbers with 3 decimals.
    - .md: the output of `format_table(df, "markdown")`.

    The index becomes columns, unless it only numbers the rows. Columns of several levels and of pivot tables get the
    names that `format_table` prints. In .parquet and .xlsx, columns of several types (0.5 and "cosine"), of tuples or
    of other objects become strings, as `str` writes them; `ast.literal_eval` reads a tuple back. Integers among floats
    become floats. Missing values stay missing.

    An existing file is replaced. The file is written under another name and then renamed, so it is never incomplete. A
    link is replaced by the file, and what it leads to stays as it is.

    Args:
        df: the table.
        path: the file; its suffix is one of those above.

    Raises:
        ValueError: if the suffix is unknown, two columns get the same name, or `df` is not a DataFrame.
        FileNotFoundError: if the folder does not exist.
        ImportError: if openpyxl is not installed and the suffix is .xlsx.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> from analysis import save
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save(pd.DataFrame({"on_perc": [0.1, 0.2], "accuracy": [0.91, 0.94]}), f"{folder}/accuracy.csv")
        ...     print(path.read_text(), end="")
        on_perc,accuracy
        0.1,0.91
        0.2,0.94
    """
    if not isinstance(df, pd.DataFrame):
        hint = " Use series.to_frame()." if isinstance(df, pd.Series) else ""
        raise ValueError(f"df must be a DataFrame, got {type(df).__name__}.{hint}")
    if is_remote(path):
        raise ValueError(f"path must be a local file, got {os.fspath(path)}. Save a local file and upload it.")
    target = Path(path).expanduser()
    suffix = target.suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(unknown("suffix", target.suffix, list(WRITERS)))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder {target.parent} does not exist. Create it first.")
    write_file(target, WRITERS[suffix](df))
    return target


def _parquet(df: pd.DataFrame) -> bytes:
    table = _storable(df)
    # pandas writes `attrs` as JSON, and fails on objects that JSON cannot hold.
    table.attrs = {name: value for name, value in df.attrs.items() if name in KEPT_ATTRS}
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    return content.getvalue()


def _xlsx(df: pd.DataFrame) -> bytes:
    try:
        from openpyxl.utils import get_column_letter
    except ImportError as error:
        raise ImportError(".xlsx files need openpyxl, which is not installed. Run: pip install openpyxl") from error
    table = _storable(df)
    for i, name in enumerate(table.columns):
        if pd.api.types.is_string_dtype(table.dtypes.iloc[i]):
            table[name] = [CONTROL.sub("", value) if isinstance(value, str) else None for value in table[name]]
    table.columns = pd.Index([CONTROL.sub("", name) for name in table.columns], dtype=object)
    content = io.BytesIO()
    with pd.ExcelWriter(content, engine="openpyxl") as writer:
        table.to_excel(writer, sheet_name="table", index=False, freeze_panes=(1, 0))
        sheet = writer.sheets["table"]
        for row in sheet.iter_rows():
            for cell in row:
                # openpyxl reads a string that begins with "=" as a formula.
                if cell.data_type == "f":
                    cell.data_type = "s"
        for i, name in enumerate(table.columns, start=1):
            longest = max([len(name), *(len(str(value)) for value in table.iloc[:100, i - 1])])
            sheet.column_dimensions[get_column_letter(i)].width = min(longest + 2, 60)
    return content.getvalue()


def _csv(df: pd.DataFrame) -> bytes:
    return format_table(df, "csv").encode()


def _tex(df: pd.DataFrame) -> bytes:
    return (format_table(df, "latex") + "\n").encode()


def _md(df: pd.DataFrame) -> bytes:
    return (format_table(df, "markdown") + "\n").encode()


# Each suffix, and the function that returns the bytes of the file.
WRITERS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".xlsx": _xlsx,
    ".tex": _tex,
    ".md": _md,
}


def _storable(df: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its index as columns, and each column of a type that a file can hold."""
    table = with_index_as_columns(df)
    names = [str(name) for name in table.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Each column must have its own name, got {', '.join(map(repr, twice))} twice. Rename one.")
    columns = {name: _of_one_type(table.iloc[:, i]) for i, name in enumerate(names)}
    return pd.DataFrame(columns, index=table.index)


def _of_one_type(column: pd.Series) -> pd.Series:
    dtype = column.dtype
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_datetime64_dtype(dtype):
        return column
    values = [None if is_missing(value) else value for value in column]
    kinds = {pd.api.types.infer_dtype([value]) for value in values if value is not None}
    if kinds == {"integer", "floating"}:
        return pd.Series([math.nan if value is None else float(value) for value in values], index=column.index)
    # Files have no type for integers of more than 64 bits.
    is_kept = len(kinds) <= 1 and kinds <= KEPT and not any(_is_huge(value) for value in values)
    texts = values if is_kept else [None if value is None else str(value) for value in values]
    if kinds <= {"string"} or not is_kept:
        return pd.Series(texts, index=column.index, dtype="str")
    return pd.Series(texts, index=column.index).convert_dtypes()


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and abs(value) >= 2**63
