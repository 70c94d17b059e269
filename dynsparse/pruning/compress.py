"""A pruned network made smaller: units that do nothing are taken away."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dynsparse.pruning.validation import check_biases, check_chain, check_weights


def compress(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of a smaller dense network with the same outputs, to rounding.

    Taken away are the hidden units

    - without incoming weights. Such a unit gives relu(bias) for every example: nothing, where pruning has set the bias
      to 0 too; else a constant, which is added to the biases of the next layer. Units that read only such units
      follow;
    - whose outgoing weights are all 0: nobody reads them. Units that are read only by such units follow.

    The inputs all stay, used or not, and so do the outputs. A hidden layer that loses all of its units keeps its place
    with none, and so do all other hidden layers then: the outputs are the last biases, for every example.

    Only for ReLU. Under k-winners a unit that gives a constant competes with others; under batch norm a unit without
    incoming weights gives what the norm's own shift says.

    Shapes: weights (out, in), biases (out,), of one network without a trials axis, because each network has another
    size afterwards.

    Raises: ValueError where there is a trials axis, or the lists do not fit each other.
    """
    check_weights("weights", weights, n_leading=0)
    check_biases(weights, biases)
    check_chain(weights)
    smaller, shifts = [each.detach().clone() for each in weights], [each.detach().clone() for each in biases]
    # Forwards, because a unit may lose all that it reads; then backwards, because one may lose all that read it.
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
    """Leave only some units of a layer in the lists: their rows, and what the next layer reads of them."""
    weights[layer], biases[layer] = weights[layer][units], biases[layer][units]
    weights[layer + 1] = weights[layer + 1][:, units]
