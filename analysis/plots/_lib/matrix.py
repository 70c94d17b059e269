"""A heat map with a text in each cell, in a figure that is large enough for every text."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from analysis.plots._lib.groups import names_of
from analysis.plots._lib.scales import key_of, ticks
from analysis.plots._lib.style import CELL_SCALE, CHARACTER, LINE, TEXT, escape, new_figure, short
from analysis.statistics.aggregate import NOTHING

TEXT_SIZE = 11
NARROWEST = 56
NARROWEST_FIGURE = 480
LOWEST = 150
BAR = 120


class Cell(NamedTuple):
    """One cell: the number that sets its colour, None for no colour; its text; and its hover text."""

    number: float | None
    text: str
    hover: str


class Matrix(NamedTuple):
    """The names of rows and columns, and the cells, row by row."""

    rows: list[str]
    columns: list[str]
    cells: list[list[Cell]]


def matrix(table: pd.DataFrame, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Cell]) -> Matrix:
    """Arrange the cells of a table that has one row for each cell; missing combinations become empty cells.

    Rows are in the order of the table, columns in the order of their values.
    """
    lefts, tops = names_of(table, rows), names_of(table, columns)
    in_order = names_of(table.sort_values(list(columns), key=_places), columns)
    left_names, top_names = list(dict.fromkeys(lefts)), list(dict.fromkeys(in_order))
    cell_at = dict(zip(zip(lefts, tops, strict=True), cells, strict=True))
    empty = Cell(None, NOTHING, "no trial")
    return Matrix(
        left_names, top_names, [[cell_at.get((left, top), empty) for top in top_names] for left in left_names]
    )


def draw_matrix(
    drawn: Matrix,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    notes: Sequence[str],
    bar: Mapping[str, object],
    ends: tuple[float, float] | None = None,
) -> go.Figure:
    """Draw the matrix as a figure of fixed size, with the first row and the names of the columns at the top.

    Args:
        drawn: the cells, row by row.
        rows: the columns of the DataFrame whose values name the rows.
        columns: the columns of the DataFrame whose values name the columns.
        title: the title of the figure.
        notes: smaller lines under the title.
        bar: plotly's settings of the colour bar.
        ends: the numbers at the ends of the colour bar; None takes the lowest and the highest.
    """
    lines = [cell.text.split("<br>") for row in drawn.cells for cell in row]
    cell_width = max(NARROWEST, 16 + CHARACTER * max(len(line) for text in lines for line in text))
    # The colour bar needs some height even if there is a single row.
    cell_height = max(14 + 14 * max(map(len, lines)), LOWEST // len(drawn.rows))
    left, widest = _width(drawn.rows) + 50, _width(drawn.columns)
    is_upright = widest > cell_width
    above = 40 + (widest if is_upright else LINE)
    width = max(left + cell_width * len(drawn.columns) + BAR, NARROWEST_FIGURE)
    height = above + cell_height * len(drawn.rows) + 30
    fig = new_figure(title, notes, width=width, height=height)
    fig.update_layout(margin={"l": left, "r": BAR, "t": fig.layout.margin.t + above, "b": 20})
    numbers = np.array([[math.nan if cell.number is None else cell.number for cell in row] for row in drawn.cells])
    low, high = ends or (float(np.nanmin(numbers)), float(np.nanmax(numbers)))
    fig.add_heatmap(
        z=[[cell.number for cell in row] for row in drawn.cells],
        x=drawn.columns,
        y=drawn.rows,
        zmin=low,
        zmax=high,
        hovertext=[[cell.hover for cell in row] for row in drawn.cells],
        hovertemplate="%{hovertext}<extra></extra>",
        xgap=2,
        ygap=2,
        colorscale=CELL_SCALE,
        colorbar={"lenmode": "pixels", "len": min(cell_height * len(drawn.rows), 300), "y": 1, "yanchor": "top", **bar},
    )
    _write(fig, drawn, low, high)
    axis = {"type": "category", "showgrid": False, "automargin": False, "ticks": "", "showline": False}
    # Without ranges plotly would add room for the texts at the ends of the axes.
    fig.update_xaxes(
        side="top",
        title_text=escape(", ".join(columns)),
        tickangle=-90 if is_upright else 0,
        range=[-0.5, len(drawn.columns) - 0.5],
        **axis,
        **_ticks(drawn.columns),
    )
    fig.update_yaxes(
        title_text=escape(", ".join(rows)), range=[len(drawn.rows) - 0.5, -0.5], **axis, **_ticks(drawn.rows)
    )
    return fig


def _write(fig: go.Figure, drawn: Matrix, low: float, high: float) -> None:
    """Draw the texts as a trace of their own: those of a heat map all have one colour, also on empty cells."""
    places = [
        (top, left, cell)
        for left, row in zip(drawn.rows, drawn.cells, strict=True)
        for top, cell in zip(drawn.columns, row, strict=True)
    ]
    fig.add_scatter(
        x=[top for top, _, _ in places],
        y=[left for _, left, _ in places],
        text=[cell.text for _, _, cell in places],
        mode="text",
        textfont={"size": TEXT_SIZE, "color": [text_colour(cell.number, low, high) for _, _, cell in places]},
        hoverinfo="skip",
        showlegend=False,
    )


def text_colour(number: float | None, low: float, high: float) -> str:
    """Return the colour of a text on a cell: black or white, whichever has more contrast; grey on an empty cell."""
    if number is None:
        return TEXT
    share = (number - low) / (high - low) if high > low else 0.5
    channels = sample_colorscale(CELL_SCALE, [share], colortype="tuple")[0]
    # Relative luminance, as in the Web Content Accessibility Guidelines: 0.179 has equal contrast to black and white.
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#FFFFFF"


def _ticks(names: list[str]) -> dict[str, object]:
    return {"categoryorder": "array", "categoryarray": names, **ticks(names, names)}


def _width(names: list[str]) -> int:
    return 16 + CHARACTER * max(len(short(name)) for name in names)


def _places(column: pd.Series) -> pd.Series:
    """Return the rank of each value: pandas itself cannot sort values of several types."""
    keys = [key_of(value) for value in column]
    place = {key: i for i, key in enumerate(sorted(set(keys)))}
    return pd.Series([place[key] for key in keys], index=column.index)
