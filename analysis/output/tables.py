"""Tables for people: pivot tables, failed trials, and any table as text, Markdown, LaTeX or CSV."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from analysis.frame.checks import check_columns, is_numeric
from analysis.frame.matching import cell_of_each
from analysis.frame.schema import HYPERPARAMETERS, hyperparameters, with_known_config
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.frame.suggest import unknown
from analysis.frame.values import is_missing, n_values
from analysis.frame.words import plural, printable, unsigned_zero
from analysis.output.escapes import escaped_markdown, without_formulas
from analysis.statistics.aggregate import LEFT_OUT, NOTED, NOTHING, agg, format_mean
from analysis.statistics.chance import chance_note
from analysis.statistics.common_settings import common_settings, listed_settings
from analysis.statistics.copies import copies_note
from analysis.statistics.divergence import is_diverged
from analysis.statistics.interquartile import interquartile_mean
from analysis.statistics.significance import p_digits

# The `error` of a trial that diverged.
DIVERGED = "diverged: a loss is NaN or infinite"
# The formats of tabulate. CSV is not among them, because it keeps all digits of numbers.
FORMATS = {"text": "simple", "markdown": "pipe", "latex": "latex_booktabs"}
# What a cell of `pivot` shows, and the function that computes it for groups of trials.
STATS: dict[str, Callable[[pd.DataFrame, list[str], str], pd.DataFrame]] = {
    "mean": agg,
    "ci": agg,
    "iqm": interquartile_mean,
}


def pivot(
    df: pd.DataFrame,
    rows: Column | Sequence[Column],
    columns: Column | Sequence[Column] | None,
    metric: Column,
    stat: str = "mean",
) -> pd.DataFrame:
    """Return a table of means, with a text such as "0.971 ± 0.003 (n=9, 3 failed)" for each combination of values.

    Means are over complete trials that did not diverge. A cell notes how many trials it leaves out, and how many of its
    trials never left chance level. Cells note their number of trials if it differs between cells, or if a trial is left
    out. A cell without a value is "–".

    Args:
        df: one row for each trial, as returned by `load`.
        rows: one or more columns, which become the index.
        columns: the column whose values become the columns, or several, whose combinations do; None for a single column
            with the name of the metric.
        metric: the column to average.
        stat: "mean", with the standard deviation; "ci", the mean and its 95% interval, as "0.971 [0.963, 0.979]";
            "iqm", the interquartile mean and its interval.

    Raises:
        ValueError: if a column or `stat` does not exist, or `metric` holds no numbers.

    Example:
        >>> from analysis import format_table, load_example, pivot
        >>> print(format_table(pivot(load_example("quickstart"), "model", "on_perc", "test_acc_at_best")))
        model        on_perc=0.02    on_perc=0.05    on_perc=0.1
        -----------  --------------  --------------  -------------
        RigL         0.672 ± 0.168   0.916 ± 0.012   0.935 ± 0.004
        SET          0.493 ± 0.144   0.868 ± 0.020   0.944 ± 0.011
        SparseModel  0.323 ± 0.043   0.818 ± 0.020   0.945 ± 0.014
    """
    df = with_series(df, rows, columns, metric)
    row_keys, column_keys, metric = column_names(rows), column_names(columns), column_name(metric)
    table, cells = statistics_and_cells(df, [*row_keys, *column_keys], metric, stat)
    return arrange_cells(table, cells, row_keys, column_keys, metric)


def statistics_and_cells(df: pd.DataFrame, keys: list[str], metric: str, stat: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the statistics of each group of trials, one row each, and the texts of their cells.

    Raises:
        ValueError: as for `pivot`.
    """
    if stat not in STATS:
        raise ValueError(unknown("stat", stat, list(STATS)))
    table = STATS[stat](df, keys, metric)
    has_gaps = bool(table[LEFT_OUT].to_numpy().any())
    show_count = has_gaps or table["count"].nunique() > 1
    return table, [_cell(row, stat, show_count) for row in table.to_dict("records")]


