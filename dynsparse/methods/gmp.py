"""GMP, gradual magnitude pruning."""

from __future__ import annotations

from torch import Tensor

from dynsparse.methods.base import Method
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops import masks
from dynsparse.ops.schedules import cubic
from dynsparse.ops.scores import Layer, magnitude


def gmp(config: MethodSettings) -> Method:
    """Start dense; drop the smallest weights until on_perc are left, on a cubic schedule. Nothing grows.

    Reference: Zhu and Gupta, To Prune, or Not to Prune: Exploring the Efficacy of Pruning for Model Compression,
    2017, https://arxiv.org/abs/1710.01878
    """
    return Method(config.on_perc, smallest_beyond_target, prune_decays=False, surplus=cubic)


def smallest_beyond_target(layer: Layer) -> Tensor:
    """The smallest weights, as many as there are more than the target."""
    n_drop = (masks.count(layer.mask) - layer.target).clamp_min(0)
    return masks.lowest(magnitude(layer), n_drop, layer.prune_noise, among=layer.mask)
