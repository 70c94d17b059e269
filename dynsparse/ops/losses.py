"""Losses of single examples, and the table `LOSSES` of those that a trial can train with.

Shapes have a leading trials axis: outputs (trials, batch, outputs); y (trials, batch) has classes, int64, or (trials,
batch, outputs) numbers, float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Loss(NamedTuple):
    """A row of `LOSSES`: functions of the outputs of a network and what it should have returned."""

    of_examples: Callable[[Tensor, Tensor], Tensor]  # (trials, batch)
    correct: Callable[[Tensor, Tensor], Tensor]  # (trials, batch), bool; all False for a regression
    confidence: Callable[[Tensor], Tensor]  # of the outputs: the highest probability of a class, (trials, batch)
    is_regression: bool = False


def cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
    """Return minus the logarithm of the probability of the right class. Shapes: y (trials, batch), and the result."""
    return F.cross_entropy(outputs.mT, y, reduction="none")


def squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the squared difference, its mean over several outputs. Shapes: like `outputs`; result (trials, batch).

    Example:
        >>> import torch
        >>> from dynsparse.ops.losses import squared_error
        >>> squared_error(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 5.0]]]))
        tensor([[4.5000]])
    """
    return (outputs - y).square().mean(-1)


def class_weights(chosen: str | Sequence[float], y: Tensor, n_classes: int) -> Tensor:
    """Return the factor of the loss of each class. Shapes: y (examples,), classes; the result (classes,), float32.

    Args:
        chosen: the factors, or "balanced" for examples / (classes * examples of the class), so that all classes
            together have the same weight.
        y: the labels of the examples that are trained on.
        n_classes: the number of classes.

    Example:
        >>> import torch
        >>> from dynsparse.ops.losses import class_weights
        >>> class_weights("balanced", torch.tensor([0, 0, 0, 1]), n_classes=2)
        tensor([0.6667, 2.0000])
    """
    if isinstance(chosen, str):
        counts = y.bincount(minlength=n_classes)
        return (len(y) / (n_classes * counts.clamp(min=1).double())).float()
    return torch.tensor(chosen, device=y.device)


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(
        cross_entropy,
        correct=lambda outputs, y: outputs.argmax(-1) == y,
        confidence=lambda outputs: outputs.softmax(-1).amax(-1),
    ),
    "mse": Loss(
        squared_error,
        correct=lambda outputs, y: torch.zeros_like(outputs[..., 0], dtype=torch.bool),
        confidence=lambda outputs: torch.zeros_like(outputs[..., 0]),
        is_regression=True,
    ),
}
