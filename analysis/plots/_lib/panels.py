"""Several small pictures side by side, with lines that mean the same in each."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.plots._lib.groups import Group, add_band, mean_texts
from analysis.plots._lib.style import escape, new_figure, short

# In pixels, without what stands around them.
PANEL_HEIGHT = 260
GAP = 70


def new_panels(
    title: str, notes: Sequence[str], rows: Sequence[str], columns: Sequence[str], height: int = PANEL_HEIGHT
) -> go.Figure:
    """A figure of empty panels: `rows` are the names of the vertical axes, `columns` stand above the panels.

    The panels of a row share their vertical axis.
    """
    total = height * len(rows) + GAP * (len(rows) - 1)
    fig = new_figure(title, notes, height=total + GAP)
    fig.set_subplots(
        len(rows),
        len(columns),
        shared_yaxes=True,
        column_titles=[short(name) for name in columns],
        horizontal_spacing=0.04,
        vertical_spacing=GAP / total if len(rows) > 1 else None,
    )
    # Above the panels, and below the notes.
    fig.update_layout(margin_t=fig.layout.margin.t + 24)
    fig.update_annotations(font_size=13)
    for i, name in enumerate(rows):
        fig.update_yaxes(title_text=escape(name), row=i + 1, col=1)
    return fig


def draw_line(
    fig: go.Figure,
    table: pd.DataFrame,
    places: Sequence[Any],
    group: Group,
    at: tuple[int, int],
    what: str,
    n_bands: int,
    mode: str = "lines+markers",
) -> None:
    """Adds the means of a group, and the band of their intervals, to a panel.

    Args:
        table: rows with `mean`, `low`, `high` and `count`, in the order in which the line goes.
        places: where each row is on the horizontal axis, and `what` that axis shows.
        at: row and column of the panel, from 1. The legend names the first line of each group.
    """
    row, column = at
    is_named = any(trace.meta == "means" and trace.legendgroup == group.name for trace in fig.data)
    has_band = table["low"].notna().to_numpy()
    xs = [place for place, has in zip(places, has_band, strict=True) if has]
    low, high = table["low"][has_band].tolist(), table["high"][has_band].tolist()
    add_band(fig, xs, low, high, group, n_bands, row=row, col=column)
    fig.add_scatter(
        x=list(places),
        y=table["mean"],
        mode=mode if len(table) > 1 else "markers",
        line={"color": group.colour, "dash": group.dash, "width": 2},
        marker={"color": group.colour, "size": 7, "symbol": group.symbol},
        hovertext=mean_texts(table, group),
        hovertemplate=f"{what} %{{x}}<br>%{{hovertext}}<extra></extra>",
        meta="means",
        **group.legend(is_shown=not is_named),
        row=row,
        col=column,
    )
