"""Weight pruning after training: the weights of smallest magnitude become 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dynsparse.pruning.ranking import read_scope, unit_noise
from dynsparse.pruning.validation import read_network


class PrunedWeights(NamedTuple):
    """A network after weight pruning, one tensor per layer. Masks are True where a weight or bias is kept."""

    weights: list[Tensor]  # (..., out, in)
    biases: list[Tensor]  # (..., out)
    masks: list[Tensor]  # (..., out, in), bool
    bias_masks: list[Tensor]  # (..., out), bool


def prune_weights(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    sparsity: float | Tensor,
    noise: Sequence[Tensor],
    *,
    biases_too: bool = True,
    last_layer: bool = False,
    scope: str = "layer",
) -> PrunedWeights:
    """The network with exactly int(sparsity * n) of the n weights of each layer, the smallest in magnitude, at 0.

    As in the blog, that many of the biases become 0 too, ranked apart from the weights; and it is int(), not the
    nearest number (see `smallest.rounded_down`). Weights that are 0 already are the smallest, and count. Among equal
    magnitudes the noise decides; NaN goes before all numbers.

    Shapes: weights, noise (..., out, in); biases (..., out); sparsity a number or (...).

    Args:
        sparsity: in [0, 1]; 0 changes nothing, 1 leaves nothing.
        noise: int32, from dynsparse.random.noise.
        biases_too: whether biases are pruned as well.
        last_layer: whether the layer before the softmax is pruned as well, its biases included.
        scope: "layer"; or "global", where n counts the weights of all layers that may be pruned, and their smallest
            go wherever they are. A layer may then lose all of its weights.

    Raises: ValueError for a sparsity outside [0, 1], another scope, or lists that do not fit each other.

    Reference: Song Han, Jeff Pool, John Tran and William Dally, Learning both Weights and Connections for Efficient
    Neural Networks, 2015, https://arxiv.org/abs/1506.02626 (which sets one threshold per layer and retrains)
    """
    smallest = read_scope(scope)
    weights, biases, fraction = read_network(weights, biases, sparsity, noise)

    n_pruned = len(weights) if last_layer else len(weights) - 1
    kept = [torch.ones_like(each, dtype=torch.bool) for each in weights]
    kept[:n_pruned] = [~each for each in smallest([w.abs() for w in weights[:n_pruned]], fraction, noise[:n_pruned])]
    biases_kept = [torch.ones_like(each, dtype=torch.bool) for each in biases]
    if biases_too:
        magnitudes = [each.abs().unsqueeze(-2) for each in biases[:n_pruned]]
        chosen = smallest(magnitudes, fraction, [unit_noise(each) for each in noise[:n_pruned]])
        biases_kept[:n_pruned] = [~each.squeeze(-2) for each in chosen]
    return PrunedWeights(
        [torch.where(mask, each, 0) for mask, each in zip(kept, weights, strict=True)],
        [torch.where(mask, each, 0) for mask, each in zip(biases_kept, biases, strict=True)],
        kept,
        biases_kept,
    )
