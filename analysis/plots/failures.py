"""Plot of failure rates."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns
from analysis.frame.series import Column, column_names, with_series
from analysis.plots._lib.matrix import Cell, draw_matrix, matrix
from analysis.plots._lib.style import escape, label
from analysis.statistics.aggregate import failure_rates, key_names


def plot_failures(df: pd.DataFrame, rows: Column | Sequence[Column], columns: Column | Sequence[Column]) -> go.Figure:
    """Plot a heat map of the share of trials that failed, for each combination of values; each cell says "3 of 9".

    A combination without trials has no colour and shows "–". Hover over a cell for the 95% interval of its rate. The
    rates are those of `failure_rates`: interrupted trials count as not failed.

    Args:
        df: one row for each trial, as returned by `load`.
        rows: one or more columns, whose values name the rows.
        columns: one or more columns, whose values name the columns.

    Raises:
        ValueError: if a column does not exist, or there is no trial.

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_failures
        >>> df = load_example("quickstart")
        >>> df.loc[(df["model"] == "SET") & (df["seed"] > 0), "status"] = "error"
        >>> heat_map, texts = plot_failures(df, "model", "on_perc").data
        >>> heat_map.y
        ('RigL', 'SET', 'SparseModel')
        >>> texts.text[3:6]
        ('2 of 3', '2 of 3', '2 of 3')
    """
    df = with_series(df, rows, columns)
    lefts, tops = column_names(rows), column_names(columns)
    keys = key_names(df, lefts + tops, taken=[])
    check_columns(df, ["status"])
    if df.empty:
        raise ValueError("Nothing to plot: the DataFrame has no rows.")
    table = failure_rates(df, keys)
    groups = table.to_dict("records")
    cells = [Cell(group["rate"], f"{group['failed']} of {group['total']}", _hover(group, keys)) for group in groups]
    n_incomplete = int((~df["status"].isin(["complete", "error"])).sum())
    notes = [f"{table['failed'].sum()} of {len(df)} trials failed; {n_incomplete} incomplete, counted as not failed"]
    title = f"failed trials by {', '.join(lefts)} and {', '.join(tops)}"
    bar = {"title": {"text": "failure rate"}, "tickformat": ".0%"}
    return draw_matrix(matrix(table, lefts, tops, cells), lefts, tops, title, notes, bar, ends=(0.0, 1.0))


def _hover(group: dict[Any, Any], keys: list[str]) -> str:
    values = [f"{escape(key)}: {escape(label(group[key]))}" for key in keys]
    rate = f"{group['failed']} of {group['total']} failed: {group['rate']:.1%}"
    return "<br>".join([*values, rate, f"95%: {group['low']:.1%} to {group['high']:.1%}"])
