"""Reading the tensors of a file into a torch module, whose layers become smaller if those of the file are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# For each kind of layer that `compress_module` makes smaller, the attributes that say its size, with the dimensions of
# its weight.
SIZES: dict[type[nn.Module], dict[str, int]] = {
    nn.Linear: {"out_features": 0, "in_features": 1},
    nn.Conv1d: {"out_channels": 0, "in_channels": 1},
    nn.Conv2d: {"out_channels": 0, "in_channels": 1},
    nn.Conv3d: {"out_channels": 0, "in_channels": 1},
    nn.BatchNorm1d: {"num_features": 0},
    nn.BatchNorm2d: {"num_features": 0},
    nn.BatchNorm3d: {"num_features": 0},
    nn.InstanceNorm1d: {"num_features": 0},
    nn.InstanceNorm2d: {"num_features": 0},
    nn.InstanceNorm3d: {"num_features": 0},
    nn.PReLU: {"num_parameters": 0},
}


@torch.no_grad()
def fill_(module: nn.Module, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Set the parameters and buffers of a module, in place.

    Args:
        module: The module.
        tensors: By the names of its `state_dict`; sparse weights are matrices, with a row for each filter.
        shapes: Of the tensors in the module.

    Raises:
        ValueError: If names or types differ, or a shape that cannot become smaller.
    """
    own = module.state_dict(keep_vars=True)
    if own.keys() != tensors.keys():
        different = sorted(own.keys() ^ tensors.keys())[0]
        where = "the file" if different in tensors else "the module"
        raise ValueError(f"The module must have the same tensors as the file, got {different!r} only in {where}.")
    for name, shape in shapes.items():
        tensor, now = tensors[name], own[name]
        if tensor.dtype != now.dtype or not _fits(module.get_submodule(name.rpartition(".")[0]), now, shape):
            raise ValueError(
                f"{name} of the module must be {tensor.dtype} of shape {tuple(shape)} as in the file, got {now.dtype} "
                f"of shape {tuple(now.shape)}. Build the module that was exported."
            )
    for name, tensor in tensors.items():
        _set_(module, name, tensor.to_dense().reshape(shapes[name]))


def _fits(owner: nn.Module, tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """Return True if a tensor has a shape, or can become as small: with fewer units and inputs, but the same kernel."""
    if tensor.shape == shape:
        return True
    if type(owner) not in SIZES or getattr(owner, "groups", 1) > 1 or len(shape) != tensor.ndim:
        return False
    return shape[2:] == tensor.shape[2:] and all(map(int.__le__, shape[:2], tensor.shape[:2]))


def _set_(module: nn.Module, name: str, values: Tensor) -> None:
    owner_name, _, leaf = name.rpartition(".")
    owner = module.get_submodule(owner_name)
    now = getattr(owner, leaf)
    if now.shape == values.shape:
        now.copy_(values)
        return
    values = values.clone()
    setattr(owner, leaf, nn.Parameter(values, now.requires_grad) if isinstance(now, nn.Parameter) else values)
    if leaf == "weight":
        for attribute, dimension in SIZES[type(owner)].items():
            setattr(owner, attribute, values.shape[dimension])
