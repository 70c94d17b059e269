"""SNFS: sparse networks from scratch."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import gradient_momentum, magnitude


def snfs(config: MethodSettings) -> Method:
    """Prune the smallest weights; grow where the running mean of the gradient is largest.

    Prune: the round(weight_prune_perc * s * n) active weights with the smallest |w|.
    Grow: as many inactive positions, those with the largest |m|. After each step, m = b * m + (1 - b) * dL/dw with
    b = gradient_momentum.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        selection_temperature: at least 0. Above 0, the weights that stay, and those that grow, are drawn by score.
        gradient_momentum: smoothing b per step, in [0, 1).

    Difference from the paper: the paper moves weights to layers with a larger mean momentum (set
    redistribution="gradient_momentum"). By default each layer keeps its number of weights, so that methods are compared
    at equal densities.

    Reference:
        Tim Dettmers and Luke Zettlemoyer, Sparse Networks from Scratch: Faster Training without Losing Performance,
        2019, https://arxiv.org/abs/1907.04840
    """
    return Method(
        config.on_perc,
        lowest(magnitude, config.weight_prune_perc, config.selection_temperature),
        highest(gradient_momentum, config.selection_temperature),
        prune_ignores_position=True,
        needs=frozenset({"gradient_momentum"}),
        smoothing=config.gradient_momentum,
    )
