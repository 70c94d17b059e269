"""SNFS, sparse networks from scratch."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import gradient_momentum, magnitude


def snfs(config: MethodSettings) -> Method:
    """Drop the smallest weights; grow where the running mean of the gradient is largest.

    The paper also moves weights between layers, to those of the largest mean momentum; here each layer keeps its
    number, so that methods are compared at the same densities.

    Reference: Dettmers and Zettlemoyer, Sparse Networks from Scratch: Faster Training without Losing Performance,
    2019, https://arxiv.org/abs/1907.04840
    """
    return Method(
        config.on_perc,
        lowest(magnitude, config.weight_prune_perc),
        highest(gradient_momentum),
        needs=frozenset({"gradient_momentum"}),
        smoothing=config.gradient_momentum,
    )
