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

    weights: list[Tensor]  # (..., out, in)
    biases: list[Tensor]  # (..., out)
    kept: list[Tensor]  # (..., out), bool: which units are kept


def prune_units(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    sparsity: float | Tensor,
    noise: Sequence[Tensor],
    *,
    scope: str = "layer",
) -> PrunedUnits:
    """The network with exactly int(sparsity * n) of the n units of each hidden layer at 0, bias included.

    Those go whose incoming weights have the smallest L2 norm, the bias not counted; among equal norms the noise
    decides. The last layer is spared: its units are the classes. The weights that read a pruned unit stay as they
    are, and read 0; `compress` takes them away.

    Shapes: weights, noise (..., out, in); biases (..., out); sparsity a number or (...).

    Args:
        sparsity: of the units, in [0, 1]; 0 changes nothing, 1 leaves a constant network.
        noise: int32, from dynsparse.random.noise.
        scope: "layer"; or "global", where n counts the units of all hidden layers, and those of smallest norm go
            wherever they are. Norms are compared as they are, whatever the number of inputs; a layer may lose all of
            its units.

    Raises: ValueError for a sparsity outside [0, 1], another scope, or lists that do not fit each other.

    Reference: Hao Li, Asim Kadav, Igor Durdanovic, Hanan Samet and Hans Peter Graf, Pruning Filters for Efficient
    ConvNets, 2016, https://arxiv.org/abs/1608.08710 (which ranks filters by their L1 norm, and found L2 much alike)
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
