"""Compression of pruned networks: remove units that do not change the outputs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dynsparse.pruning.validation import check_biases, check_chain, check_single_network


def compress(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Remove hidden units that do not change the outputs, and return a smaller dense network.

    Two kinds of hidden units are removed:

    - Units without incoming weights. Such a unit gives relu(bias) for every example, which is added to the biases of
      the next layer. Units that read only such units are removed too.
    - Units whose outgoing weights are all 0. Units that are read only by such units are removed too.

    Inputs and outputs stay. If a hidden layer loses all of its units, all hidden layers become empty: the outputs are
    then the last biases for every example. The outputs of the smaller network are the same to rounding.

    Use it for ReLU only. With k-winners a constant unit competes with others, and with batch norm a unit without
    incoming weights gives the norm's shift.

    Args:
        weights: (out, in) for each layer, without a trials axis: each network gets its own sizes.
        biases: (out,) for each layer.

    Returns:
        The weights and biases of the smaller network.

    Raises:
        ValueError: If there is a trials axis, or the lists do not match.

    Example:
        >>> import torch
        >>> from dynsparse.pruning import compress
        >>> weights = [torch.tensor([[0.0, 0.0], [2.0, -3.0]]), torch.tensor([[0.5, 1.0]])]
        >>> smaller, biases = compress(weights, [torch.tensor([4.0, 0.0]), torch.tensor([1.0])])
        >>> [each.tolist() for each in smaller]
        [[[2.0, -3.0]], [[1.0]]]
        >>> [each.tolist() for each in biases]
        [[0.0], [3.0]]
    """
    check_single_network(weights)
    check_biases(weights, biases)
    check_chain(weights)
    smaller, shifts = [each.detach().clone() for each in weights], [each.detach().clone() for each in biases]
    # Forward, because removals leave units without inputs; then backward, because they leave units without readers.
    for layer in range(len(smaller) - 1):
        reads = smaller[layer].ne(0).any(1)
        constant = shifts[layer][~reads].relu().double()
        shift = smaller[layer + 1][:, ~reads].double() @ constant
        shifts[layer + 1] = (shifts[layer + 1].double() + shift).to(shifts[layer + 1].dtype)
        _keep(smaller, shifts, layer, reads)
    for layer in reversed(range(len(smaller) - 1)):
        _keep(smaller, shifts, layer, smaller[layer + 1].ne(0).any(0))
    return smaller, shifts


def _keep(weights: list[Tensor], biases: list[Tensor], layer: int, units: Tensor) -> None:
    """Keep only some units of a layer: their rows, and the columns of the next layer."""
    weights[layer], biases[layer] = weights[layer][units], biases[layer][units]
    weights[layer + 1] = weights[layer + 1][:, units]
