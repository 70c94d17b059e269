"""Figures of the report: their data, which a script of the page draws, and plotly in compressed form."""

import base64
import html
import zlib
from collections.abc import Callable
from functools import cache

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.output.html_report.names import Names
from analysis.plots._lib.style import without_title

# A printed page has room for this many pixels. Figures of the width of the page are never wider than PAGE_WIDTH.
PRINTED_WIDTH, PAGE_WIDTH = 690, 920


def figure(heading: str, draw: Callable[[], go.Figure], names: Names, remark: str = "") -> str:
    """Return a figure under a heading, or the reason why these trials do not have it.

    Args:
        heading: what the figure shows; "" if the section says so.
        draw: returns the figure, or raises a ValueError.
        names: plain names for its axes.
        remark: a sentence below the figure.
    """
    title = f"<h3>{html.escape(heading)}</h3>" if heading else ""
    try:
        fig = draw()
    except ValueError as error:
        return title + note(f"A plot is left out. {error}")
    _, notes = without_title(fig)
    _stay_in_range(fig, names)
    names.rename(fig)
    zoom = PRINTED_WIDTH / max(PAGE_WIDTH, fig.layout.width or 0)
    below = " ".join(filter(None, [remark, _sentence(notes)]))
    caption = f"<figcaption>{html.escape(below)}</figcaption>" if below else ""
    return (
        f'<figure class="plot" style="--printed: {zoom:.2f}">{title}<div class="wide">'
        f'<div class="canvas" style="min-height: {fig.layout.height}px"></div></div>'
        f'<script type="text/plain">{compressed(fig.to_json())}</script>{caption}</figure>'
    )


def _stay_in_range(fig: go.Figure, names: Names) -> None:
    """Cut the axis of an accuracy at 0 and 1, in place: intervals of few seeds may exceed them."""
    metric = ""
    for axis in fig.select_yaxes():
        # Of the panels in a row, only the first has a title.
        metric = axis.title.text or metric
        if axis.range is not None and names.is_share(metric):
            low, high = max(axis.range[0], -0.02), min(axis.range[1], 1.02)
            axis.range = [low, high]


def _sentence(notes: list[str]) -> str:
    return f"{capitalized('; '.join(notes))}." if notes else ""


def capitalized(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def note(content: str) -> str:
    """Return a remark, in small type."""
    return f'<p class="note">{html.escape(content)}</p>'


def compressed(text: str) -> str:
    """Return a text in zlib's format as base64, which browsers can decompress. It has no characters to escape."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


@cache
def compressed_plotly() -> str:
    """Return plotly's script, compressed to less than half of its size."""
    return compressed(get_plotlyjs())
