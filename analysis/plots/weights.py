"""The weights of networks as pictures, in which one sees what was pruned."""

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from analysis.plots._lib.style import LINE_SCALE, TEXT, escape, new_figure, short

Array = np.ndarray[Any, Any]

# Colours from the most negative to the most positive weight, that of tiny ones in the middle: grey, never white.
LEVELS = 15
# Beyond so many in a row or a column, neighbours are drawn as one.
MOST_CELLS = 1200
# A layer with fewer is drawn with larger cells, whose edges are sharp.
FEWEST_PIXELS = 300
PANEL = 240
# Of the panel's width, between the weights and the biases, and of the biases.
BIAS_GAP, BIAS_WIDTH = 0.04, 0.05
# A few outliers would make all others grey.
STRONGEST = 0.99


class Layers(NamedTuple):
    """A network: of each layer the weights (out, in) and, if it has some, the biases (out,)."""

    weights: Sequence[Array]
    biases: Sequence[Array] | None = None


def plot_weights(layers: Sequence[Array], biases: Sequence[Array] | None = None, title: str = "weights") -> go.Figure:
    """Each layer's weights as a picture: white is exactly zero, any other weight has a colour, tiny ones grey.

    A row is a unit, a column one of its inputs; the biases are a column a little apart. A pruned unit is a white row.
    All layers share the colours, which end where 99% of the weights that are not zero do. Layers with more than 1,200
    rows or columns are drawn coarser: neighbours are one cell, which is white if at least half of them are zero.

    Args:
        layers: arrays (out, in), the first layer first.
        biases: arrays (out,), as many.

    Raises: ValueError if there is no layer, or shapes do not fit.
    """
    return plot_networks({"": Layers(layers, biases)}, title)


def plot_networks(networks: Mapping[str, Layers], title: str = "weights") -> go.Figure:
    """Several networks below each other, as `plot_weights` draws one: before and after pruning, and compressed.

    They share the colours. A layer has the same place in each row, whatever its size; the axes say how large it is.

    Args:
        networks: by the names that are to stand beside them. A pair (layers, biases) will do for a `Layers`.

    Raises: ValueError if there is no layer, or shapes do not fit.
    """
    drawn = {name: Layers(*network) for name, network in networks.items()}
    for name, network in drawn.items():
        _check(name, network)
    strongest = _strongest([each for network in drawn.values() for each in [*network.weights, *(network.biases or [])]])
    n_columns = max((len(network.weights) for network in drawn.values()), default=0)
    if not n_columns:
        raise ValueError("there is no layer to draw")
    note = f"white: exactly zero; colours end at ±{strongest:.2g}, where {STRONGEST:.0%} of the other weights do"
    width = max(560, 130 + n_columns * (PANEL + 60))
    fig = new_figure(title, [note], width=width, height=len(drawn) * (PANEL + 75))
    fig.set_subplots(
        len(drawn),
        n_columns,
        horizontal_spacing=50 / (width - 130),
        vertical_spacing=70 / (len(drawn) * (PANEL + 75)) if len(drawn) > 1 else None,
        subplot_titles=[
            _about(network, i) if i < len(network.weights) else ""
            for network in drawn.values()
            for i in range(n_columns)
        ],
    )
    for row, (name, network) in enumerate(drawn.items(), start=1):
        for i in range(n_columns):
            if i < len(network.weights):
                _draw(fig, network, i, strongest, (row, i + 1))
            else:
                fig.update_xaxes(visible=False, row=row, col=i + 1)
                fig.update_yaxes(visible=False, row=row, col=i + 1)
        fig.update_yaxes(title_text=short(name), row=row, col=1)
    fig.update_annotations(font_size=12)
    fig.update_layout(margin={"t": fig.layout.margin.t + 20, "l": 70, "r": 60})
    _add_colour_bar(fig, strongest)
    return fig


def _check(name: str, network: Layers) -> None:
    of = f" of {name!r}" if name else ""
    for i, weights in enumerate(network.weights):
        if np.ndim(weights) != 2 or 0 in np.shape(weights):
            raise ValueError(f"layer {i}{of} must be an array (out, in), got the shape {np.shape(weights)}")
    if network.biases is None:
        return
    if len(network.biases) != len(network.weights):
        raise ValueError(f"{len(network.biases)} biases{of} for {len(network.weights)} layers; give one for each")
    for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        if np.shape(biases) != np.shape(weights)[:1]:
            raise ValueError(
                f"biases of layer {i}{of} must have the shape {np.shape(weights)[:1]}, got {np.shape(biases)}"
            )


def _strongest(arrays: Sequence[Array]) -> float:
    """Where the colours end; 1 if all weights are zero."""
    sizes = np.concatenate([np.abs(np.asarray(each, float)).ravel() for each in arrays]) if arrays else np.empty(0)
    sizes = sizes[sizes > 0]
    return float(np.quantile(sizes, STRONGEST)) if len(sizes) else 1.0