def arrange_cells(
    table: pd.DataFrame, cells: Sequence[str], row_keys: list[str], column_keys: list[str], metric: str
) -> pd.DataFrame:
    """Return the texts of the cells as a pivot table.

    Args:
        table: one row for each cell, with its keys as columns.
        cells: the text of each cell, in the order of the rows.
        row_keys: the columns of `table` that become the rows.
        column_keys: the columns of `table` that become the columns.
        metric: the name of the only column if there are no `column_keys`.
    """
    lefts = [tuple(map(_label, values)) for values in zip(*(table[key] for key in row_keys), strict=True)]
    tops = [tuple(_label(row[key]) for key in column_keys) for row in table.to_dict("records")]
    cell_at = dict(zip(zip(lefts, tops, strict=True), cells, strict=True))
    left_labels = list(dict.fromkeys(lefts))
    places = dict(zip(tops, cell_of_each(table, column_keys), strict=True))
    top_labels = sorted(places, key=places.__getitem__)
    index = pd.MultiIndex.from_tuples(left_labels, names=row_keys)
    return pd.DataFrame(
        [[cell_at.get((left, top), NOTHING) for top in top_labels] for left in left_labels],
        index=index if len(row_keys) > 1 else index.get_level_values(0),
        columns=_column_index(column_keys, top_labels, metric),
    )


def _column_index(keys: list[str], labels: list[tuple[Any, ...]], metric: str) -> Any:
    if len(keys) == 1:
        return pd.Index([label for (label,) in labels], name=keys[0])
    texts = [", ".join(f"{key}={each}" for key, each in zip(keys, label, strict=True)) for label in labels]
    return pd.Index(texts if keys else [metric])


