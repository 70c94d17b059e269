"""SynFlow: iterative synaptic flow pruning."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.methods.base import Method
from dynsparse.methods.initial_pruning import InitialNetwork, InitialPruning, leaves
from dynsparse.methods.settings import MethodSettings

N_ROUNDS = 100


def synflow(config: MethodSettings) -> Method:
    """Prune in 100 rounds before training, without data: keep the weights on strong paths. The masks never change.

    A dense network is drawn. In each round, the score of a weight is |w * dR/dw|. R is the sum of the outputs for an
    input of ones if all weights are replaced by their absolute values and there are no biases. So the score is the sum,
    over the paths from inputs to outputs through the weight, of the products of the absolute weights on the path. After
    round r, the round(N * (n / N)^(r / 100)) highest of all N weights are left; n = round(N * on_perc) at the end.

    Keys:
        on_perc: density of all layers together, in (0, 1]. Layers that are left dense are not ranked.
        global_floor: least density of each layer, in [0, on_perc]; None: 0. A layer keeps its highest scores.

    Batch norm is that of an untrained network in evaluation, as in the published code. That code adds the absolute
    biases to R, which the paper's formula does not: paths that begin at biases would keep weights without any input.
    k-winners pass all of their inputs; else only the paths through the winners for an input of ones would count.

    Reference:
        Hidenori Tanaka, Daniel Kunin, Daniel Yamins and Surya Ganguli, Pruning Neural Networks without Any Data by
        Iteratively Conserving Synaptic Flow, 2020, https://arxiv.org/abs/2006.05467
    """
    return Method(
        config.on_perc, initial_pruning=InitialPruning(synaptic_flow, n_rounds=N_ROUNDS, floor=config.global_floor)
    )


def synaptic_flow(network: InitialNetwork, weights: Sequence[Tensor]) -> list[Tensor]:
    """Return |w * dR/dw| for each weight, in float64."""
    at = leaves([weight.double() for weight in weights])
    gradients = torch.autograd.grad(network.flow(at), at)
    return [(weight * gradient).detach().abs() for weight, gradient in zip(at, gradients, strict=True)]
