"""The parameters of a torch module that are trained: weights of sparse layers, their biases, and all others."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dynsparse.nn.module_layers import Layer, ModuleLayer


def biases_of(layers: Sequence[Layer]) -> list[Tensor]:
    """Return the biases of those layers that have one to train."""
    return [bias for bias in (layer.bias for layer in layers) if bias is not None and bias.requires_grad]


def other_parameters(module: nn.Module, layers: Sequence[nn.Module]) -> list[nn.Parameter]:
    """Return the parameters that are trained but do not belong to the sparse layers."""
    masked = {id(parameter) for layer in layers for parameter in layer.parameters()}
    return [each for each in module.parameters() if each.requires_grad and id(each) not in masked]


def places_of_units(module: nn.Module, layers: Sequence[ModuleLayer], trained: Sequence[Tensor]) -> dict[int, int]:
    """Return the places of biases, gains and shifts that belong to units, each with the index of the units' layer.

    Args:
        module: The module.
        layers: Its sparse layers.
        trained: The parameters whose places are wanted.
    """
    place_of = {id(each): place for place, each in enumerate(trained)}
    parts = [
        (index, each)
        for index, layer in enumerate(layers)
        for each in (
            module.get_submodule(layer.name).bias,
            *(each for name in layer.norms for each in module.get_submodule(name).parameters()),
        )
    ]
    return {place_of[id(each)]: index for index, each in parts if id(each) in place_of}
