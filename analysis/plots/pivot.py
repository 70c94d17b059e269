"""Plot of a pivot table as a heat map."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.plots._lib.matrix import Cell, draw_matrix, matrix
from analysis.plots._lib.style import escape, label, short
from analysis.plots._lib.trials import averaged_over, describe, drawn, with_finite
from analysis.statistics.aggregate import NOTED, NOTHING, agg, key_names


def plot_pivot(
    df: pd.DataFrame, rows: Column | Sequence[Column], columns: Column | Sequence[Column], metric: Column
) -> go.Figure:
    """Plot a heat map of the mean of a metric for each combination of values.

    Each cell shows the mean, the number of trials, and how many trials failed, are incomplete, diverged or never left
    chance level. A cell without a value has no colour and shows "–". The means are those of `agg`. The size of the
    figure follows from its cells.

    Args:
        df: one row for each trial, as returned by `load`.
        rows: one or more columns, whose values name the rows.
        columns: one or more columns, whose values name the columns.
        metric: the column to average.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or no complete trial has a value.

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_pivot
        >>> heat_map, texts = plot_pivot(load_example("quickstart"), "model", "on_perc", "test_acc_at_best").data
        >>> heat_map.y, heat_map.x
        (('RigL', 'SET', 'SparseModel'), ('0.02', '0.05', '0.1'))
        >>> texts.text[0]
        '0.672<br>n=3'
    """
    df = with_series(df, rows, columns, metric)
    lefts, tops, metric = column_names(rows), column_names(columns), column_name(metric)
    keys = key_names(df, lefts + tops, taken=[])
    df = with_finite(df, metric)
    drawn(df, metric)
    table = agg(df, keys, metric)
    number = "{:.3f}" if table["mean"].abs().max() >= 0.01 else "{:.2e}"
    means = [None if math.isnan(mean) else float(mean) for mean in table["mean"]]
    groups = table.to_dict("records")
    cells = [
        Cell(mean, "<br>".join(_lines(group, number)), _hover(group, keys, metric))
        for mean, group in zip(means, groups, strict=True)
    ]
    title = f"{metric} by {', '.join(lefts)} and {', '.join(tops)}"
    bar = {"title": {"text": short(metric, 16)}}
    notes = [describe(df, metric), averaged_over(df, keys)]
    return draw_matrix(matrix(table, lefts, tops, cells), lefts, tops, title, notes, bar)


def _lines(group: dict[Any, Any], number: str) -> list[str]:
    mean = number.format(group["mean"]) if group["count"] else NOTHING
    left_out = [f"{group[name]} {name.replace('_', ' ')}" for name in NOTED if group[name]]
    return [mean, *([f"n={group['count']}"] if group["count"] else []), *left_out]


def _hover(group: dict[Any, Any], keys: list[str], metric: str) -> str:
    values = [f"{escape(key)}: {escape(label(group[key]))}" for key in keys]
    mean = NOTHING if group["count"] == 0 else f"{group['mean']:.5g}"
    mean += f" ± {group['std']:.2g}" if group["count"] > 1 else ""
    counts = ", ".join(f"{group[name]} {name.replace('_', ' ')}" for name in ("count", *NOTED))
    return "<br>".join([*values, f"{escape(metric)}: {mean}", counts])
