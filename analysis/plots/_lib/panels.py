"""Panels side by side, with the same groups in each."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.plots._lib.groups import Group, add_band, mean_texts
from analysis.plots._lib.style import escape, new_figure, short

# In pixels, without titles and axes.
PANEL_HEIGHT = 260
GAP = 70


def new_panels(
    title: str, notes: Sequence[str], rows: Sequence[str], columns: Sequence[str], height: int = PANEL_HEIGHT
) -> go.Figure:
    """Return a figure of empty panels; those of a row share their vertical axis.

    Args:
        title: the title of the figure.
        notes: smaller lines under the title.
        rows: the titles of the vertical axes.
        columns: the titles above the panels.
        height: of a panel, in pixels.
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
    # Room for the titles of the columns.
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
    """Draw the means of a group and the band of their intervals in a panel.

    The legend shows the first line of each group.

    Args:
        fig: the figure of `new_panels`.
        table: rows with `mean`, `low`, `high` and `count`, in the order of the line.
        places: the horizontal coordinate of each row.
        group: the name and look of the line.
        at: row and column of the panel, from 1.
        what: the quantity on the horizontal axis, for the hover text.
        n_bands: the number of bands in the panel: more bands are paler.
        mode: plotly's mode of a line with several points.
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
