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

    weights: list[Tensor]  #: (..., out, in)
    biases: list[Tensor]  #: (..., out)
    masks: list[Tensor]  #: (..., out, in), bool
    bias_masks: list[Tensor]  #: (..., out), bool


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
    """Set exactly int(sparsity * n) of the n weights of each layer to 0: those of smallest magnitude.

    The same share of the biases becomes 0 too, ranked apart from the weights. The count is rounded down, not to the
    nearest number. Weights that are 0 already count as pruned. Among equal magnitudes the noise decides; NaN is pruned
    first.

    Args:
        weights: (..., out, in) for each layer.
        biases: (..., out) for each layer.
        sparsity: A number or (...), in [0, 1]; 0 changes nothing, 1 leaves nothing.
        noise: Int32 and shaped like the weights, from `dynsparse.random.noise`.
        biases_too: Prune biases as well.
        last_layer: Prune the layer before the softmax as well, including its biases.
        scope: "layer"; or "global", which ranks the weights of all pruned layers together. A layer may then lose all
            of its weights.

    Raises:
        ValueError: For a sparsity outside [0, 1], an unknown scope, or lists that do not match.

    Example:
        >>> import torch
        >>> from dynsparse.pruning import prune_weights
        >>> weights = [torch.tensor([[0.5, -0.1], [2.0, -3.0]]), torch.tensor([[0.2, 0.3]])]
        >>> biases = [torch.tensor([0.4, 0.6]), torch.tensor([0.1])]
        >>> noise = [torch.zeros(each.shape, dtype=torch.int32) for each in weights]
        >>> pruned = prune_weights(weights, biases, 0.5, noise)
        >>> pruned.weights[0].tolist()
        [[0.0, 0.0], [2.0, -3.0]]
        >>> pruned.bias_masks[0].tolist()
        [False, True]

    Reference:
        Song Han, Jeff Pool, John Tran and William Dally, Learning both Weights and Connections for Efficient Neural
        Networks, 2015, https://arxiv.org/abs/1506.02626 (it sets one threshold per layer and retrains)
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
