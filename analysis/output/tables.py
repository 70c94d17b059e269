"""Tables for people: pivot tables, the trials that failed, and any table as text, Markdown, LaTeX or CSV."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from analysis.frame.checks import check_columns
from analysis.frame.schema import hyperparameters, with_known_config
from analysis.frame.suggest import unknown
from analysis.frame.values import sort_key
from analysis.stats.aggregate import LEFT_OUT, NOTHING, agg, format_mean

# Each format but CSV, which keeps numbers in full, and what tabulate calls it.
FORMATS = {"text": "simple", "markdown": "pipe", "latex": "latex_booktabs"}


def pivot(df: pd.DataFrame, rows: str | Sequence[str], columns: str | None, metric: str) -> pd.DataFrame:
    """Mean and deviation of a column for each combination of values, as "0.971 ± 0.003 (n=9, 3 failed)".

    Only complete trials count. A cell says how many trials it left out; as soon as one left any out, or the
    cells differ in their number of trials, all say of how many they are made. "–" is a cell without a value.

    Args:
        rows: one or more hyperparameters, which become the index.
        columns: the hyperparameter along the top; None for a single column, called like the metric.

    Raises: ValueError if a column does not exist, or `metric` holds no numbers.
    """
    row_keys = [rows] if isinstance(rows, str) else list(rows)
    table = agg(df, row_keys if columns is None else [*row_keys, columns], metric)
    has_gaps = bool(table[LEFT_OUT].to_numpy().any())
    show_count = has_gaps or table["count"].nunique() > 1
    cells = [_cell(row, show_count) for row in table.to_dict("records")]
    lefts = [tuple(map(_label, values)) for values in zip(*(table[key] for key in row_keys), strict=True)]
    tops = [metric] * len(table) if columns is None else [_label(value) for value in table[columns]]
    cell_at = dict(zip(zip(lefts, tops, strict=True), cells, strict=True))
    left_labels, top_labels = list(dict.fromkeys(lefts)), sorted(set(tops), key=sort_key)
    index = pd.MultiIndex.from_tuples(left_labels, names=row_keys)
    return pd.DataFrame(
        [[cell_at.get((left, top), NOTHING) for top in top_labels] for left in left_labels],
        index=index if len(row_keys) > 1 else index.get_level_values(0),
        columns=pd.Index(top_labels, name=columns),
    )


def failures(df: pd.DataFrame) -> pd.DataFrame:
    """The trials that are not complete, one row each; empty if all are.

    Columns: the hyperparameters that vary in `df`, then `epochs`, `status`, `error`, `trial_dir`.
    """
    last = ["epochs", "status", "error", "trial_dir"]
    check_columns(df, last)
    varying = [name for name in hyperparameters(df) if df[name].nunique(dropna=False) > 1]
    return df.loc[df["status"] != "complete", [*varying, *last]].reset_index(drop=True)


def left_out(df: pd.DataFrame) -> str:
    """What statistics leave out, as in "left out: 3 failed, 1 incomplete of 48 trials"; and what they had better."""
    check_columns(df, ["status"])
    total = f"{len(df)} trial{'s' if len(df) != 1 else ''}"
    counts = {"failed": (df["status"] == "error").sum(), "incomplete": (df["status"] == "incomplete").sum()}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    all_complete = f"all {total} are complete" if len(df) != 1 else f"the {total} is complete"
    text = f"left out: {', '.join(parts)} of {total}" if parts else all_complete
    lost = len(df) - len(with_known_config(df))
    text += f"; {lost} without hyperparameters, because params.json is lost" if lost else ""
    diverged = int((df["diverged"] & (df["status"] == "complete")).sum()) if "diverged" in df else 0
    return f"{text}; {diverged} complete and counted, but diverged (column `diverged`)" if diverged else text


def format_table(df: pd.DataFrame, format: str = "text") -> str:
    """The table as text: "text", "markdown", "latex" (booktabs, escaped) or "csv" (numbers in full).

    Outside CSV numbers have 3 decimals, unless all of a column are short enough to be shown as they are.

    Raises: ValueError if the format is unknown.
    """
    if format not in [*FORMATS, "csv"]:
        raise ValueError(unknown("format", format, [*FORMATS, "csv"]))
    table = with_index_as_columns(df)
    if format == "csv":
        return table.to_csv(index=False)
    columns = [[str(name), *_texts(table.iloc[:, i])] for i, name in enumerate(table.columns)]
    if format == "markdown":
        columns = [[text.replace("|", "\\|") for text in column] for column in columns]
    headers, *rows = zip(*columns, strict=True)
    align = ["right" if _is_number(dtype) else "left" for dtype in table.dtypes] if rows else None
    text = tabulate(rows, headers, tablefmt=FORMATS[format], colalign=align, disable_numparse=True)
    return text.replace("±", r"$\pm$").replace(NOTHING, "--") if format == "latex" else text


def _label(value: Any) -> Any:
    """The value as a label. A tuple is shown as text, because pandas would take it for several labels."""
    if isinstance(value, tuple):
        return str(value)
    return None if pd.isna(value) else value


def _cell(group: dict[Any, Any], show_count: bool) -> str:
    count = group["count"]
    notes = [f"n={count}"] if count == 1 or (count and show_count) else []
    notes += [f"{group[name]} {name.replace('_', ' ')}" for name in LEFT_OUT if group[name]]
    return format_mean(group["mean"], group["std"], count, notes)


def with_index_as_columns(df: pd.DataFrame) -> pd.DataFrame:
    """The table with texts for column names, and its index in front unless that only counts the rows."""
    names = [_header(name, df.columns.name) for name in df.columns]
    table = df.set_axis(pd.Index(names, dtype=object), axis="columns")
    is_plain = isinstance(df.index, pd.RangeIndex) and df.index.name is None
    return table if is_plain else table.reset_index()


def _header(name: Any, of: Any) -> str:
    if isinstance(name, tuple):
        return " ".join(str(part) for part in name if part != "")
    return f"{of}={name}" if of else str(name)


def _texts(column: pd.Series) -> list[str]:
    values = list(column)
    if pd.api.types.is_float_dtype(column.dtype):
        are_short = all(pd.isna(value) or float(f"{value:g}") == value for value in values)
        number = "{:g}" if are_short else "{:.3f}"
        return [NOTHING if pd.isna(value) else number.format(value) for value in values]
    return [_text(value) for value in values]


def _text(value: Any) -> str:
    is_missing = pd.api.types.is_scalar(value) and pd.isna(value)
    # A line break inside a cell would end the row.
    return NOTHING if is_missing else " ".join(str(value).split())


def _is_number(dtype: Any) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
