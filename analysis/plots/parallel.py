"""Parallel coordinates: all hyperparameters at once, one line for each trial."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.checks import check_columns
from analysis.frame.schema import varying
from analysis.frame.series import Column, column_name, column_names, with_series
from analysis.plots._lib.scales import Scale, scale
from analysis.plots._lib.style import CHARACTER, LINE_SCALE, TEXT, cut, escape, new_figure, short
from analysis.plots._lib.trials import describe, drawn, with_finite

# A column of numbers with more values than these has a continuous axis, without a tick for each value.
WRITTEN = 30
AXIS_WIDTH = 110


def plot_parallel(
    df: pd.DataFrame, metric: Column, parameters: Sequence[Column] | None = None, lowest: bool = False
) -> go.Figure:
    """Plot each complete trial as a line through its hyperparameters to its metric, which sets the colour.

    The best trials are drawn last. A column with up to 30 values has a tick for each, at equal distances and in order.
    Drag along an axis to select trials. plotly has no hover texts in this kind of plot; `plot_axis` has them.

    Args:
        df: one row for each trial, as returned by `load`.
        metric: the column on the last axis.
        parameters: the columns on the other axes; None takes all hyperparameters that vary, without `seed`.
        lowest: True if low values are better.

    Raises:
        ValueError: if a column does not exist, none varies, `metric` holds no numbers, or no complete trial has a
            value.

    Example:
        >>> from analysis import load_example
        >>> from analysis.plots import plot_parallel
        >>> fig = plot_parallel(load_example("quickstart"), "test_acc_at_best")
        >>> [dimension.label for dimension in fig.data[0].dimensions]
        ['model', 'on_perc', 'test_acc_at_best']
    """
    df = with_series(df, metric, parameters)
    metric = column_name(metric)
    df = with_finite(df, metric)
    trials = drawn(df, metric).sort_values(metric, ascending=not lowest, kind="stable")
    names = [name for name in varying(trials) if name != "seed"] if parameters is None else column_names(parameters)
    check_columns(df, names)
    if not names:
        raise ValueError(
            "Nothing to plot: no hyperparameter but the seed varies among the complete trials. "
            "Name columns: plot_parallel(df, metric, parameters=[...])."
        )
    shown = [short(name, 20) for name in names]
    width = max(700, sum(max(AXIS_WIDTH, CHARACTER * len(name) + 24) for name in shown) + 240)
    fig = new_figure(f"{metric} by {len(names)} hyperparameters", [describe(df, metric)], width=width, height=520)
    top = fig.layout.margin.t + 40
    left = 24 + CHARACTER * max(len(short(text, 20)) for text in scale(trials[names[0]]).texts)
    fig.update_layout(margin={"l": max(60, left, CHARACTER * len(shown[0]) // 2 + 12), "t": top, "r": 110, "b": 30})
    fig.add_parcoords(
        dimensions=[_dimension(trials[name], label) for name, label in zip(names, shown, strict=True)]
        + [{"label": short(metric, 20), "values": trials[metric], "tickvals": []}],  # the colour bar has its ticks
        line={
            "color": trials[metric],
            "colorscale": LINE_SCALE,
            "showscale": True,
            "colorbar": {"title": {"text": escape(metric[:16])}, "x": 1.06},
        },
        # plotly would put light shadows behind the ticks, which on a dark page hide them.
        tickfont={"size": 11, "color": TEXT, "shadow": "none"},
        unselected={"line": {"opacity": 0.05}},
    )
    return fig


def _dimension(column: pd.Series, label: str) -> dict[str, object]:
    found = scale(column)
    if found.kind == "category" or len(found.values) <= WRITTEN:
        places = list(range(len(found.values)))
        # Ticks are left out so that texts do not overlap; the last one is always there.
        step = -(-len(places) // WRITTEN)
        written = places[::-1][::step][::-1]
        texts = [cut(found.texts[place], 20) for place in written]  # plotly does not read HTML here
        return {"label": label, "values": found.positions(column), "tickvals": written, "ticktext": texts}
    return _line(column, label, found)


def _line(column: pd.Series, label: str, found: Scale) -> dict[str, object]:
    if found.kind == "linear":
        return {"label": label, "values": column}
    places = np.log10(column.astype(float))
    written = np.linspace(places.min(), places.max(), 6)
    return {
        "label": label,
        "values": places,
        "tickvals": written,
        "ticktext": [f"{10**place:.3g}" for place in written],
    }
