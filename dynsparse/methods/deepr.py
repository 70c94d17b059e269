"""DeepR: deep rewiring."""

from __future__ import annotations

from torch import Tensor

from dynsparse.methods.base import Drift, Method, at_random
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import Layer, require


def deepr(config: MethodSettings) -> Method:
    """Prune the weights that have crossed zero; grow at random. Weights drift towards zero and are noisy.

    Each position has a sign: that of its initial weight, which is drawn for inactive positions, too. After each
    optimizer step with learning rate r, a weight of sign s changes by -r * l1_drift * s, and by normal noise of
    variance 2 * r * weight_temperature.
    Prune: the active weights whose sign is not that of their position. A weight of 0, as one that has just grown,
    stays.
    Grow: as many inactive positions, drawn uniformly.

    Keys:
        on_perc: density, in (0, 1].
        l1_drift: strength of the drift, at least 0.
        weight_temperature: temperature of the noise, at least 0. With 0 there is none.

    Differences from the paper: the paper updates the masks after each step (set pruning_interval_steps=1) of SGD
    without momentum (set momentum=0 and weight_decay=0). Between two updates here, a weight may cross zero and come
    back. The paper draws the sign of a connection each time it grows; its published code gives each position one sign,
    as here. A position that has just been pruned may grow again there; here it cannot, unless the layer is nearly
    dense.

    Reference:
        Guillaume Bellec, David Kappel, Wolfgang Maass and Robert Legenstein, Deep Rewiring: Training Very Sparse Deep
        Networks, 2018, https://arxiv.org/abs/1711.05136
    """
    return Method(
        config.on_perc,
        zero_crossings,
        at_random,
        prune_decays=False,
        prune_ignores_position=True,
        needs=frozenset({"sign"}),
        drift=Drift(config.l1_drift, config.weight_temperature),
    )


def zero_crossings(layer: Layer) -> Tensor:
    """Select the active weights whose sign is not that of their position; of a block, the mean counts."""
    return layer.mask & (layer.pattern.mean(layer.weight * require(layer.sign)) < 0)