def failures(df: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that failed, are incomplete or diverged, one row for each.

    Trials that a rule of early stopping has ended are not among them.

    Columns: the hyperparameters that vary in `df`, then `epochs`, `status`, `error`, `trial_dir`. The status of a
    trial that diverged is "complete", and its `error` says so.

    Raises:
        ValueError: if one of the last four columns does not exist.

    Example:
        >>> from analysis import failures, load_example
        >>> df = load_example("quickstart")
        >>> df.loc[df["seed"] == 0, ["status", "error"]] = "error", "ValueError: no loss"
        >>> failures(df)[["model", "on_perc", "seed", "epochs", "status", "error"]].head(2)
          model  on_perc  seed  epochs status                error
        0  RigL     0.02     0       8  error  ValueError: no loss
        1  RigL     0.05     0       8  error  ValueError: no loss
    """
    last = ["epochs", "status", "error", "trial_dir"]
    check_columns(df, last)
    varying = [name for name in hyperparameters(df) if n_values(df[name]) > 1]
    diverged = is_diverged(df)
    found = df.assign(error=df["error"].mask(diverged, DIVERGED))
    return found.loc[~df["status"].isin(["complete", "stopped"]) | diverged, [*varying, *last]].reset_index(drop=True)


def left_out(df: pd.DataFrame) -> str:
    """Return a note on the trials that statistics leave out, as "left out: 3 failed, 1 incomplete of 48 trials".

    It names the settings that most of the diverged trials share. It also counts some trials that statistics include:
    those without hyperparameters, those that began as copies of others, and those that never left chance level, with
    their settings.

    Raises:
        ValueError: if there is no column `status`.

    Example:
        >>> from analysis import left_out, load_example
        >>> df = load_example("quickstart")
        >>> left_out(df[df["model"] == "SET"]).split("; ")
        ['all 9 trials are complete']
        >>> df.loc[df["seed"] == 0, "status"] = "error"
        >>> left_out(df)
        'left out: 9 failed of 27 trials'
    """
    check_columns(df, ["status"])
    total = plural(len(df), "trial")
    diverged = is_diverged(df)
    counts = {
        "failed": (df["status"] == "error").sum(),
        "stopped early": (df["status"] == "stopped").sum(),
        "incomplete": (df["status"] == "incomplete").sum(),
        "diverged": diverged.sum(),
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    all_complete = f"all {total} are complete" if len(df) != 1 else f"the {total} is complete"
    text = f"left out: {', '.join(parts)} of {total}" if parts else all_complete
    n_unread = len(df.attrs.get("unread_folders", []))
    text += f"; {plural(n_unread, 'folder')} could not be read as a trial of its own" if n_unread else ""
    lost = len(df) - len(with_known_config(df))
    text += f"; {lost} without hyperparameters, because params.json is lost" if lost else ""
    where = listed_settings(common_settings(df, diverged)).removeprefix(": ") if diverged.any() else ""
    text += f"; settings that diverged: {where}" if where else ""
    return "; ".join(part for part in (text, copies_note(df), chance_note(df)) if part)


def format_table(df: pd.DataFrame, format: str = "text") -> str:
    """Return the table as "text", "markdown", "latex" (booktabs, escaped) or "csv" (all digits).

    Except in "csv", numbers have 3 decimals, unless all numbers of the column are shorter than that. P values (columns
    `p` and `p_...`) have 2 digits, and small ones are "<0.0001". Hyperparameters and the index have all digits, so that
    `select` finds the values that a table shows. Control sequences and line breaks are removed from texts, and Markdown
    shows each text unchanged.

    In "csv", a text that a spreadsheet would take for a formula, because it begins with =, +, -, @, a tab or a line
    break, gets an apostrophe before it. Numbers, including negative ones and texts that are numbers, are not changed.

    Args:
        df: the table.
        format: one of the four names above.

    Raises:
        ValueError: if the format is unknown.

    Example:
        >>> import pandas as pd
        >>> from analysis import format_table
        >>> print(format_table(pd.DataFrame({"on_perc": [0.1, 0.2], "accuracy": [0.9123456, 0.94]}), "markdown"))
        |   on_perc |   accuracy |
        |----------:|-----------:|
        |       0.1 |      0.912 |
        |       0.2 |      0.940 |
    """
    if format not in [*FORMATS, "csv"]:
        raise ValueError(unknown("format", format, [*FORMATS, "csv"]))
    table = with_index_as_columns(df)
    if format == "csv":
        return without_formulas(table).to_csv(index=False)
    exact = {*df.index.names, *df.attrs.get(HYPERPARAMETERS, ())}
    columns = [[_text(name), *_texts(table.iloc[:, i], name, exact)] for i, name in enumerate(table.columns)]
    if format == "markdown":
        columns = [list(map(escaped_markdown, column)) for column in columns]
    headers, *rows = zip(*columns, strict=True)
    align = ["right" if is_numeric(table.iloc[:, i]) else "left" for i in range(table.shape[1])] if rows else None
    text = tabulate(rows, headers, tablefmt=FORMATS[format], colalign=align, disable_numparse=True)
    return text.replace("±", r"$\pm$").replace(NOTHING, "--") if format == "latex" else text


def _label(value: Any) -> Any:
    """Return the value as a label. A tuple becomes a string, because pandas would read it as several labels."""
    if isinstance(value, tuple):
        return str(value)
    return None if is_missing(value) else value


def _cell(group: dict[Any, Any], stat: str, show_count: bool) -> str:
    count = group["count"]
    notes = [f"n={count}"] if count == 1 or (count and show_count) else []
    notes += [f"{group[name]} {name.replace('_', ' ')}" for name in NOTED if group[name]]
    if stat == "mean":
        return format_mean(group["mean"], group["std"], count, notes)
    has_interval = count and not math.isnan(group["low"])
    interval = [f"[{group['low']:.3f}, {group['high']:.3f}]"] if has_interval else []
    noted = [f"({', '.join(notes)})"] if notes else []
    return " ".join([format_mean(group["mean"], math.nan, count), *interval, *noted])


def with_index_as_columns(df: pd.DataFrame) -> pd.DataFrame:
    """Return the table with strings as column names, and its index as columns unless it only numbers the rows."""
    names = [_header(name, df.columns.name) for name in df.columns]
    table = df.set_axis(pd.Index(names, dtype=object), axis="columns")
    is_plain = isinstance(df.index, pd.RangeIndex) and df.index.name is None
    return table if is_plain else table.reset_index()


def _header(name: Any, of: Any) -> str:
    """Return the name of a column: "on_perc=0.1" if the columns are the values of a key, "mean std" of two levels."""
    if isinstance(name, tuple):
        return " ".join(str(part) for part in name if part != "")
    return f"{of}={NOTHING if is_missing(name) else name}" if of else str(name)


def _texts(column: pd.Series, name: str, exact: Collection[str]) -> list[str]:
    values = list(column)
    if pd.api.types.is_float_dtype(column.dtype):
        is_exact = name in exact
        if not is_exact and is_p(name):
            return [NOTHING if pd.isna(value) else p_digits(value) for value in values]
        are_short = all(pd.isna(value) or float(f"{value:g}") == value for value in values)
        if is_exact and not are_short:
            return [_text(value) for value in values]
        number = "{:g}" if are_short else "{:.3f}"
        return [NOTHING if pd.isna(value) else unsigned_zero(number.format(value)) for value in values]
    return [_text(value) for value in values]


def is_p(name: str) -> bool:
    """Return True for the name of a column of p values."""
    return name == "p" or name.startswith("p_")


def _text(value: Any) -> str:
    # A line break in a cell would end the row.
    return NOTHING if is_missing(value) else " ".join(printable(str(value)).split())
