"""Plot of a metric over the values of one hyperparameter."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns
from analysis.frame.matching import cell_of_each
from analysis.frame.series import Column, column_name, with_series
from analysis.plots._lib.groups import SHOWN as TOP
from analysis.plots._lib.groups import (
    Group,
    add_legend,
    best,
    check_top,
    draw_line,
    group_keys,
    groups,
    mean_texts,
    names_of,
    note,
)
from analysis.plots._lib.scales import Scale, scale
from analysis.plots._lib.style import escape, new_figure, view
from analysis.plots._lib.trials import averaged_over, describe, drawn, hover, with_finite
from analysis.statistics.aggregate import agg


def plot_axis(
    df: pd.DataFrame,
    x: Column,
    metric: Column,
    by: Column | Sequence[Column] | None = None,
    top: int = TOP,
    lowest: bool = False,
) -> go.Figure:
    """Plot the mean of a metric at each value of a column, with its 95% interval and every trial as a faint point.

    The axis of a column of numbers is linear, or logarithmic if the values are spaced that way. Booleans, strings and
    tuples are categories, and their intervals are error bars instead of a band. The means are those of `agg`. An
    interval that is much longer than the range of the trials is cut off; hover over its mean to read it.

    Args:
        df: one row for each trial, as returned by `load`.
        x: the column on the horizontal axis.
        metric: the column on the vertical axis.
        by: one or more columns; each combination of their values is a group with its own colour.
        top: the largest number of groups to show: those with the best mean over all their trials.
        lowest: True if low values are better.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or no complete trial has a value.

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_axis
        >>> fig = plot_axis(load_example("quickstart"), "on_perc", "test_acc_at_best", by="model")
        >>> fig.layout.xaxis.title.text, fig.layout.yaxis.title.text
        ('on_perc', 'test_acc_at_best')
        >>> [trace.name for trace in fig.data if trace.showlegend]
        ['RigL', 'SET', 'SparseModel']
    """
    df = with_series(df, x, metric, by)
    x, metric = column_name(x), column_name(metric)
    check_columns(df, [x])
    keys = group_keys(df, by, besides=[x, metric])
    df, notes, n_other = best_groups(with_finite(df, metric), keys, metric, top, lowest)
    found = scale(df[x])
    means = "mean and 95% interval of the mean"
    notes = [describe(df, metric, n_other), *notes, f"{means}; {averaged_over(df, [x, *keys])}".removesuffix("; ")]
    fig = new_figure(f"{metric} by {x}", notes)
    draw_means(fig, df, x, metric, keys, found)
    fig.update_xaxes(title_text=escape(x), **found.layout())
    add_legend(fig, keys)
    return fig


def best_groups(
    df: pd.DataFrame, keys: list[str], metric: str, top: int, lowest: bool, first: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, list[str], int]:
    """Return the trials of the groups with the best means, notes for the title, and the number of other trials.

    Args:
        df: the trials.
        keys: the columns whose combinations are the groups.
        metric: the column of the means.
        top: the largest number of groups.
        lowest: True if low means are better.
        first: rows of the groups on the Pareto front, which come before all others; None if the plot has no front.
    """
    check_top(top)
    drawn(df, metric)
    if not keys:
        return df, [], 0
    table = agg(df, keys, metric)
    names = names_of(table, keys)
    means = table["mean"].set_axis(names)
    first_cells = set() if first is None else set(cell_of_each(first, keys))
    is_first = np.array([cell in first_cells for cell in cell_of_each(table, keys)], dtype=bool)
    shown = [*best(means[is_first], top, lowest), *best(means[~is_first], top, lowest)][:top]
    found = df[names_of(df, keys).isin(shown)]
    what = f"mean {metric}" + ("" if first is None else ", after those on the Pareto front")
    notes = [note(len(table), len(shown), keys, what)]
    return found, [text for text in notes if text], len(df) - len(found)


def draw_means(fig: go.Figure, df: pd.DataFrame, x: str, metric: str, keys: list[str], found: Scale) -> None:
    """Draw the trials of each group as points, and its means with their intervals."""
    table = agg(df, [*keys, x], metric)
    table = table[table["count"] > 0]
    trials = drawn(df, metric)
    texts = pd.Series(hover(df), index=df.index)
    trial_names, names = names_of(trials, keys), names_of(table, keys)
    found_groups = groups(names)
    for group in found_groups:
        points, rows = trials[trial_names == group.name], table[names == group.name]
        _draw_points(fig, points, found.places(points[x]), metric, group, texts[points.index])
        if found.kind == "category":
            _draw_bars(fig, rows, found.places(rows[x]), group)
        else:
            draw_line(fig, rows, found.places(rows[x]), group, len(found_groups))
    if found.kind == "category":
        fig.update_layout(scattermode="group", scattergap=0.4)
    fig.update_yaxes(title_text=escape(metric), **view(trials[metric], table))


def _draw_points(
    fig: go.Figure, points: pd.DataFrame, places: list[object], metric: str, group: Group, texts: pd.Series
) -> None:
    fig.add_scatter(
        x=places,
        y=points[metric],
        mode="markers",
        marker={"color": group.colour, "opacity": 0.5, "size": 5, "symbol": group.symbol},
        hovertext=list(texts),
        hovertemplate=f"%{{hovertext}}<br>{escape(metric)}: %{{y}}<extra></extra>",
        meta="trials",
        **group.legend(is_shown=False),
        **_beside(group),
    )


def _draw_bars(fig: go.Figure, rows: pd.DataFrame, places: list[object], group: Group) -> None:
    fig.add_scatter(
        x=places,
        y=rows["mean"],
        mode="markers",
        error_y={"array": (rows["high"] - rows["mean"]).fillna(0.0), "thickness": 2, "width": 5},
        marker={"color": group.colour, "size": 9, "symbol": group.symbol},
        hovertext=mean_texts(rows, group),
        hovertemplate="%{x}<br>%{hovertext}<extra></extra>",
        meta="means",
        **group.legend(),
        **_beside(group),
    )


def _beside(group: Group) -> dict[str, str]:
    """Return the setting that places the groups of a category side by side, and all traces of a group together."""
    # An empty name would give each trace a place of its own.
    return {"offsetgroup": group.name or "all"}
