"""A trained network that is a torch module."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.config.functions import without_folder
from dynsparse.export.layer import Layer
from dynsparse.export.prune import prune
from dynsparse.export.trained_mlp import WITH_WINNERS
from dynsparse.nn.kwinners import KWinners
from dynsparse.nn.module_layers import ModuleLayer, sparse_layers
from dynsparse.pruning import compress_module
from dynsparse.studies import Parameters


@dataclass(frozen=True)
class TrainedModule:
    """A trained torch module, on the CPU and in evaluation mode. `load_network` returns it.

    A filter is a unit, with one row of weights.

    Example:
        >>> import torch
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import TrainedModule, new_module
        >>> from dynsparse.planning.plan import plan
        >>> config = Config(dataset_name="MNIST", network="LeNet5", model="Dense")
        >>> layers = plan([config]).network.layers
        >>> settings = {"input_shape": (1, 28, 28), "num_classes": 10}
        >>> masks = [torch.ones(layer.weight_shape, dtype=torch.bool).flatten(1) for layer in layers]
        >>> trained = TrainedModule(config, {}, new_module("LeNet5", **settings), masks, layers, settings)
        >>> [layer.name for layer in trained.layers()]
        ['conv1', 'conv2', 'fc1', 'fc2', 'fc3']
    """

    config: Config
    row: Mapping[str, Any]  # the trial's results for this network, before the changes in `remarks`
    network: nn.Module  # its weights are 0 where the mask is False
    masks: list[Tensor]  # (out, in) for each layer with a mask, bool
    about_layers: Sequence[ModuleLayer]  # of the trial's network
    settings: Mapping[str, Any]  # what the network's function reads of the trial, and the shape of an example
    remarks: tuple[str, ...] = ()  # differences from the network on which `row` was measured

    @property
    def name(self) -> str:
        """The network's name in the table, or its file and function."""
        return without_folder(self.config.network)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        shape: tuple[int, ...] = self.settings["input_shape"]
        return shape

    @property
    def has_winners(self) -> bool:
        """True if rounding may decide which units are active."""
        return any(isinstance(each, KWinners) for each in self.network.modules())

    @property
    def description(self) -> dict[str, Any]:
        """What a file says about its tensors."""
        return {
            "network": self.name,
            "input_shape": list(self.input_shape),
            "shapes": {name: list(each.shape) for name, each in self.tensors().items()},
        }

    @property
    def facts(self) -> dict[str, str]:
        """What a model card says about the network."""
        of_layers = sum(each.weight.numel() + (0 if each.bias is None else len(each.bias)) for each in self.layers())
        others = sum(each.numel() for each in self.network.parameters()) - of_layers
        return {
            "network": f"{self.name}, a torch module",
            "input": " x ".join(map(str, self.input_shape)),
            "other parameters": f"{others}, all dense",
        }

    def layers(self) -> list[Layer]:
        """Return the layers with masks, in the order of the forward pass."""
        found = sparse_layers(self.network)
        return [
            Layer(about.name, _matrix(found[about.name]), _bias(found[about.name]), mask, about.positions)
            for about, mask in zip(self.about_layers, self.masks, strict=True)
        ]

    def tensors(self) -> dict[str, Tensor]:
        """Return the parameters and buffers of the module, by their names in its `state_dict`."""
        return {name: each.detach() for name, each in self.network.state_dict().items()}

    def as_module(self) -> nn.Module:
        """Return a copy of the network."""
        return copy.deepcopy(self.network)

    def blank(self) -> nn.Module:
        """Return a module of this form whose tensors are 0, into which a file of this network can be read."""
        module = self.as_module()
        for each in module.state_dict().values():
            each.zero_()
        return module

    def pruned(self, kind: str, sparsity: float) -> TrainedModule:
        """Return the network after pruning.

        Raises: ValueError for a compressed network, or for units whose output would not be 0.
        """
        problems = [each.pruning_problem for each in self.about_layers[:-1] if each.pruning_problem]
        if kind == "unit" and problems:
            raise ValueError(f"kind must be 'weight' for network={self.name!r}, got 'unit': {problems[0]}.")
        layers = self.layers()
        # As in training, a bias that is missing or frozen is 0.
        biases = [torch.zeros(len(each.weight)) if each.bias is None else each.bias for each in layers]
        now = prune(self.config, Parameters([each.weight for each in layers], biases, self.masks), kind, sparsity)
        found = replace(self, network=self.as_module(), masks=now.parameters.masks)
        parts = zip(found.layers(), now.parameters.weights, now.parameters.biases, strict=True)
        for layer, weight, bias in parts:
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.copy_(bias)
        for about, kept in zip(self.about_layers, now.kept_units or [], strict=False):
            for norm in about.norms:
                for each in found.network.get_submodule(norm).parameters():
                    each.detach()[~kept] = 0
        return found

    def compressed(self) -> TrainedModule:
        """Return the network without filters and units that do not change the outputs.

        Raises: ValueError for a network with k-winners, or one whose outputs would change; ImportError without the
            package torch-pruning.
        """
        if self.has_winners:
            raise ValueError(WITH_WINNERS)
        network = compress_module(self.network, self.input_shape)
        found = sparse_layers(network)
        masks = [_matrix(found[about.name]).ne(0) for about in self.about_layers]
        n_before, n_after = (sum(len(mask) for mask in layers[:-1]) for layers in (self.masks, masks))
        remark = f"After training it was compressed: {n_after} of {n_before} hidden units and filters are left."
        return replace(self, network=network, masks=masks, remarks=(*self.remarks, remark))


def _matrix(layer: nn.Module) -> Tensor:
    """Return the weights of a layer as a matrix, in the memory of the layer. Shapes: (out, in)."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return weight.detach().view(len(weight), math.prod(weight.shape[1:]))


def _bias(layer: nn.Module) -> Tensor | None:
    bias: Tensor | None = layer.bias  # type: ignore[assignment]
    return None if bias is None or not bias.requires_grad else bias.detach()
