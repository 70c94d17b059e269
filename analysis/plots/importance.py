"""Plot of the importance of hyperparameters."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.frame.series import Column, column_name, with_series
from analysis.frame.words import unsigned_zero
from analysis.plots._lib.scales import ticks
from analysis.plots._lib.style import COLOURS, TEXT, new_figure
from analysis.plots._lib.trials import describe, drawn, with_finite
from analysis.statistics.importances import importance

BAR = 26


def plot_importance(df: pd.DataFrame, metric: Column) -> go.Figure:
    """Plot the importance of each hyperparameter for a metric, and its correlation with the metric, as bars.

    The numbers are those of `importance`. Values without an order have no correlation; the bar then says "no order".
    Positive correlations are blue, negative ones orange.

    Args:
        df: one row for each trial, as returned by `load`.
        metric: the column that the hyperparameters may explain.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or no complete trial has a value.

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_importance
        >>> importances, correlations = plot_importance(load_example("quickstart"), "test_acc_at_best").data
        >>> importances.y
        ('on_perc', 'model', 'seed')
        >>> correlations.text[1]
        'no order'
    """
    df, metric = with_series(df, metric), column_name(metric)
    df = with_finite(df, metric)
    drawn(df, metric)
    table = importance(df, metric)
    names = [str(name) for name in table["parameter"]]
    blank = new_figure(
        f"importance of hyperparameters for {metric}", [describe(df, metric)], height=110 + BAR * len(names)
    )
    fig = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.04)
    fig.update_layout(blank.layout)
    fig.add_bar(
        y=names,
        x=table["importance"],
        orientation="h",
        marker={"color": COLOURS[0]},
        text=[f"{value:.2f}" for value in table["importance"]],
        textposition="outside",
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        row=1,
        col=1,
    )
    fig.add_bar(
        y=names,
        x=table["correlation"].fillna(0.0),
        orientation="h",
        marker={"color": [COLOURS[0] if value >= 0 else COLOURS[1] for value in table["correlation"].fillna(0.0)]},
        text=[unsigned_zero(f"{value:+.2f}") if pd.notna(value) else "no order" for value in table["correlation"]],
        textposition="outside",
        hovertemplate="%{y}: %{text}<extra></extra>",
        row=1,
        col=2,
    )
    fig.update_traces(cliponaxis=False, textfont={"color": TEXT}, showlegend=False)
    highest = max(float(table["importance"].max()), 0.01)
    fig.update_xaxes(
        title_text="importance", range=[min(0.0, float(table["importance"].min())), 1.2 * highest], row=1, col=1
    )
    fig.update_xaxes(title_text="correlation", range=[-1.3, 1.3], tickvals=[-1, -0.5, 0, 0.5, 1], row=1, col=2)
    fig.add_vline(0, line={"color": TEXT, "width": 1}, row=1, col=2)
    order = {"type": "category", "categoryorder": "array", "categoryarray": names, "autorange": "reversed"}
    fig.update_yaxes(showgrid=False, **order, **ticks(names, names))
    fig.update_yaxes(title_text="parameter", row=1, col=1)
    fig.update_yaxes(ticks="", row=1, col=2)
    return fig
