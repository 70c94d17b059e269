"""SNIP: single-shot network pruning."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.methods.base import Method
from dynsparse.methods.initial_pruning import InitialNetwork, InitialPruning, leaves
from dynsparse.methods.settings import MethodSettings


def snip(config: MethodSettings) -> Method:
    """Prune once before training: keep the weights to which the loss is most sensitive. The masks never change.

    A dense network is drawn. The score of a weight is |w * dL/dw|, for the loss L of score_examples training examples.
    The round(on_perc * N) highest of all N weights are kept with their values, wherever they are: layers get different
    densities, and one may lose all of its weights. Then the columns `density_l0`, ... and `cut_off_outputs` say so.

    Keys:
        on_perc: density of all layers together, in (0, 1]. Layers that are left dense are not ranked.
        score_examples: number of training examples that are scored.
        global_floor: least density of each layer, in [0, on_perc]; None: 0. A layer keeps its highest scores.

    Differences from the paper: the paper draws weights with a variance for all inputs (Glorot); here `weight_init`
    says how they are drawn.

    Reference:
        Namhoon Lee, Thalaiyasingam Ajanthan and Philip Torr, SNIP: Single-Shot Network Pruning Based on Connection
        Sensitivity, 2019, https://arxiv.org/abs/1810.02340
    """
    return Method(
        config.on_perc,
        initial_pruning=InitialPruning(connection_sensitivity, config.score_examples, floor=config.global_floor),
    )


def connection_sensitivity(network: InitialNetwork, weights: Sequence[Tensor]) -> list[Tensor]:
    """Return |w * dL/dw| for each weight: how much the loss changes, to first order, if the weight becomes 0."""
    at = leaves(weights)
    gradients = torch.autograd.grad(network.loss(at), at)
    return [(weight * gradient).detach().abs() for weight, gradient in zip(at, gradients, strict=True)]
