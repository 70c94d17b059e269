"""MEST: memory-economic sparse training."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.methods.base import Method, at_random, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import Layer, Score, active_gradient, magnitude


def mest(config: MethodSettings) -> Method:
    """Prune weights whose magnitude and gradient are both small; grow at random.

    Prune: the round(weight_prune_perc * s * n) active weights with the smallest |w| + c * |dL/dw|, with
    c = prune_gradient_weight and the gradient of the last batch before the update.
    Grow: as many inactive positions, drawn uniformly.

    The gradient of inactive positions is never needed.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        selection_temperature: at least 0. Above 0, the weights that stay are drawn by score.
        prune_gradient_weight: factor c of the gradient, at least 0. With 0, magnitude alone decides.

    Differences from the paper: the variant EM of the paper keeps the density; EM&S trains with more weights than the
    density at first, and drops the surplus in two steps. Here the density is constant, so that methods are compared at
    equal densities. The paper drops more early in training and less later (set prune_decay="cosine"), and stops before
    the end (set pruning_end). Its published scripts leave c at 0.

    Reference:
        Geng Yuan, Xiaolong Ma, Wei Niu, Zhengang Li, Zhenglun Kong, Ning Liu, Yifan Gong, Zheng Zhan, Chaoyang He,
        Qing Jin, Siyue Wang, Minghai Qin, Bin Ren, Yanzhi Wang, Sijia Liu and Xue Lin, MEST: Accurate and Fast
        Memory-Economic Sparse Training Framework on the Edge, 2021, https://arxiv.org/abs/2110.14032
    """
    score = magnitude_and_gradient(config.prune_gradient_weight)
    return Method(
        config.on_perc,
        lowest(score, config.weight_prune_perc, config.selection_temperature),
        at_random,
        prune_ignores_position=True,
        needs=frozenset({"active_gradient"}),
    )


def magnitude_and_gradient(weight: float | Tensor) -> Score:
    """Return the score |w| + weight * |gradient|, for a number or a tensor of shape (trials,)."""

    def score(layer: Layer) -> Tensor:
        factor = torch.as_tensor(weight).to(layer.weight)[..., None, None]
        return magnitude(layer) + factor * active_gradient(layer)

    return score
