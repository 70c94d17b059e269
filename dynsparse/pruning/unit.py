"""Unit pruning after training: units with small incoming weights become 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dynsparse.pruning.ranking import read_scope, unit_noise
from dynsparse.pruning.validation import read_network


class PrunedUnits(NamedTuple):
    """A network after unit pruning, one tensor per layer."""

    weights: list[Tensor]  #: (..., out, in)
    biases: list[Tensor]  #: (..., out)
    kept: list[Tensor]  #: (..., out), bool, True for units that are kept


def prune_units(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    sparsity: float | Tensor,
    noise: Sequence[Tensor],
    *,
    scope: str = "layer",
) -> PrunedUnits:
    """Set exactly int(sparsity * n) of the n units of each hidden layer to 0, including their biases.

    Pruned are the units whose incoming weights have the smallest L2 norm; biases do not count. Among equal norms the
    noise decides. The last layer is not pruned: its units are the classes. Weights that read a pruned unit keep their
    values; `compress` removes them.

    Args:
        weights: (..., out, in) for each layer.
        biases: (..., out) for each layer.
        sparsity: A number or (...), share of the units in [0, 1]; 0 changes nothing, 1 leaves a constant network.
        noise: Int32 and shaped like the weights, from `dynsparse.random.noise`.
        scope: "layer"; or "global", which ranks the units of all hidden layers together. Norms are not scaled by the
            number of inputs, and a layer may lose all of its units.

    Raises:
        ValueError: For a sparsity outside [0, 1], an unknown scope, or lists that do not match.

    Example:
        >>> import torch
        >>> from dynsparse.pruning import prune_units
        >>> weights = [torch.tensor([[0.5, -0.1], [2.0, -3.0]]), torch.tensor([[0.2, 0.3]])]
        >>> biases = [torch.tensor([0.4, 0.6]), torch.tensor([0.1])]
        >>> noise = [torch.zeros(each.shape, dtype=torch.int32) for each in weights]
        >>> pruned = prune_units(weights, biases, 0.5, noise)
        >>> pruned.weights[0].tolist()
        [[0.0, 0.0], [2.0, -3.0]]
        >>> pruned.kept[0].tolist()
        [False, True]

    Reference:
        Hao Li, Asim Kadav, Igor Durdanovic, Hanan Samet and Hans Peter Graf, Pruning Filters for Efficient ConvNets,
        2016, https://arxiv.org/abs/1608.08710 (it ranks filters by their L1 norm, and finds L2 similar)
    """
    smallest = read_scope(scope)
    weights, biases, fraction = read_network(weights, biases, sparsity, noise)

    # In float64: in float32 the order of the additions, which the size of a stack may change, could decide.
    norms = [torch.linalg.vector_norm(each, dim=-1, dtype=torch.float64).unsqueeze(-2) for each in weights[:-1]]
    chosen = smallest(norms, fraction, [unit_noise(each) for each in noise[:-1]])
    kept = [~each.squeeze(-2) for each in chosen] + [torch.ones_like(biases[-1], dtype=torch.bool)]
    return PrunedUnits(
        [torch.where(units[..., None], each, 0) for units, each in zip(kept, weights, strict=True)],
        [torch.where(units, each, 0) for units, each in zip(kept, biases, strict=True)],
        kept,
    )
