"""The norms behind a layer: whether a unit of the layer can be pruned, so that its output is 0 behind them, too."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor, nn
from torch.autograd.graph import Node

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
NORMS = (*BATCH_NORMS, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d)


def pruning_problem(
    layer: nn.Module, name: str, norms: Collection[tuple[str, nn.Module]], indirect: Sequence[str], output: Tensor
) -> str:
    """Return why a unit of a layer cannot be pruned, or an empty text.

    A pruned unit has weights and a bias of 0. Its output is 0 behind a norm only if its gain and shift are 0, too.

    Args:
        layer: The layer.
        name: Its name.
        norms: The norms that directly follow it, by name.
        indirect: The names of batch norms that read it, but do not directly follow it.
        output: Its output for some examples.
    """
    if indirect:
        return f"the batch norm {indirect[0]!r} reads layer {name!r}, but does not directly follow it"
    bias = layer.bias
    if not norms and isinstance(bias, Tensor) and not bias.requires_grad:
        return f"layer {name!r} has a bias that is not trained"
    for name_of_norm, norm in norms:
        trained = [each for each in norm.parameters() if each.requires_grad]
        if not trained or len(trained) != len(list(norm.parameters())):
            return f"the norm {name_of_norm!r} behind layer {name!r} has no gain and shift that are trained"
        if any(not _is_per_unit(layer, norm, each, output) for each in trained):
            return f"the norm {name_of_norm!r} behind layer {name!r} has no gain for each unit"
    return ""


def _is_per_unit(layer: nn.Module, norm: nn.Module, gain: Tensor, output: Tensor) -> bool:
    """Return True if the first dimension of a gain is that of the units."""
    if isinstance(layer, nn.Linear) and not isinstance(norm, nn.LayerNorm) and output.ndim > 2:
        # Other norms take the second axis as channels; the units are the last one.
        return False
    n_dims = 1
    if isinstance(norm, nn.LayerNorm) and isinstance(layer, nn.Conv1d | nn.Conv2d):
        # Its gain has the shape of an example, (units, *positions).
        n_dims += len(layer.kernel_size)
    return gain.ndim == n_dims and len(gain) == len(layer.weight)  # type: ignore[arg-type]


def sources(node: Node | None, outputs: dict[Node, str]) -> set[str]:
    """Return the names of the calls whose outputs reach a node of the graph of gradients first.

    Args:
        node: Where to start, going back.
        outputs: The node of the output of each call, with its name.
    """
    found, seen, waiting = set(), set(), [node]
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        seen.add(each)
        if each in outputs:
            found.add(outputs[each])
        else:
            waiting += [before for before, _ in each.next_functions]
    return found
