"""GMP: gradual magnitude pruning."""

from __future__ import annotations

from torch import Tensor

from dynsparse.methods.base import Method
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops import masks
from dynsparse.ops.schedules import cubic
from dynsparse.ops.scores import Layer, magnitude


def gmp(config: MethodSettings) -> Method:
    """Start dense and prune the smallest weights on a cubic schedule until the density is on_perc.

    Prune: the smallest |w|, until the density is on_perc + (1 - on_perc) * (1 - p)^3, where p is the share of the mask
    updates that are done: 0 at the start and 1 at the last one.
    Grow: nothing.

    With global_floor, the weights of all layers are ranked together. The number of weights pruned is the same, and they
    have the smallest |w| of the network. But no layer falls below the density global_floor, or loses its last weight.

    Keys:
        on_perc: density at the end, in (0, 1].
        global_floor: least density of each layer, in [0, on_perc]; None: each layer is ranked alone.

    Differences from the paper: mask updates are counted in epochs (`pruning_interval`) unless
    `pruning_interval_steps` is set, and pruning starts with the first interval.

    Reference:
        Michael Zhu and Suyog Gupta, To Prune, or Not to Prune: Exploring the Efficacy of Pruning for Model Compression,
        2017, https://arxiv.org/abs/1710.01878
    """
    return Method(
        config.on_perc,
        smallest_beyond_target,
        prune_decays=False,
        prune_ignores_position=True,
        surplus=cubic,
        global_floor=config.global_floor,
    )


def smallest_beyond_target(layer: Layer) -> Tensor:
    """Select the smallest active weights, as many as exceed the target."""
    n_drop = (masks.count(layer.mask) - layer.target).clamp_min(0)
    score = layer.pattern.mean(magnitude(layer))
    return layer.pattern.lowest_for_good(score, n_drop, layer.prune_noise, among=layer.mask)
