"""Top-KAST: top-K always sparse training."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.methods.base import Method, highest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import Layer, magnitude


def top_kast(config: MethodSettings) -> Method:
    """Keep weights at all positions: the largest compute the outputs, and some more of them are trained.

    Each layer keeps a weight w at every position. The n active ones, A, compute the outputs and the gradients of the
    layer's inputs. The optimizer trains them and those of the other positions with the largest |w|; together these are
    B, a share of the layer that exceeds that of A by backward_density - on_perc. All other weights stay as they are.
    Prune: the active weights that no longer are among the n with the largest |w|.
    Grow: as many inactive positions, those with the largest |w|. A weight that becomes active keeps its value, and one
    that becomes inactive, too. Then B is chosen again.

    The gradient of an inactive weight of B is that of the loss if the weight were 0, as in RigL. A weight of A decays
    with weight_decay, and an inactive one of B with weight_decay divided by the density of the layer. No other weight
    decays. So an inactive weight that the gradient does not support falls behind those of A.

    Keys:
        on_perc: density of A, in (0, 1].
        backward_density: density of B, in [on_perc, 1].

    Differences from the paper: the paper chooses A and B again at each step, and finds that every 100 steps are enough
    (set pruning_interval_steps=100). Where the paper leaves room: it writes the penalty with |w| and names L2, and here
    it is the L2 penalty weight_decay; it does not say what becomes of the optimizer's state of weights that leave B,
    which is set to zero here, nor over which weights the largest are taken, here those of each layer. All weights are
    drawn as those of a dense layer, and the first A has the largest ones. Its variant that stops exploring is
    pruning_end.

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
    """Select the active weights that are not among those with the largest magnitude of all positions."""
    score, nothing = layer.pattern.mean(magnitude(layer)), torch.zeros_like(layer.mask)
    largest = layer.pattern.highest(score, nothing, layer.target, layer.prune_noise, ~nothing)
    return layer.mask & ~largest
