"""Densities of layers from one overall density."""

from collections.abc import Sequence


def uniform(shapes: Sequence[tuple[int, int]], density: float) -> list[float]:
    """Return the same density for every layer."""
    return [density] * len(shapes)


def erdos_renyi(shapes: Sequence[tuple[int, int]], density: float) -> list[float]:
    """Return densities proportional to (n_in + n_out) / (n_in * n_out), with the same total number of weights.

    A layer whose density would exceed 1 is dense, and its excess goes to the others. Small layers become denser than
    large ones.

    Args:
        shapes: (out, in) of each layer.
        density: of all layers together, in (0, 1].

    Reference: Mocanu et al., Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity
    Inspired by Network Science, 2018, https://arxiv.org/abs/1707.04780; the overflow rule: Evci et al. 2020.
    """
    sizes = [n_out * n_in for n_out, n_in in shapes]
    ratios = [(n_out + n_in) / (n_out * n_in) for n_out, n_in in shapes]
    dense: set[int] = set()
    while len(dense) < len(shapes):
        rest = [layer for layer in range(len(shapes)) if layer not in dense]
        wanted = density * sum(sizes) - sum(sizes[layer] for layer in dense)
        scale = wanted / sum(ratios[layer] * sizes[layer] for layer in rest)
        full = {layer for layer in rest if scale * ratios[layer] > 1}
        if not full:
            return [1.0 if layer in dense else scale * ratios[layer] for layer in range(len(shapes))]
        dense |= full
    return [1.0] * len(shapes)


SPREADS = {"uniform": uniform, "erdos_renyi": erdos_renyi}
