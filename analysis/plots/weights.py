"""Plots of the weights of networks, which show what was pruned."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from analysis.plots._lib.style import LINE_SCALE, TEXT, new_figure, short
from analysis.plots._lib.weight_image import Array, weight_image

PANEL = 240
# The gap between weights and biases, and the width of the biases, as shares of the width of the weights.
BIAS_GAP, BIAS_WIDTH = 0.04, 0.05
# The colours end at this quantile of the nonzero weights: a few outliers would make all others grey.
STRONGEST = 0.99


class Layers(NamedTuple):
    """A network: the weights (out, in) of each layer and, if it has them, the biases (out,)."""

    weights: Sequence[Array]
    biases: Sequence[Array] | None = None


def plot_weights(layers: Sequence[Array], biases: Sequence[Array] | None = None, title: str = "weights") -> go.Figure:
    """Plot the weights of each layer as an image: zeros are white, other weights have a colour, tiny ones are grey.

    A row is a unit, and a column is one of its inputs; the biases are a separate column on the right. A pruned unit is
    a white row. All layers share the colours, which end at the 99% quantile of the nonzero magnitudes. Layers with
    more than 1,200 rows or columns are shrunk: a block of neighbours is white if at least half of them are zero.

    Args:
        layers: one array (out, in) for each layer, from input to output.
        biases: one array (out,) for each layer; None for layers without biases.
        title: the title of the figure.

    Raises:
        ValueError: if there is no layer, or the shapes do not match.

    Example:
        >>> import numpy as np
        >>> from analysis.plots import plot_weights
        >>> fig = plot_weights([np.array([[0.0, 0.5, -0.1], [0.0, 0.0, 0.0]]), np.array([[0.3, 0.0]])])
        >>> [title.text for title in fig.layout.annotations]
        ['layer 0: 2 × 3, 33% not zero', 'layer 1: 1 × 2, 50% not zero']
    """
    return plot_networks({"": Layers(layers, biases)}, title)


def plot_networks(networks: Mapping[str, Layers], title: str = "weights") -> go.Figure:
    """Plot several networks below each other as `plot_weights` does, for example before and after pruning.

    The networks share the colours. A layer has the same place in each row, whatever its size, which the axes show.

    Args:
        networks: from the name of each network to its layers, a `Layers` or a pair (layers, biases).
        title: the title of the figure.

    Raises:
        ValueError: if there is no layer, or the shapes do not match.

    Example:
        >>> import numpy as np
        >>> from analysis.plots import plot_networks
        >>> weights, biases = [np.array([[0.2, 0.5], [-0.1, 0.3]])], [np.array([0.1, 0.0])]
        >>> fig = plot_networks({"dense": (weights, biases), "pruned": ([weights[0] * (weights[0] > 0.2)], biases)})
        >>> [title.text for title in fig.layout.annotations]
        ['layer 0: 2 × 2, 100% not zero', 'layer 0: 2 × 2, 50% not zero']
    """
    drawn = {name: Layers(*network) for name, network in networks.items()}
    for name, network in drawn.items():
        _check(name, network)
    strongest = _strongest([each for network in drawn.values() for each in [*network.weights, *(network.biases or [])]])
    n_columns = max((len(network.weights) for network in drawn.values()), default=0)
    if not n_columns:
        raise ValueError("Nothing to plot: no network has a layer.")
    note = f"white: exactly zero; the colours end at ±{strongest:.2g}, beyond which are 1% of the other weights"
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
            raise ValueError(f"Layer {i}{of} must be an array of shape (out, in), got shape {np.shape(weights)}.")
    if network.biases is None:
        return
    if len(network.biases) != len(network.weights):
        raise ValueError(
            f"biases{of} must be {len(network.weights)} arrays, one for each layer, got {len(network.biases)}."
        )
    for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        if np.shape(biases) != np.shape(weights)[:1]:
            raise ValueError(
                f"The biases of layer {i}{of} must have shape {np.shape(weights)[:1]}, got {np.shape(biases)}."
            )


def _strongest(arrays: Sequence[Array]) -> float:
    """Return the magnitude at which the colours end; 1 if all weights are zero."""
    sizes = np.concatenate([np.abs(np.asarray(each, float)).ravel() for each in arrays]) if arrays else np.empty(0)
    sizes = sizes[sizes > 0]
    return float(np.quantile(sizes, STRONGEST)) if len(sizes) else 1.0


def _about(network: Layers, i: int) -> str:
    weights = np.asarray(network.weights[i])
    n_out, n_in = weights.shape
    return f"layer {i}: {n_out} × {n_in}, {np.count_nonzero(weights) / weights.size:.0%} not zero"


def _draw(fig: go.Figure, network: Layers, i: int, strongest: float, at: tuple[int, int]) -> None:
    """Draw a layer: its weights are from 0 to n_in on the horizontal axis, its biases right of them."""
    row, column = at
    n_out, n_in = np.shape(network.weights[i])
    # plotly shows axes with an image only if a trace is on them.
    fig.add_scatter(x=[None], y=[None], showlegend=False, hoverinfo="skip", row=row, col=column)
    place = {"sizing": "stretch", "layer": "below", "xanchor": "left", "yanchor": "top", "y": 0, "sizey": n_out}
    fig.add_layout_image(
        source=weight_image(np.asarray(network.weights[i], float), strongest),
        x=0,
        sizex=n_in,
        **place,
        row=row,
        col=column,
    )
    end = n_in
    if network.biases is not None:
        start, wide = n_in * (1 + BIAS_GAP), n_in * BIAS_WIDTH
        biases = np.asarray(network.biases[i], float)[:, None]
        fig.add_layout_image(source=weight_image(biases, strongest), x=start, sizex=wide, **place, row=row, col=column)
        end = start + wide
        _frame(fig, start, end, n_out, at)
    _frame(fig, 0, n_in, n_out, at)
    shared = {"showgrid": False, "zeroline": False, "showline": False, "nticks": 4, "tickangle": 0}
    fig.update_xaxes(range=[0, end], tickvals=[0, n_in], **shared, row=row, col=column)
    fig.update_yaxes(range=[n_out, 0], tickvals=[0, n_out], **shared, row=row, col=column)


def _frame(fig: go.Figure, left: float, right: float, n_out: int, at: tuple[int, int]) -> None:
    """Draw a line around an image: on a white page white rows would have no visible end."""
    line = {"color": TEXT, "width": 1}
    fig.add_shape(type="rect", x0=left, x1=right, y0=0, y1=n_out, line=line, row=at[0], col=at[1])


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
                "title": {"text": "weight"},
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
