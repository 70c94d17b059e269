"""Pruning at initialization: what a method scores before training, and how often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class InitialNetwork(Protocol):
    """The network of one trial before training, as differentiable functions of the weights of its layers.

    Calls with the same weights return the same number. Shapes: weights (out, in) for each layer.
    """

    def loss(self, weights: Sequence[Tensor], temperature: float = 1.0) -> Tensor:
        """Return the mean loss over some training examples, without label smoothing and class weights.

        The network computes as in training: batch norm normalises over these examples, and dropout drops units.

        Args:
            weights: Of each layer.
            temperature: The logits are divided by it. In a regression it has no effect.
        """

    def flow(self, weights: Sequence[Tensor]) -> Tensor:
        """Return the sum of the outputs for an input of ones, in float64, with the absolute values of all parameters.

        The layers have no biases. Else the network computes as in evaluation, but k-winners pass all of their inputs.
        """


# Returns a score for each weight of each layer. Weights with the highest scores are kept.
InitialScores = Callable[[InitialNetwork, Sequence[Tensor]], Sequence[Tensor]]


@dataclass(frozen=True)
class InitialPruning:
    """One pruning of the dense initial network, to the density of the method, over all of its layers together.

    Layers that are left dense are not ranked, and keep all of their weights.
    """

    scores: InitialScores
    n_examples: int = 0  # training examples of the loss; 0 if `scores` does not read it
    # In round r of R, the share of the weights that is left is density ** (r / R). Each round scores the network that
    # the round before has left.
    n_rounds: int = 1
    floor: float | Tensor | None = None  # least density of each layer; None: 0


def leaves(weights: Sequence[Tensor]) -> list[Tensor]:
    """Return copies with respect to which a function can be differentiated."""
    return [weight.detach().clone().requires_grad_() for weight in weights]
