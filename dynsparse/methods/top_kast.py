"""Top-KAST: top-K always sparse training."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.methods.base import Method, highest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import Layer, magnitude


def top_kast(config: MethodSettings) -> Method:
    """Keep weights at all positions: the largest are active, and some of the others are trained, too.

    Each layer has a weight w at every position. Only the n active weights, the set A, compute the outputs and the
    gradients of the layer's inputs. The optimizer trains the set B: A, and the inactive weights with the largest |w|. B
    is a share of the layer that exceeds that of A by backward_density - on_perc. All other weights keep their values.
    Prune: the active weights that are no longer among the n with the largest |w|.
    Grow: as many inactive positions, those with the largest |w|. Weights keep their values when they become active or
    inactive. Then B is chosen again.

    The gradient at an inactive position of B is that of the loss where the weight is 0, as in RigL. Weights of A decay
    with weight_decay, and inactive weights of B with weight_decay divided by the density of the layer, so that they
    shrink unless the gradient makes them grow. No other weight decays.

    Inactive weights of B have no effect on the loss, so they add up their gradients from one mask update to the next.
    With a high learning rate and long intervals they become so large that the training diverges when they become
    active. For 784-300-100-10 on MNIST at density 0.05, with learning rate 0.1 and momentum 0.9, it does so with
    pruning_interval_steps=100, and learns with 10.

    Keys:
        on_perc: density of A, in (0, 1].
        backward_density: density of B, in [on_perc, 1].

    Differences from the paper: the paper chooses A and B again at each step, and finds that every 100 steps are enough
    (set pruning_interval_steps=100). Three points are not clear in the paper. It writes the penalty with |w| and calls
    it L2; here it is the L2 penalty, weight_decay. It does not say what happens to the optimizer's state of weights
    that leave B; here it is set to zero. It does not say whether the largest weights are those of the network or of
    each layer; here they are those of each layer. Initial weights are drawn as those of a dense layer, and A begins
    with the largest of them. For the paper's variant that stops exploring, set pruning_end.

    Reference:
        Siddhant M. Jayakumar, Razvan Pascanu, Jack W. Rae, Simon Osindero and Erich Elsen, Top-KAST: Top-K Always
        Sparse Training, 2020, https://arxiv.org/abs/2106.03517
    """
    return Method(
        config.on_perc,
        no_longer_largest,
        highest(magnitude),
        prune_decays=False,
        backward_density=config.backward_density,
    )


def no_longer_largest(layer: Layer) -> Tensor:
    """Select the active weights that are not among the n largest of all positions, where n is the layer's target."""
    score, nothing = layer.pattern.mean(magnitude(layer)), torch.zeros_like(layer.mask)
    largest = layer.pattern.highest(score, nothing, layer.target, layer.prune_noise, ~nothing)
    return layer.mask & ~largest
