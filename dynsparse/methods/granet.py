"""GraNet: gradual pruning with neuroregeneration."""

from __future__ import annotations

from torch import Tensor

from dynsparse.methods.base import Method, Prune, highest, or_zero
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops import masks
from dynsparse.ops.schedules import cubic
from dynsparse.ops.scores import Layer, gradient, magnitude


def granet(config: MethodSettings) -> Method:
    """Prune gradually from initial_density to on_perc; at each update, replace some of the remaining weights.

    Prune: the smallest |w|, until the density is on_perc + (initial_density - on_perc) * (1 - p)^3, where p is the
    share of the mask updates that are done: 0 at the start and 1 at the last one. Of the m weights that remain, then
    the round(weight_prune_perc * s * m) smallest.
    Grow: as many inactive positions as the second step pruned, those with the largest |dL/dw| on the last batch before
    the update.

    Keys:
        on_perc: density at the end, in (0, 1].
        initial_density: density at the start, in [on_perc, 1]. The paper has 1 (dense to sparse) and 0.5.
        weight_prune_perc: share of the remaining weights that a mask update replaces, in [0, 1].
        global_floor: as in `GMP`, for the first step.

    Differences from the paper: the paper ranks the weights of all layers together in the first step (set
    global_floor=0). By default each layer falls from its own initial number of weights to its own final one, as in GMP,
    so that methods are compared at equal densities. The paper replaces half of the weights at first (set
    weight_prune_perc=0.5 and prune_decay="cosine"). A weight that has just been pruned may grow again there; here it
    cannot, unless the layer is nearly dense.

    Reference:
        Shiwei Liu, Tianlong Chen, Xiaohan Chen, Zahra Atashgahi, Lu Yin, Huanyu Kou, Li Shen, Mykola Pechenizkiy,
        Zhangyang Wang and Decebal Constantin Mocanu, Sparse Training via Boosting Pruning Plasticity with
        Neuroregeneration, 2021, https://arxiv.org/abs/2106.10404
    """
    return Method(
        config.on_perc,
        surplus_and_smallest_share(config.weight_prune_perc),
        highest(gradient),
        prune_ignores_position=True,
        needs=frozenset({"gradient"}),
        surplus=cubic,
        initial_density=config.initial_density,
        global_floor=config.global_floor,
    )


def surplus_and_smallest_share(fraction: float | Tensor | None) -> Prune:
    """Return the rule that drops the smallest weights beyond the target, and a share of the others."""

    def prune(layer: Layer) -> Tensor:
        n_active = masks.count(layer.mask)
        n_left = n_active.minimum(layer.target)
        n_drop = masks.round_share(or_zero(fraction) * layer.drop_scale, n_left)
        score, noise = layer.pattern.mean(magnitude(layer)), layer.prune_noise
        surplus = layer.pattern.lowest_for_good(score, n_active - n_left, noise, among=layer.mask)
        return surplus | layer.pattern.lowest(score, n_drop, noise, among=layer.mask & ~surplus)

    return prune
