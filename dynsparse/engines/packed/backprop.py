"""A forward pass, the loss, and a backward pass written by hand: autograd would start three times as many kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dynsparse.engines.packed.matmul import linear, weight_gradient_

# Number of a hidden layer, and the sums of its units, (trials, batch, units) -> which units pass nothing on.
Blocks = Callable[[int, Tensor], Tensor]


class Forward(NamedTuple):
    """What a forward pass gives, and a backward pass needs."""

    # Of each layer: the images, (runs, batch, in), and what the hidden layers pass on, (trials, batch, in).
    inputs: list[Tensor]
    blocked: list[Tensor]  # for each hidden layer, (trials, batch, units), True where nothing passes
    logits: Tensor  # (trials, batch, classes)


class Loss(NamedTuple):
    """Shapes: (trials, batch), but for the gradient."""

    losses: Tensor  # the cross-entropy of each example
    correct: Tensor  # bool
    gradient: Tensor  # of the sum over trials of a trial's mean, with respect to the logits; (trials, batch, classes)


def relu(layer: int, sums: Tensor) -> Tensor:
    """Units below zero pass nothing on; those that are no number do, so that the loss is none either."""
    return sums <= 0


def forward(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], blocks: Blocks) -> Forward:
    """The networks of all trials. Shapes: x (runs, batch, in); see products.py for the runs."""
    inputs, blocked = [x], []
    for layer, (weight, bias) in enumerate(zip(weights[:-1], biases[:-1], strict=True)):
        sums = linear(inputs[-1], weight, bias)
        blocked.append(blocks(layer, sums))
        inputs.append(sums.masked_fill_(blocked[-1], 0))
    return Forward(inputs, blocked, linear(inputs[-1], weights[-1], biases[-1]))


def cross_entropy(logits: Tensor, labels: Tensor) -> Loss:
    """The loss of each example. Shapes: labels (trials, batch)."""
    log_p = logits.log_softmax(-1)
    losses = log_p.gather(-1, labels[..., None])[..., 0].neg()
    is_label = labels[..., None] == torch.arange(logits.shape[-1], device=logits.device)
    # Each trial's own mean, summed: the mean over trials would divide its gradient by the width of the pack.
    gradient = (log_p.exp() - is_label.float()).div_(logits.shape[1])
    return Loss(losses, logits.argmax(-1) == labels, gradient)


def backward_(
    gradient: Tensor,
    pass_: Forward,
    weights: Sequence[Tensor],
    weight_gradients: Sequence[Tensor],
    bias_gradients: Sequence[Tensor],
) -> None:
    """The gradients of all weights, active or not, and of the biases, from that of the logits, into the last two."""
    for layer in range(len(weights) - 1, -1, -1):
        torch.sum(gradient, 1, out=bias_gradients[layer])
        weight_gradient_(weight_gradients[layer], gradient, pass_.inputs[layer])
        # Of the images there is none.
        if layer > 0:
            gradient = torch.bmm(gradient, weights[layer]).masked_fill_(pass_.blocked[layer - 1], 0)
