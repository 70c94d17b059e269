"""Forward pass, loss and backward pass of a pack.

They are written by hand because autograd would launch three times as many kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dynsparse.engines.active_bits import zero_inactive_
from dynsparse.engines.packed.matmul import linear, weight_gradient_
from dynsparse.nn.functional import smoothed

# An activation function: from the index of a hidden layer and its pre-activations, (trials, batch, units), to the
# `active_bits` of the units that keep them, int32 of the same shape. It sets the others to zero.
ActiveUnits = Callable[[int, Tensor], Tensor]


class ForwardPass(NamedTuple):
    """Results of a forward pass, as the backward pass needs them."""

    # For each layer: the images, (groups, batch, in), or the activations of a hidden layer, (trials, batch, in).
    inputs: list[Tensor]
    active: list[Tensor]  # for each hidden layer (trials, batch, units), int32: the bits from `ActiveUnits`
    logits: Tensor  # (trials, batch, classes)


class Loss(NamedTuple):
    """The loss of a batch."""

    losses: Tensor  # (trials, batch), the loss of each example
    correct: Tensor  # (trials, batch), bool; all False in a regression
    gradient: Tensor  # (trials, batch, classes), of each trial's mean loss with respect to its logits


def relu_active(layer: int, sums: Tensor) -> Tensor:
    """Return the bits of the units that a ReLU passes on. NaN is passed on, so that the loss becomes NaN too."""
    # On a CPU, a comparison into integers takes a quarter of the time of one into booleans, and a conjunction of bits
    # a thirtieth of that of masked_fill_.
    is_inactive = torch.empty_like(sums, dtype=torch.int32)
    torch.le(sums, 0, out=is_inactive)
    return is_inactive.sub_(1)


def forward(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], active_units: ActiveUnits) -> ForwardPass:
    """Compute the networks of all trials.

    Args:
        x: (groups, batch, in), the images; see matmul.py for the groups.
        weights: (trials, out, in) for each layer.
        biases: (trials, out) for each layer.
        active_units: The activation function of the hidden layers.
    """
    inputs, active = [x], []
    for layer, (weight, bias) in enumerate(zip(weights[:-1], biases[:-1], strict=True)):
        sums = linear(inputs[-1], weight, bias)
        active.append(active_units(layer, sums))
        zero_inactive_(sums, active[-1])
        inputs.append(sums)
    return ForwardPass(inputs, active, linear(inputs[-1], weights[-1], biases[-1]))


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor | None = None) -> Loss:
    """Compute the loss of each example.

    Shapes: logits (trials, batch, classes), labels (trials, batch), smoothing (trials or 1,): the share of the target
    probability that is spread over all classes.
    """
    log_p = logits.log_softmax(-1)
    losses = log_p.gather(-1, labels[..., None])[..., 0].neg()
    is_label = labels[..., None] == torch.arange(logits.shape[-1], device=logits.device)
    # The mean over the examples of each trial. A mean over trials would divide gradients by the width of the pack.
    target = is_label.float()
    if smoothing is not None:
        losses = smoothed(losses, log_p, smoothing)
        target = target * (1 - smoothing[:, None, None]) + smoothing[:, None, None] / logits.shape[-1]
    gradient = (log_p.exp() - target).div_(logits.shape[1])
    return Loss(losses, logits.argmax(-1) == labels, gradient)


def weighted_cross_entropy(weights: Tensor, logits: Tensor, labels: Tensor, smoothing: Tensor | None) -> Loss:
    """Compute the loss of each example with class weights, so that its mean is torch's: see `DenseEngine.losses`.

    Shapes: weights (trials or 1, classes); the others as for `cross_entropy`.
    """
    plain, log_p = cross_entropy(logits, labels), logits.log_softmax(-1)
    of_examples = weights.expand(len(labels), -1).gather(1, labels)
    smoothing = weights.new_zeros(1) if smoothing is None else smoothing
    is_label = labels[..., None] == torch.arange(logits.shape[-1], device=logits.device)
    share = smoothing[:, None, None]
    target = weights[:, None] * (is_label * (1 - share) + share / logits.shape[-1])
    scale = of_examples.mean(1, keepdim=True)
    gradient = (log_p.exp() * target.sum(-1, keepdim=True) - target) / (scale[..., None] * logits.shape[1])
    return Loss(
        smoothed(plain.losses * of_examples, log_p * weights[:, None], smoothing) / scale, plain.correct, gradient
    )


def squared_error(outputs: Tensor, targets: Tensor, smoothing: Tensor | None = None) -> Loss:
    """Compute the squared error of each example, its mean over several outputs. There is no smoothing.

    Shapes: outputs and targets (trials, batch, outputs).
    """
    difference = outputs - targets
    losses = difference.square().mean(-1)
    gradient = difference * (2 / outputs[0].numel())
    return Loss(losses, torch.zeros_like(losses, dtype=torch.bool), gradient)


def backward_(
    gradient: Tensor,
    forward_pass: ForwardPass,
    weights: Sequence[Tensor],
    weight_gradients: Sequence[Tensor],
    bias_gradients: Sequence[Tensor],
) -> None:
    """Compute the gradients of all weights, active or not, and of the biases, into the last two arguments.

    Args:
        gradient: (trials, batch, classes), of the logits.
        forward_pass: From `forward`.
        weights: (trials, out, in) for each layer.
        weight_gradients: Written, shaped like the weights.
        bias_gradients: Written, (trials, out) for each layer.
    """
    for layer in range(len(weights) - 1, -1, -1):
        torch.sum(gradient, 1, out=bias_gradients[layer])
        weight_gradient_(weight_gradients[layer], gradient, forward_pass.inputs[layer])
        # The images need no gradient.
        if layer > 0:
            gradient = torch.bmm(gradient, weights[layer])
            zero_inactive_(gradient, forward_pass.active[layer - 1])
