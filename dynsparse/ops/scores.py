"""Scores: one number per position of a layer; higher ones are kept first, or grown first.

A score is a function of a `Layer`, with and without a leading trials axis; its result is (..., out, in).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from dynsparse.ops.patterns import UNSTRUCTURED, Pattern


class Layer(NamedTuple):
    """Inputs of a mask update for one layer.

    Shapes: (..., out, in), except `target`, which is (...), `ablated`, `pattern` and numbers. A statistic that the
    method does not need is None.
    """

    weight: Tensor  # zero where the mask is False, unless the method has a `backward_density`
    mask: Tensor  # bool
    target: Tensor  # number of active weights wanted after the update, int64
    prune_noise: Tensor  # random int32, to break ties and for random choices
    grow_noise: Tensor
    drop_scale: float = 1.0  # the drop fractions are multiplied by it
    share_done: float = 0.0  # share of the mask updates that are done with this one, in (0, 1]
    sign: Tensor | None = None  # 1 or -1, the sign that a weight may have
    ablated: Tensor | None = None  # (..., out), bool: units that get no inputs, if the method ablates units
    number: int = 0  # of the layer, counted from 0 at the inputs of the network
    is_last: bool = False  # its units are the outputs of the network
    # The mask has this pattern before and after the update. The noise is that of `Pattern.noise`.
    pattern: Pattern = UNSTRUCTURED
    coactivation: Tensor | None = None  # number of examples for which both ends of the connection were active
    gradient: Tensor | None = None  # of the loss, on the last batch
    active_gradient: Tensor | None = None  # the same, but only its values at active positions mean anything
    gradient_momentum: Tensor | None = None  # running mean of the gradient over batches


Score = Callable[[Layer], Tensor]

# The statistics of a layer, which a method must list in its `needs` to read them.
STATISTICS = ("coactivation", "gradient", "active_gradient", "gradient_momentum", "sign")


class StatisticError(ValueError):
    """A statistic that a rule reads, but its method does not list in `needs`."""


def require(statistic: Tensor | None) -> Tensor:
    """Return a statistic that the method has listed in its `needs`. Raises: StatisticError if it has not."""
    if statistic is None:
        raise StatisticError(
            "A rule reads a statistic that its method does not list in `needs`. Add it there. Available: "
            f"{', '.join(STATISTICS)}."
        )
    return statistic


def magnitude(layer: Layer) -> Tensor:
    """Return the absolute value of each weight."""
    return layer.weight.abs()


def coactivation(layer: Layer) -> Tensor:
    """Return the number of training examples for which the units at both ends were active.

    They are counted within an epoch or, if mask updates are counted in steps, from one update to the next.
    """
    return require(layer.coactivation)


def weighted_magnitude(layer: Layer) -> Tensor:
    """Return magnitude times coactivation."""
    return magnitude(layer) * coactivation(layer)


def gradient(layer: Layer) -> Tensor:
    """Return the absolute gradient of the loss, at inactive positions too."""
    return require(layer.gradient).abs()


def active_gradient(layer: Layer) -> Tensor:
    """Return the absolute gradient of the loss, of active weights only, which every training step computes anyway."""
    return require(layer.active_gradient).abs()


def gradient_momentum(layer: Layer) -> Tensor:
    """Return the absolute running mean of the gradient, at inactive positions too."""
    return require(layer.gradient_momentum).abs()


def chance(layer: Layer) -> Tensor:
    """Return 0 for all positions, so that the noise decides alone."""
    return torch.zeros_like(layer.weight)
