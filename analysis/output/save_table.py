"""Tables as files: for a program, for a spreadsheet, for a paper."""

import io
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frame.schema import HYPERPARAMETERS, METRICS
from analysis.frame.suggest import unknown
from analysis.loading.remote import is_remote
from analysis.output.tables import format_table, with_index_as_columns

# What a spreadsheet cannot hold in a text.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# What `issues`, `hyperparameters` and `metrics` read.
KEPT_ATTRS = {"issues", HYPERPARAMETERS, METRICS}
# The kinds of values that a column of objects may hold and keep; what is missing takes no part.
KEPT = {"boolean", "date", "datetime", "datetime64", "empty", "floating", "integer", "string"}


def save(df: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Writes a table in the format that the suffix of the path names, and returns the path.

    | suffix | holds |
    |---|---|
    | .parquet | numbers, booleans and texts as they are; `issues` works on what `pandas.read_parquet` reads back |
    | .csv | numbers in full; texts that look like numbers, such as a trial_id "00012", need `dtype=str` when read |
    | .xlsx | numbers with 16 digits, as openpyxl writes them; texts are never formulas |
    | .tex | what `format_table(df, "latex")` prints, numbers with 3 decimals |
    | .md | what `format_table(df, "markdown")` prints |

    The index becomes columns, unless it only counts the rows; columns of several levels, or of a pivot table, get
    the names that `format_table` prints. In .parquet and .xlsx a column of values of several kinds (0.5 and
    "cosine"), of tuples or of anything else becomes one of texts, each as `str` writes it: `ast.literal_eval` reads
    a tuple back. Integers among floats become floats. What is missing stays missing.

    The file is complete or not there: it is written beside its place and then moved. An older one is replaced.

    Raises: ValueError if the suffix is unknown, two columns get the same name, or `df` is no DataFrame;
    FileNotFoundError if there is no such folder; ImportError if .xlsx is asked for without openpyxl.
    """
    if not isinstance(df, pd.DataFrame):
        hint = "; write .to_frame()" if isinstance(df, pd.Series) else ""
        raise ValueError(f"save takes a DataFrame, got {type(df).__name__}{hint}")
    if is_remote(path):
        raise ValueError(f"save writes to this machine, got {os.fspath(path)}; save a file here and copy it there")
    target = Path(path).expanduser()
    suffix = target.suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(unknown("suffix", target.suffix, list(WRITERS)))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"no folder {target.parent}; make it first")
    _replace(target, WRITERS[suffix](df))
    return target


def _replace(target: Path, content: bytes) -> None:
    target = target.resolve()  # of a link, the file that it leads to
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def _parquet(df: pd.DataFrame) -> bytes:
    table = _storable(df)
    # pandas writes these as JSON, and fails on what is none.
    table.attrs = {name: value for name, value in df.attrs.items() if name in KEPT_ATTRS}
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    return content.getvalue()


def _xlsx(df: pd.DataFrame) -> bytes:
    try:
        from openpyxl.utils import get_column_letter
    except ImportError as error:
        raise ImportError("an .xlsx is written by openpyxl, which is not installed: pip install openpyxl") from error
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
                # openpyxl takes a text that begins with "=" for a formula.
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


# Each suffix, and what turns a table into the bytes of its file.
WRITERS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".xlsx": _xlsx,
    ".tex": _tex,
    ".md": _md,
}


def _storable(df: pd.DataFrame) -> pd.DataFrame:
    """The table with its index as columns, and each column of one type that a file can hold."""
    table = with_index_as_columns(df)
    names = [str(name) for name in table.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two columns would be called {', '.join(map(repr, twice))}; rename one of them")
    columns = {name: _of_one_type(table.iloc[:, i]) for i, name in enumerate(names)}
    return pd.DataFrame(columns, index=table.index)


def _of_one_type(column: pd.Series) -> pd.Series:
    dtype = column.dtype
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_datetime64_dtype(dtype):
        return column
    values = [None if _is_missing(value) else value for value in column]
    kinds = {pd.api.types.infer_dtype([value]) for value in values if value is not None}
    if kinds == {"integer", "floating"}:
        return pd.Series([math.nan if value is None else float(value) for value in values], index=column.index)
    # An integer of more than 64 bits has no type in a file.
    is_kept = len(kinds) <= 1 and kinds <= KEPT and not any(_is_huge(value) for value in values)
    texts = values if is_kept else [None if value is None else str(value) for value in values]
    if kinds <= {"string"} or not is_kept:
        return pd.Series(texts, index=column.index, dtype="str")
    return pd.Series(texts, index=column.index).convert_dtypes()


def _is_missing(value: Any) -> bool:
    return value is None or bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and abs(value) >= 2**63
