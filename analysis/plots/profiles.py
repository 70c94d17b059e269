"""Plot of performance profiles."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.plots._lib.groups import add_legend, draw_line, groups, names_of
from analysis.plots._lib.style import escape, new_figure
from analysis.plots._lib.trials import describe, drawn, with_finite
from analysis.statistics.profiles import performance_profile
from analysis.statistics.ranking import is_better_low


def plot_performance_profile(
    df: pd.DataFrame,
    axis: Column,
    metric: Column,
    *,
    blocks: Column | Sequence[Column] | None = None,
    thresholds: Sequence[float] | None = None,
    lowest: bool | None = None,
    seed: int = 0,
) -> go.Figure:
    """Plot the share of the trials that are better than each threshold, with one line for each value of the axis.

    The numbers are those of `performance_profile`; the bands are 95% intervals. Higher lines are better. If two lines
    cross, which value is better depends on the threshold.

    Args:
        df: one row for each trial, as returned by `load`.
        axis: a hyperparameter; each of its values has a line.
        metric: the column of which the horizontal axis has the thresholds.
        blocks: the columns of which each combination of values is a block that is resampled on its own; None takes
            all hyperparameters that vary, except the axis and `seed`.
        thresholds: None takes 51 from the lowest to the highest metric.
        lowest: True if lower values are better; None decides by the name.
        seed: seed of the bootstrap.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers or no complete trial has one, the axis has
            one value or more than 20, a threshold is not finite, or `blocks` names the axis or the metric.

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_performance_profile
        >>> fig = plot_performance_profile(load_example("quickstart"), "model", "test_acc_at_best")
        >>> [trace.name for trace in fig.data if trace.showlegend]
        ['RigL', 'SET', 'SparseModel']
    """
    df = with_series(df, axis, metric, blocks)
    axis, metric = column_name(axis), column_name(metric)
    names = None if blocks is None else column_names(blocks)
    df = with_finite(df, metric)
    drawn(df, metric)
    lowest = is_better_low(metric) if lowest is None else lowest
    profile = performance_profile(df, axis, metric, blocks=names, thresholds=thresholds, lowest=lowest, seed=seed)
    table = profile[profile["count"] > 0].rename(columns={"share": "mean"})
    has_interval = table["low"].notna().any()
    interval = "and its 95% interval" if has_interval else "without an interval: a block has a single trial"
    notes = [describe(df, metric), f"share of the trials that are better than each threshold, {interval}"]
    fig = new_figure(f"performance profiles of {metric} by {axis}", notes)
    better = escape(f"{metric} {'<' if lowest else '>'}")
    lines = groups(names_of(table, [axis]))
    for group in lines:
        own = table[names_of(table, [axis]) == group.name]
        places = own["threshold"].tolist()
        draw_line(fig, own, places, group, len(lines), better, mode="lines", quantity="share")
    fig.update_xaxes(title_text=f"threshold of {escape(metric)}")
    fig.update_yaxes(title_text=f"share of trials with {better} threshold", range=[-0.03, 1.03])
    add_legend(fig, [axis])
    return fig
