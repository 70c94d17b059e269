"""Densities of layers from one overall density.

A layer has the shape of its weights: (out, in), or (out, in, rows, columns) of a convolution.
"""

import math
from collections.abc import Sequence

Shape = tuple[int, ...]


def uniform(shapes: Sequence[Shape], density: float) -> list[float]:
    """Return the same density for every layer."""
    return [density] * len(shapes)


def erdos_renyi(shapes: Sequence[Shape], density: float) -> list[float]:
    """Return densities proportional to (n_in + n_out) / (n_in * n_out), with the same total number of weights.

    For a convolution, n_in is the number of inputs of a filter, over all positions of its kernel. A layer whose density
    would exceed 1 is dense, and its excess goes to the others. Small layers become denser than large ones.

    Args:
        shapes: of each layer.
        density: of all layers together, in (0, 1].

    Reference: Mocanu et al., Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity
    Inspired by Network Science, 2018, https://arxiv.org/abs/1707.04780; the overflow rule: Evci et al. 2020.
    """
    return _in_proportion([(shape[0] + math.prod(shape[1:])) / math.prod(shape) for shape in shapes], shapes, density)


def erdos_renyi_kernel(shapes: Sequence[Shape], density: float) -> list[float]:
    """Return densities proportional to the sum of a shape over its product: ERK, the spread for convolutions.

    For a convolution it is (n_in + n_out + rows + columns) / (n_in * n_out * rows * columns), where n_in is the number
    of input channels. Linear layers are as in `erdos_renyi`, and so is a layer whose density would exceed 1.

    Args:
        shapes: of each layer.
        density: of all layers together, in (0, 1].

    Reference: Evci et al., Rigging the Lottery: Making All Tickets Winners, 2020, https://arxiv.org/abs/1911.11134
    """
    return _in_proportion([sum(shape) / math.prod(shape) for shape in shapes], shapes, density)


def _in_proportion(ratios: Sequence[float], shapes: Sequence[Shape], density: float) -> list[float]:
    """Return min(1, scale * ratio) for each layer, with the scale that gives the total number of weights."""
    sizes = [math.prod(shape) for shape in shapes]
    dense: set[int] = set()
    while len(dense) < len(shapes):
        rest = [layer for layer in range(len(shapes)) if layer not in dense]
        wanted = density * sum(sizes) - sum(sizes[layer] for layer in dense)
        scale = wanted / sum(ratios[layer] * sizes[layer] for layer in rest)
        full = {layer for layer in rest if scale * ratios[layer] > 1}
        if not full:
            return [1.0 if layer in dense else scale * ratios[layer] for layer in range(len(shapes))]
        dense |= full
    return [1.0] * len(shapes)


SPREADS = {"uniform": uniform, "erdos_renyi": erdos_renyi, "erdos_renyi_kernel": erdos_renyi_kernel}
