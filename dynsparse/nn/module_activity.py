"""The activity of the units of a torch module: which are active, and coactivation of the ends of each connection."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv1d_weight, conv2d_weight

from dynsparse.nn.module_layers import Layer, ModuleLayer, first_input


@contextmanager
def observed(
    module: nn.Module, layers: Sequence[ModuleLayer], record: Callable[[int, Tensor, Tensor], None]
) -> Iterator[None]:
    """Call `record(index, inputs, outputs)` for each call of a layer within the context; both are True where positive.

    The outputs are those of the norm and k-winners that directly follow the layer, if there are any.
    """
    # A layer may be called several times before what follows it, which then reads its outputs in the same order.
    inputs: dict[int, deque[Tensor]] = defaultdict(deque)

    def keep_input(index: int, _: nn.Module, args: Any, kwargs: Any, __: Tensor) -> None:
        inputs[index].append(first_input(args, kwargs).detach() > 0)

    def pass_on(index: int, _: nn.Module, __: Any, output: Tensor) -> None:
        # Compared at once, because an activation function may change the outputs in place.
        record(index, inputs[index].popleft(), output.detach() > 0)

    handles = []
    for index, layer in enumerate(layers):
        owner, activity = module.get_submodule(layer.name), module.get_submodule(layer.activity)
        handles.append(owner.register_forward_hook(partial(keep_input, index), with_kwargs=True))
        handles.append(activity.register_forward_hook(partial(pass_on, index)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def active_units(layer: Layer, outputs: Tensor) -> Tensor:
    """Return which units are active for any example at any position. Shapes: (..., units, ...) to (units,), bool."""
    units = outputs.ndim - 1 if isinstance(layer, nn.Linear) else 1
    return outputs.any(dim=tuple(axis for axis in range(outputs.ndim) if axis != units))


def count_coactivation(layer: Layer, inputs: Tensor, outputs: Tensor) -> Tensor:
    """Count, for each weight, the examples and positions at which both of its ends are active.

    For a linear layer it is the product of the two matrices. For a convolution it is the gradient of its weights for
    active inputs and, in place of the gradient of its outputs, active outputs: at each position of the output, a weight
    connects one position of the input with one filter.

    Shapes: inputs and outputs as the layer has them, bool; the result (out, in), float32.
    """
    x, y = inputs.float(), outputs.float()
    if isinstance(layer, nn.Linear):
        return y.flatten(0, -2).mT @ x.flatten(0, -2)
    padded, rest = _padded(layer, x), (layer.stride, 0, layer.dilation, layer.groups)
    if isinstance(layer, nn.Conv1d):
        counts: Tensor = conv1d_weight(padded, layer.weight.shape, y, *rest)
    else:
        counts = conv2d_weight(padded, layer.weight.shape, y, *rest)
    return counts.flatten(1)


def _padded(layer: nn.Conv1d | nn.Conv2d, x: Tensor) -> Tensor:
    """Return the input of a convolution with the padding that the layer adds."""
    if layer.padding == "valid":
        return x
    if isinstance(layer.padding, str):
        totals = [dilation * (size - 1) for dilation, size in zip(layer.dilation, layer.kernel_size, strict=True)]
        sides = [(total // 2, total - total // 2) for total in totals]
    else:
        sides = [(size, size) for size in layer.padding]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return F.pad(x, [*chain.from_iterable(reversed(sides))], mode)
