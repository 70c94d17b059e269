"""GraSP: gradient signal preservation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynsparse.methods.base import Method
from dynsparse.methods.initial_pruning import InitialNetwork, InitialPruning, leaves
from dynsparse.methods.settings import MethodSettings

# Of the logits, so that the probabilities of all classes are nearly equal.
TEMPERATURE = 200.0


def grasp(config: MethodSettings) -> Method:
    """Prune once before training: keep the weights without which the gradient would shrink. The masks never change.

    A dense network is drawn. With the gradient g and the Hessian matrix H of the loss of score_examples training
    examples, the score of a weight is w * (H g), and the round(on_perc * N) highest of all N weights are kept with
    their values. To first order, pruning a weight changes g . g by -2 w * (H g): those stay whose loss would lower the
    norm of the gradient most. The logits are divided by 200.

    Keys:
        on_perc: density of all layers together, in (0, 1]. Layers that are left dense are not ranked.
        score_examples: number of training examples that are scored.
        global_floor: least density of each layer, in [0, on_perc]; None: 0. A layer keeps its highest scores.

    The paper names the score -w * (H g) and prunes the weights where it is highest, which is the same.

    Differences from the paper: it takes as many examples of each class (10); here they are drawn from all. The
    temperature of 200 is that of its published code, which also draws new weights for the linear layers before it
    scores them.

    Reference:
        Chaoqi Wang, Guodong Zhang and Roger Grosse, Picking Winning Tickets Before Training by Preserving Gradient
        Flow, 2020, https://arxiv.org/abs/2002.07376
    """
    return Method(
        config.on_perc,
        initial_pruning=InitialPruning(gradient_preservation, config.score_examples, floor=config.global_floor),
    )


def gradient_preservation(network: InitialNetwork, weights: Sequence[Tensor]) -> list[Tensor]:
    """Return w * (H g) for each weight."""
    at = leaves(weights)
    gradients = torch.autograd.grad(network.loss(at, TEMPERATURE), at, create_graph=True)
    # The gradient of g . c for a constant c is H c.
    product = torch.stack([(each * each.detach()).sum() for each in gradients]).sum()
    curvatures = torch.autograd.grad(product, at, materialize_grads=True)
    return [(weight * each).detach() for weight, each in zip(at, curvatures, strict=True)]
