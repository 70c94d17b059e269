"""The look of all plots: colours, background, titles with notes, and texts that fit."""

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.values import is_missing
from analysis.statistics.aggregate import NOTHING

# The palette of Okabe and Ito, which is safe for colour-blind readers, without black and yellow: each colour can be
# seen on white and on black. After the last colour the first comes again, with other dashes.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8A8A"]
DASHES = ["solid", "dash", "dot", "dashdot"]
SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down"]
# Cells have texts on the colour; lines and weights are seen on a white or a black page.
CELL_SCALE = "Cividis"
LINE_SCALE = [[0.0, "#0072B2"], [0.5, "#9A9A9A"], [1.0, "#D55E00"]]
TEXT = "#7A7A7A"
FAINT = "rgba(128, 128, 128, 0.25)"
CLEAR = "rgba(0, 0, 0, 0)"
AXIS = {
    "gridcolor": FAINT,
    "linecolor": TEXT,
    "zeroline": False,
    "automargin": True,
    "ticks": "outside",
    "title": {"standoff": 10},
}
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"color": TEXT, "size": 12},
        "colorway": COLOURS,
        "xaxis": AXIS,
        "yaxis": AXIS,
        "hoverlabel": {"align": "left", "namelength": -1},
        "modebar": {"bgcolor": CLEAR, "color": TEXT, "activecolor": COLOURS[0]},
        "title": {"x": 0, "xref": "container", "xanchor": "left", "yref": "container", "yanchor": "top"},
    }
)
CHARACTER = 7  # pixels: upper bound for the mean width of a character
LINE = 18
BUTTONS = 42  # pixels for the buttons that plotly shows above the title on hover
LONGEST = 28
NOTE_LENGTH = 95


def new_figure(title: str, notes: Sequence[str] = (), height: int = 480, width: int | None = None) -> go.Figure:
    """Return an empty figure with a title and smaller notes below it, whose height is added to that of the figure."""
    fits = NOTE_LENGTH if width is None else max(40, width // CHARACTER - 4)
    lines = [line for note in notes for line in textwrap.wrap(note, fits)]
    small = "".join(f'<br><span style="font-size:12px">{escape(line)}</span>' for line in lines)
    heading = "<br>".join(escape(line) for line in textwrap.wrap(title, round(fits * 0.75)))
    top = BUTTONS + round(LINE * (len(lines) + 1.3 * (heading.count("<br>") + 1)))
    total = height + top
    fig = go.Figure()
    fig.update_layout(
        template=TEMPLATE,
        title={"text": heading + small, "font": {"size": 16}, "pad": {"l": 12}, "y": 1 - BUTTONS / total},
        margin={"l": 60, "r": 20, "t": top + 14, "b": 50},
        height=total,
        width=width,
        # For `without_title`: what the title says, and the pixels that it takes.
        meta={"title": title, "notes": [note for note in notes if note], "top": top},
    )
    return fig


def without_title(fig: go.Figure) -> tuple[str, list[str]]:
    """Remove the title of a figure of `new_figure`, in place; return it and its notes, for a page that shows them."""
    written = dict(fig.layout.meta)
    fig.update_layout(
        title=None,
        meta=None,
        margin_t=fig.layout.margin.t - written["top"] + BUTTONS // 4,
        height=fig.layout.height - written["top"] + BUTTONS // 4,
    )
    return str(written["title"]), list(written["notes"])


def escape(text: object) -> str:
    """Escape what plotly would read as HTML."""
    return html.escape(str(text), quote=False)


def cut(text: object, longest: int = LONGEST) -> str:
    """Cut the middle out of a long text."""
    full = str(text)
    half = longest // 2
    return full if len(full) <= longest else f"{full[:half]}…{full[-(longest - half - 1) :]}"


def short(text: object, longest: int = LONGEST) -> str:
    """Cut the middle out of a long text, and escape it."""
    return escape(cut(text, longest))


def label(value: Any) -> str:
    """Return a value as text; a missing one is "–"."""
    if is_missing(value):
        return NOTHING
    return f"{value:.10g}" if isinstance(value, float) else " ".join(str(value).split())


def labels(values: Iterable[Any]) -> list[str]:
    """Return each value as text. If two values, such as 1 and "1", would read the same, all are written in full."""
    values = list(values)
    found = [label(value) for value in values]
    if len(set(found)) == len(found):
        return found
    return [_in_full(value) for value in values]


def _in_full(value: Any) -> str:
    if isinstance(value, float) and not is_missing(value):
        return repr(float(value))
    return repr(value) if isinstance(value, str) else label(value)


def faded(colour: str, n_bands: int) -> str:
    """Return the colour of a band, given as #RRGGBB: paler if more bands may overlap."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {0.22 / math.sqrt(n_bands):.2f})"


def look(i: int) -> tuple[str, str, str]:
    """Return colour, dash and marker of the i-th group."""
    return COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)], SYMBOLS[i % len(SYMBOLS)]


def view(drawn: pd.Series, table: pd.DataFrame) -> dict[str, Any]:
    """Return the range of a vertical axis: all drawn values, and the intervals unless they are much longer.

    The interval of the mean of two trials may be a hundred times longer than their difference.
    """
    lowest, highest = float(drawn.min()), float(drawn.max())
    span = highest - lowest or abs(highest) * 0.1 or 1.0
    bottom = max(min(lowest, float(table["low"].min())), lowest - span / 2) if table["low"].notna().any() else lowest
    top = min(max(highest, float(table["high"].max())), highest + span / 2) if table["high"].notna().any() else highest
    return {"range": [bottom - 0.05 * span, top + 0.05 * span]}
