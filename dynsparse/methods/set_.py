"""SET: sparse evolutionary training."""

from __future__ import annotations

from dynsparse.methods.base import Method, at_random
from dynsparse.methods.settings import MethodSettings
from dynsparse.methods.signwise import smallest_of_each_sign


def set_(config: MethodSettings) -> Method:
    """Prune the smallest positive and the largest negative weights; grow at random.

    Prune: of the n+ positive weights the round(weight_prune_perc * s * n+) smallest, and of the n- negative ones the
    round(weight_prune_perc * s * n-) closest to zero.
    Grow: as many inactive positions, drawn uniformly.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        selection_temperature: at least 0. Above 0, the weights that stay are drawn by score.

    Differences from the paper: the paper spreads the density over layers by Erdős-Rényi (set
    layer_densities="erdos_renyi").

    Reference:
        Decebal Constantin Mocanu, Elena Mocanu, Peter Stone, Phuong H. Nguyen, Madeleine Gibescu and Antonio Liotta,
        Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity Inspired by Network Science,
        2018, https://arxiv.org/abs/1707.04780
    """
    prune = smallest_of_each_sign(config.weight_prune_perc, config.selection_temperature)
    return Method(config.on_perc, prune, at_random, prune_ignores_position=True)
