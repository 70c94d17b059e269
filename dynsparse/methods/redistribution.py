"""Redistribution of weights over layers: `redistribution` says in which layers pruned weights grow."""

from __future__ import annotations

from dataclasses import replace

from dynsparse.methods.base import Method
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import Score, gradient_momentum, magnitude

# Each layer grows in proportion to the mean of this score over its active weights.
REDISTRIBUTIONS: dict[str, Score] = {"magnitude": magnitude, "gradient_momentum": gradient_momentum}


def with_redistribution(method: Method, config: MethodSettings) -> Method:
    """Return a method that moves weights between layers, if the configuration asks for it and the method allows it.

    A mask update prunes every layer by the rule of the method, R weights in all. Then layer l grows the share
    R * m_l / (sum of all m), rounded so that the sum is exactly R. The mean m_l is that of |w|, or of |m| of `SNFS`,
    over the weights that were active before the update. A layer that has no room for its share
    becomes dense, and the others grow the rest. If all means are 0, or some is not finite, each layer grows what it has
    lost. Where a layer grows is up to the grow rule of the method. So the density of the network stays exactly the
    same, and those of the layers change. Layers that keys leave dense take no part.

    Methods whose density falls, those that grow nothing, `SRigL`, whose units share a fan-in, and `TopKAST`, whose
    active weights are the largest of each layer, do not read `redistribution`.

    Differences from the paper: it redistributes by the gradient momentum, and its published code has magnitude as an
    option. There, a layer without room for its share is treated in a similar way, but not the same one.

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
