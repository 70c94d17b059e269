"""Compression of torch modules: remove filters and units that do not change the outputs."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Norms of each channel by itself. Others mix channels, so that a channel of 0 counts, too.
CHANNEL_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip
EXAMPLES = 16
# Allowed difference of two outputs, as a share of the largest output. Rounding causes about 1e-6.
TOLERANCE = 1e-4


def compress_module(module: nn.Module, input_shape: tuple[int, ...]) -> nn.Module:
    """Remove filters and units that do not change the outputs, and return a smaller dense copy in evaluation mode.

    Two kinds are removed, until none is left:

    - Channels that are 0: in all layers that add up to it, its weights and bias are 0, and in all batch norms behind
      them its gain and shift. So a channel of a residual sum is removed only if no block adds to it.
    - Channels that no layer reads: all weights that read them are 0.

    Each layer keeps at least one unit. Layers with groups, and channels that a layer norm or a group norm reads, stay.
    Torch-Pruning finds the layers that belong together. The outputs of both networks are compared on random inputs.

    Args:
        module: The network.
        input_shape: The shape of an example.

    Raises:
        ImportError: If the package torch-pruning is not installed.
        ValueError: If it cannot follow the network's operations, or if the outputs would change.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from dynsparse.pruning import compress_module
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> with torch.no_grad():
        ...     net[0].weight[1], net[0].bias[1] = 0, 0
        >>> compress_module(net, (4,))[0]
        Linear(in_features=4, out_features=2, bias=True)

    Reference:
        Gongfan Fang, Xinyin Ma, Mingli Song, Michael Bi Mi and Xinchao Wang, DepGraph: Towards Any Structural Pruning,
        2023, https://arxiv.org/abs/2301.12900
    """
    torch_pruning = _torch_pruning()
    smaller = copy.deepcopy(module).eval()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(EXAMPLES, *input_shape, generator=generator)
    trained = {name: each.requires_grad for name, each in smaller.named_parameters()}
    # Torch-Pruning follows the graph of gradients.
    smaller.requires_grad_(True)
    try:
        while _remove_channels_(torch_pruning, smaller, x):
            pass
        outputs = _outputs(smaller, x)
    except Exception as error:
        # The network is the user's own, and its operations may be any.
        raise ValueError(
            "The network cannot be compressed: torch-pruning does not support one of its operations, or one depends on "
            f"the number of channels ({type(error).__name__}: {error}). Leave out the compression."
        ) from error
    for name, each in smaller.named_parameters():
        each.requires_grad_(trained[name])
        each.grad = None
    _check_equal(_outputs(copy.deepcopy(module).eval(), x), outputs)
    return smaller


def _torch_pruning() -> Any:
    # Imported here, because it is an optional package.
    try:
        import torch_pruning
    except ImportError as error:
        raise ImportError(
            f'The package torch-pruning cannot be imported ({error}). Install it: pip install "dynsparse[compress]".'
        ) from error
    return torch_pruning


@torch.no_grad()
def _outputs(module: nn.Module, x: Tensor) -> Tensor:
    outputs: Tensor = module(x)
    return outputs


def _check_equal(before: Tensor, after: Tensor) -> None:
    difference = torch.tensor(torch.nan) if after.shape != before.shape else (after - before).abs().max()
    scale = before.abs().max().clamp_min(torch.finfo(before.dtype).tiny)
    if not bool(difference <= TOLERANCE * scale):
        raise ValueError(
            f"The network cannot be compressed: without the channels that seem to have no effect, its outputs differ "
            f"by {float(difference / scale):.2g} of the largest output, and at most {TOLERANCE:g} is rounding. Some of "
            "its operations change channels that are 0, or depend on their number. Leave out the compression."
        )


def _remove_channels_(torch_pruning: Any, module: nn.Module, x: Tensor) -> bool:
    """Remove the channels of each layer that have no effect. Return True if there were any."""
    graph = torch_pruning.DependencyGraph().build_dependency(module, example_inputs=x[:2], verbose=False)
    found = False
    for layer in [each for each in module.modules() if isinstance(each, LAYERS) and each in graph.module2node]:
        is_linear = isinstance(layer, nn.Linear)
        remove = torch_pruning.prune_linear_out_channels if is_linear else torch_pruning.prune_conv_out_channels
        n_channels = len(layer.weight)
        group = graph.get_pruning_group(layer, remove, list(range(n_channels)))
        channels = _without_effect(torch_pruning, group, n_channels).nonzero()[:, 0].tolist()
        # A layer without any unit is not supported by all operations.
        channels = channels[1:] if len(channels) == n_channels else channels
        if channels:
            graph.get_pruning_group(layer, remove, channels).prune()
            found = True
    return found


def _without_effect(torch_pruning: Any, group: Any, n_channels: int) -> Tensor:
    """Return which channels of a layer have no effect. Shapes: (channels,), bool.

    Args:
        torch_pruning: The package.
        group: All parts of the network that lose channels if the layer does.
        n_channels: Number of the layer's channels.
    """
    kinds = torch_pruning.ops.OPTYPE
    without_data = (
        kinds.ELEMENTWISE, kinds.RESHAPE, kinds.CONCAT, kinds.SPLIT, kinds.SLICE, kinds.UNBIND, kinds.EXPAND,
        kinds.PRELU,
    )  # fmt: skip
    readers = (torch_pruning.prune_linear_in_channels, torch_pruning.prune_conv_in_channels)
    # 0 in all layers and norms that write it; not read by any layer; and with a counterpart in each of these.
    is_zero, is_unread, is_free = (torch.ones(n_channels, dtype=torch.bool) for _ in range(3))
    n_readers = 0
    for item in group.items:
        part, kind = item.dep.target.module, item.dep.target.type
        if kind in without_data:
            continue
        if None in item.root_idxs or not isinstance(part, (*LAYERS, *CHANNEL_NORMS)) or getattr(part, "groups", 1) > 1:
            return torch.zeros_like(is_free)
        of_layer, own = torch.tensor(item.root_idxs), torch.tensor(item.idxs)
        is_reader = item.dep.handler in readers
        zero = _zero_inputs(part) if is_reader else _zero_outputs(part)
        # Zero padding of channels, as in some shortcuts: not all channels exist on its other side.
        exists = own < len(zero)
        is_free[of_layer[~exists]] = False
        chosen = is_unread if is_reader else is_zero
        chosen[of_layer[exists][~zero[own[exists]]]] = False
        n_readers += is_reader
    # Without readers the layer is the last one.
    return (is_zero | is_unread) & is_free if n_readers else torch.zeros_like(is_free)


def _zero_outputs(part: Any) -> Tensor:
    """Return which channels a layer sets to 0, or a norm if its inputs are 0. Shapes: (channels,), bool."""
    tensors = [each.detach() for each in part.parameters(recurse=False)]
    zeros = [each.flatten(1).eq(0).all(1) if each.ndim > 1 else each.eq(0) for each in tensors]
    # A norm without gain and shift moves 0 to another value.
    return torch.stack(zeros).all(0) if zeros else torch.zeros(part.num_features, dtype=torch.bool)


def _zero_inputs(part: Any) -> Tensor:
    """Return which inputs a layer does not read. Shapes: (inputs,), bool."""
    weight: Tensor = part.weight.detach()
    return weight.movedim(1, 0).flatten(1).eq(0).all(1)
