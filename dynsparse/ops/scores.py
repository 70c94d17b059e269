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
    method does not list in its `needs` is None.
    """

    # In the first line of a comment with `#:`, Sphinx takes text before a colon for the type of the field.

    #: Weights. Inactive ones are 0, unless the method has a `backward_density`.
    weight: Tensor
    #: True where a weight is active before the update, bool.
    mask: Tensor
    #: The number of active weights wanted after the update, int64.
    target: Tensor
    #: Random int32 for the prune rule, to break ties and for random choices. It depends on the seed of the trial.
    prune_noise: Tensor
    #: The same for the grow rule.
    grow_noise: Tensor
    #: The factor of the drop fractions in this update, of `prune_decay`.
    drop_scale: float = 1.0
    #: The share of the mask updates that are done with this one, in (0, 1].
    share_done: float = 0.0
    #: The sign that each position has, 1 or -1. A statistic.
    sign: Tensor | None = None
    #: Units that get no inputs, (..., out), bool. Only if the method has an `ablate` rule.
    ablated: Tensor | None = None
    #: The number of the layer, counted from 0 at the inputs of the network.
    number: int = 0
    #: True if the units of the layer are the outputs of the network.
    is_last: bool = False
    #: The pattern of `mask_pattern`, which the mask has before and after the update. It is `Unstructured` without one,
    #: and in layers that are left dense. The noise is that of `Pattern.noise`.
    pattern: Pattern = UNSTRUCTURED
    #: The number of examples for which both ends of the connection were active. A statistic.
    coactivation: Tensor | None = None
    #: The gradient of the loss on the last batch, at inactive positions, too. A statistic.
    gradient: Tensor | None = None
    #: The same, but only the values at active positions mean anything. A statistic.
    active_gradient: Tensor | None = None
    #: The running mean of the gradient over batches, with `Method.smoothing`. A statistic.
    gradient_momentum: Tensor | None = None


Score = Callable[[Layer], Tensor]

# The statistics of a layer, which a method must list in its `needs` to read them.
STATISTICS = ("coactivation", "gradient", "active_gradient", "gradient_momentum", "sign")


class StatisticError(ValueError):
    """A rule reads a statistic that its method does not list in `needs`."""


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