def _about(network: Layers, i: int) -> str:
    weights = np.asarray(network.weights[i])
    n_out, n_in = weights.shape
    return f"layer {i}: {n_out} × {n_in}, {np.count_nonzero(weights) / weights.size:.0%} not zero"


def _draw(fig: go.Figure, network: Layers, i: int, strongest: float, at: tuple[int, int]) -> None:
    """One layer. Its weights are from 0 to 1 on the horizontal axis, its biases beyond."""
    row, column = at
    n_out, n_in = np.shape(network.weights[i])
    # An axis belongs to a picture only once a trace is on it.
    fig.add_scatter(x=[None], y=[None], showlegend=False, hoverinfo="skip", row=row, col=column)
    place = {"sizing": "stretch", "layer": "below", "xanchor": "left", "yanchor": "top", "y": 0, "sizey": n_out}
    fig.add_layout_image(
        source=_picture(np.asarray(network.weights[i], float), strongest), x=0, sizex=n_in, **place, row=row, col=column
    )
    end = n_in
    if network.biases is not None:
        start, wide = n_in * (1 + BIAS_GAP), n_in * BIAS_WIDTH
        biases = np.asarray(network.biases[i], float)[:, None]
        fig.add_layout_image(source=_picture(biases, strongest), x=start, sizex=wide, **place, row=row, col=column)
        end = start + wide
        _frame(fig, start, end, n_out, at)
    _frame(fig, 0, n_in, n_out, at)
    shared = {"showgrid": False, "zeroline": False, "showline": False, "nticks": 4, "tickangle": 0}
    fig.update_xaxes(range=[0, end], tickvals=[0, n_in], **shared, row=row, col=column)
    fig.update_yaxes(range=[n_out, 0], tickvals=[0, n_out], **shared, row=row, col=column)


def _frame(fig: go.Figure, left: float, right: float, n_out: int, at: tuple[int, int]) -> None:
    """A line around a picture: on a white page white rows would have no end."""
    line = {"color": TEXT, "width": 1}
    fig.add_shape(type="rect", x0=left, x1=right, y0=0, y1=n_out, line=line, row=at[0], col=at[1])


def _picture(numbers: Array, strongest: float) -> str:
    """A PNG, as a data URI, of an array of numbers: one pixel or more for each. Shapes: numbers (rows, columns)."""
    levels = colour_numbers(coarser(numbers), strongest)
    for axis in (0, 1):
        levels = (
            np.repeat(levels, -(-FEWEST_PIXELS // levels.shape[axis]), axis)
            if levels.shape[axis] < FEWEST_PIXELS
            else levels
        )
    return "data:image/png;base64," + base64.b64encode(png(levels, PALETTE)).decode()


def coarser(numbers: Array) -> Array:
    """At most MOST_CELLS rows and columns: the mean of those in a block that are not zero, or 0 if half of them are."""
    for axis in (0, 1):
        size = -(-numbers.shape[axis] // MOST_CELLS)
        if size > 1:
            starts = np.arange(0, numbers.shape[axis], size)
            total = np.add.reduceat(numbers, starts, axis)
            count = np.add.reduceat(numbers != 0, starts, axis, dtype=int)
            of = np.add.reduceat(np.ones_like(numbers, int), starts, axis)
            numbers = np.where(2 * count > of, total / np.maximum(count, 1), 0.0)
    return numbers


def colour_numbers(numbers: Array, strongest: float) -> Array:
    """For each number its colour in PALETTE: 0, white, for exact zeros, then from the lowest to the highest."""
    share = np.clip(numbers / strongest, -1, 1)
    return np.where(numbers == 0, 0, 1 + np.rint((share + 1) / 2 * (LEVELS - 1))).astype(np.uint8)


PALETTE = np.array(
    [(255, 255, 255)]
    + [
        tuple(round(255 * channel) for channel in colour)
        for colour in sample_colorscale(LINE_SCALE, np.linspace(0, 1, LEVELS), colortype="tuple")
    ],
    dtype=np.uint8,
)


def png(levels: Array, palette: Array) -> bytes:
    """A PNG file of 4 bits for each pixel.

    Shapes: levels (rows, columns), numbers of colours below 16; palette (colours, 3).

    Reference: Portable Network Graphics Specification, https://www.w3.org/TR/png-3/
    """
    n_rows, n_columns = levels.shape
    even = np.pad(levels, ((0, 0), (0, n_columns % 2)))
    packed = (even[:, ::2] << 4) | even[:, 1::2]
    # Each row begins with the number of its filter: none.
    rows = np.pad(packed, ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", n_columns, n_rows, 4, 3, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _add_colour_bar(fig: go.Figure, strongest: float) -> None:
    fig.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={
            "colorscale": LINE_SCALE,
            "cmin": -strongest,
            "cmax": strongest,
            "color": [0.0],
            "colorbar": {
                "title": {"text": escape("weight")},
                "thickness": 12,
                "lenmode": "pixels",
                "len": PANEL,
                "y": 1,
                "yanchor": "top",
            },
        },
        showlegend=False,
        hoverinfo="skip",
    )
