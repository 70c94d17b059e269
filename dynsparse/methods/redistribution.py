"""Redistribution of weights over layers: the key `redistribution` says in which layers pruned weights grow."""

from __future__ import annotations

from dataclasses import replace

from dynsparse.methods.base import Method
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import Score, gradient_momentum, magnitude

# The choices of the key: a layer grows in proportion to the mean of this score over its active weights.
REDISTRIBUTIONS: dict[str, Score] = {"magnitude": magnitude, "gradient_momentum": gradient_momentum}


def with_redistribution(method: Method, config: MethodSettings) -> Method:
    """Return a method that moves weights between layers, if the configuration asks for it and the method allows it.

    A mask update prunes each layer by the rule of the method, R weights in all. Then layer l grows
    R * m_l / (sum of all m) weights, rounded so that the sum is exactly R. The number m_l is the mean of |w|, or of the
    absolute gradient momentum (see `SNFS`), over the weights of the layer that were active before the update. If a
    layer has not enough room for its share, it becomes dense, and the others grow the rest. If all means are 0, or one
    is not finite, each layer grows what it has lost. The grow rule of the method selects the positions within a layer.
    So the density of the network stays exactly the same, and the densities of the layers change. Layers that keys leave
    dense take no part.

    These methods do not read `redistribution`: those whose density falls, those that grow nothing, `SRigL`, whose units
    have equally many inputs, and `TopKAST`, whose active weights are the largest of each layer.

    Differences from the paper: the paper redistributes by the gradient momentum; its published code has magnitude as an
    option. That code also gives the excess of a layer without room to the others, but by another rule.

    Reference:
        Tim Dettmers and Luke Zettlemoyer, Sparse Networks from Scratch: Faster Training without Losing Performance,
        2019, https://arxiv.org/abs/1907.04840; published code: https://github.com/TimDettmers/sparse_learning
    """
    replaces_weights = method.prune is not None and method.grow is not None and method.surplus is None
    if not replaces_weights or method.ablate is not None or method.backward_density is not None:
        return method
    if config.rules != "fixed" or config.redistribution is None:
        return method
    if config.redistribution == "magnitude":
        return replace(method, redistribution=magnitude)
    needs = method.needs | {"gradient_momentum"}
    return replace(method, redistribution=gradient_momentum, needs=needs, smoothing=config.gradient_momentum)
