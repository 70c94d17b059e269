"""A trained multilayer perceptron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.export.layer import Layer
from dynsparse.export.modules import build
from dynsparse.export.prune import prune
from dynsparse.nn.functional import EPSILON
from dynsparse.pruning import compress
from dynsparse.studies import Parameters

WITH_WINNERS = (
    "A network to compress must be without k-winners: how many units win depends on the number of units. Leave out the "
    "compression."
)


@dataclass(frozen=True)
class Trained:
    """A trained multilayer perceptron with one tensor per layer, on the CPU, without a trials axis.

    Shapes: weights (out, in), 0 where the mask is False; biases (out,); masks (out, in), bool. The lists duty, gains,
    shifts, means and variances have one tensor (out,) per hidden layer, or are empty if they are not used.

    Example:
        >>> import torch
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import Trained
        >>> config = Config(dataset_name="digits", model="Dense", hidden_sizes=[8])
        >>> weights, biases = [torch.randn(8, 64), torch.randn(10, 8)], [torch.zeros(8), torch.zeros(10)]
        >>> Trained(config, {}, weights, biases, masks=[each.ne(0) for each in weights]).sizes
        [64, 8, 10]
    """

    config: Config
    row: Mapping[str, Any]  # the trial's results for this network, before the changes in `remarks`
    weights: list[Tensor]
    biases: list[Tensor]
    masks: list[Tensor]
    winners: list[int] = field(default_factory=list)  # k of each hidden layer in evaluation; empty: ReLU
    boost: float = 0.0  # boost strength at the last evaluation
    duty: list[Tensor] = field(default_factory=list)
    gains: list[Tensor] = field(default_factory=list)
    shifts: list[Tensor] = field(default_factory=list)
    means: list[Tensor] = field(default_factory=list)
    variances: list[Tensor] = field(default_factory=list)
    remarks: tuple[str, ...] = ()  # differences from the network on which `row` was measured

    @property
    def sizes(self) -> list[int]:
        """The numbers of inputs, units of each hidden layer, and classes."""
        return [self.weights[0].shape[1], *(len(each) for each in self.biases)]

    @property
    def name(self) -> str:
        """The sizes as a text."""
        return "-".join(map(str, self.sizes))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return (self.sizes[0],)

    @property
    def has_winners(self) -> bool:
        """True if rounding may decide which units are active."""
        return bool(self.winners)

    @property
    def description(self) -> dict[str, Any]:
        """What a file says about its tensors."""
        return {"sizes": self.sizes, "winners": self.winners}

    @property
    def facts(self) -> dict[str, str]:
        """What a model card says about the network."""
        activation = f"k-winners (k = {', '.join(map(str, self.winners))})" if self.winners else "ReLU"
        norm = "batch norm, " if self.gains else ""
        return {"network": self.name, "hidden layers": f"linear, {norm}{activation}"}

    def layers(self) -> list[Layer]:
        """Return the layers, from input to output."""
        parts = zip(self.weights, self.biases, self.masks, strict=True)
        return [Layer(f"linear_{number}", *each) for number, each in enumerate(parts)]

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors of the network, by their names in `as_module`.

        Each layer i, from 0, has linear_i.weight (out, in) and linear_i.bias (out,). Hidden layers with batch norm have
        norm_i.weight, .bias, .running_mean and .running_var, and those with k-winners have winners_i.factor, each
        (out,).
        """
        named = {
            "linear_{}.weight": self.weights,
            "linear_{}.bias": self.biases,
            "norm_{}.weight": self.gains,
            "norm_{}.bias": self.shifts,
            "norm_{}.running_mean": self.means,
            "norm_{}.running_var": self.variances,
            "winners_{}.factor": [torch.exp(-self.boost * each) for each in self.duty],
        }
        return {name.format(layer): each for name, layers in named.items() for layer, each in enumerate(layers)}

    def as_module(self) -> nn.Sequential:
        """Return a copy of the network as a torch module in evaluation mode."""
        return build({name: each.clone() for name, each in self.tensors().items()}, self.winners)

    def blank(self) -> None:
        """Return None: a file of this network needs no module to be read."""

    def pruned(self, kind: str, sparsity: float) -> Trained:
        """Return the network after pruning. Raises: ValueError for a compressed network."""
        now = prune(self.config, Parameters(self.weights, self.biases, self.masks), kind, sparsity)
        found = replace(self, **now.parameters._asdict())
        if now.kept_units is None:
            return found
        # The last layer has no norm.
        gains, shifts = (
            [torch.where(kept, each, 0) for kept, each in zip(now.kept_units, layers, strict=False)]
            for layers in (self.gains, self.shifts)
        )
        return replace(found, gains=gains, shifts=shifts)

    def compressed(self) -> Trained:
        """Return the network without hidden units that do not change the outputs; see `dynsparse.pruning.compress`.

        Batch norm, which in evaluation is a factor and a shift for each unit, becomes part of weights and biases.

        Raises: ValueError for a network with k-winners.
        """
        if self.winners:
            raise ValueError(WITH_WINNERS)
        weights, biases = compress(*self._without_norms())
        n_before, n_after = (sum(len(each) for each in layers[:-1]) for layers in (self.biases, biases))
        remark = f"After training it was compressed: {n_after} of {n_before} hidden units are left."
        masks = [each.ne(0) for each in weights]
        found = replace(self, weights=weights, biases=biases, masks=masks, remarks=(*self.remarks, remark))
        return replace(found, gains=[], shifts=[], means=[], variances=[])

    def _without_norms(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return weights and biases that contain the norms."""
        weights, biases = list(self.weights), list(self.biases)
        for layer, norm in enumerate(zip(self.gains, self.shifts, self.means, self.variances, strict=True)):
            gain, shift, mean, variance = (each.double() for each in norm)
            factor = gain / (variance + EPSILON).sqrt()
            weights[layer] = (weights[layer] * factor[:, None]).float()
            biases[layer] = ((biases[layer] - mean) * factor + shift).float()
        return weights, biases
