"""Panels side by side, with the same groups in each."""

from collections.abc import Sequence

import plotly.graph_objects as go

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
