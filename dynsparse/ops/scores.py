"""What a connection is worth: one number per position of a layer, the higher the more.

A score is a function of a `Layer`, with and without a leading trials axis; its result is (..., out, in).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Layer(NamedTuple):
    """What a mask update knows of one layer.

    Shapes: (..., out, in), but for `target`, which is (...). A statistic that the method does not need is None.
    """

    weight: Tensor  # zero where the mask is False
    mask: Tensor  # bool
    target: Tensor  # number of active weights wanted after the update, int64
    prune_noise: Tensor  # random int32, to break ties and to draw from
    grow_noise: Tensor
    drop_scale: float = 1.0  # the drop fractions are multiplied by it
    coactivation: Tensor | None = None  # number of examples for which both ends of the connection were active
    gradient: Tensor | None = None  # of the loss, on the last batch
    gradient_momentum: Tensor | None = None  # running mean of the gradient over batches


Score = Callable[[Layer], Tensor]


def needed(statistic: Tensor | None) -> Tensor:
    """The statistic, which a method that reads it must name in its `needs`."""
    assert statistic is not None, "the method reads a statistic that it does not list in `needs`"
    return statistic


def magnitude(layer: Layer) -> Tensor:
    """The absolute value of the weight."""
    return layer.weight.abs()


def coactivation(layer: Layer) -> Tensor:
    """For how many training examples of the epoch the units at both ends were active."""
    return needed(layer.coactivation)


def weighted_magnitude(layer: Layer) -> Tensor:
    """Magnitude times coactivation."""
    return magnitude(layer) * coactivation(layer)


def gradient(layer: Layer) -> Tensor:
    """The absolute gradient of the loss, active or not."""
    return needed(layer.gradient).abs()


def gradient_momentum(layer: Layer) -> Tensor:
    """The absolute running mean of the gradient, active or not."""
    return needed(layer.gradient_momentum).abs()


def chance(layer: Layer) -> Tensor:
    """The same for all positions, so that only the noise decides."""
    return torch.zeros_like(layer.weight)
