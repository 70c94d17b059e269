"""Images of weights: white where a weight is exactly zero, and a colour for every other weight."""

from typing import Any

import numpy as np
from PIL import Image
from plotly.colors import sample_colorscale

from analysis.plots._lib.style import LINE_SCALE

Array = np.ndarray[Any, Any]

# Colours from the most negative to the most positive weight; that of tiny weights is in the middle: grey, never white.
# With white they fit into 4 bits for each pixel.
LEVELS = 15
# Larger arrays are shrunk to this many rows or columns.
MOST_CELLS = 1200
# Smaller arrays have several pixels for each weight: browsers blur what they enlarge.
FEWEST_PIXELS = 300

PALETTE = np.array(
    [(255, 255, 255)]
    + [
        tuple(round(255 * channel) for channel in colour)
        for colour in sample_colorscale(LINE_SCALE, np.linspace(0, 1, LEVELS), colortype="tuple")
    ],
    dtype=np.uint8,
)


def weight_image(weights: Array, strongest: float) -> Image.Image:
    """Return weights as an image with one or more pixels for each. Shapes: weights (rows, columns)."""
    levels = palette_index(shrunk(weights), strongest)
    for axis in (0, 1):
        levels = np.repeat(levels, max(1, -(-FEWEST_PIXELS // levels.shape[axis])), axis)
    image = Image.fromarray(levels)
    image.putpalette(PALETTE.tobytes())
    return image


def shrunk(weights: Array) -> Array:
    """Return at most MOST_CELLS rows and columns, as the mean of the nonzero weights in each block of neighbours.

    A block of which at least half of the weights are zero becomes zero.
    """
    for axis in (0, 1):
        size = -(-weights.shape[axis] // MOST_CELLS)
        if size > 1:
            starts = np.arange(0, weights.shape[axis], size)
            total = np.add.reduceat(weights, starts, axis)
            n_nonzero = np.add.reduceat(weights != 0, starts, axis, dtype=int)
            n = np.add.reduceat(np.ones_like(weights, int), starts, axis)
            weights = np.where(2 * n_nonzero > n, total / np.maximum(n_nonzero, 1), 0.0)
    return weights


def palette_index(weights: Array, strongest: float) -> Array:
    """Return the index of each weight's colour in PALETTE: 0 for exact zeros, 1 for -strongest, 15 for strongest."""
    share = np.clip(weights / strongest, -1, 1)
    return np.where(weights == 0, 0, 1 + np.rint((share + 1) / 2 * (LEVELS - 1))).astype(np.uint8)
