"""Networks before training, as differentiable functions of their weights: `methods.initial_pruning.InitialNetwork`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dynsparse.engines.module import ModuleEngine
from dynsparse.engines.torch import TorchEngine
from dynsparse.methods.initial_pruning import InitialNetwork
from dynsparse.nn.kwinners import KWinners
from dynsparse.nn.module_layers import sparse_layers
from dynsparse.nn.module_network import ModuleNetwork
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream, torch_generators
from dynsparse.studies import Parameters


def initial_network(plan: Plan, parameters: Parameters, x: Tensor, y: Tensor) -> InitialNetwork:
    """Return the network of a plan with a single trial on a CPU.

    Args:
        plan: The trial.
        parameters: Its initial weights and biases.
        x: The inputs of the examples of the loss. Shapes: (examples, inputs).
        y: Their labels. Shapes: (examples, ...).
    """
    kind = InitialModule if isinstance(plan.network, ModuleNetwork) else InitialPerceptron
    return kind(plan, parameters, x, y)


class InitialPerceptron:
    """A multilayer perceptron: see `InitialNetwork`."""

    def __init__(self, plan: Plan, parameters: Parameters, x: Tensor, y: Tensor) -> None:
        self._plan, self._x, self._y = plan, x, y
        self._engine = TorchEngine(plan, parameters)

    def loss(self, weights: Sequence[Tensor], temperature: float = 1.0) -> Tensor:
        """Return the mean loss over the examples."""
        engine = self._engine
        engine.weights = [weight[None] for weight in weights]
        # An earlier call has moved them.
        engine.duty = [torch.zeros_like(each) for each in engine.duty]
        logits, _ = engine.forward(self._x[None], epoch=0, training=True)
        return _mean_loss(self._plan, logits, self._y, temperature)

    def flow(self, weights: Sequence[Tensor]) -> Tensor:
        """Return the sum of the outputs for an input of ones, with absolute weights and no biases."""
        # No sum is negative, so ReLU changes nothing. Batch norm would divide by sqrt(1 + 1e-5) only.
        x = torch.ones(weights[0].shape[1], dtype=torch.float64)
        for weight in weights:
            x = weight.abs().double() @ x
        return x.sum()


class InitialModule:
    """A torch module: see `InitialNetwork`."""

    def __init__(self, plan: Plan, parameters: Parameters, x: Tensor, y: Tensor) -> None:
        assert isinstance(plan.network, ModuleNetwork)
        self._plan, self._network, self._x, self._y = plan, plan.network, x, y
        (self._module,) = ModuleEngine(plan, parameters).modules

    def loss(self, weights: Sequence[Tensor], temperature: float = 1.0) -> Tensor:
        """Return the mean loss over the examples."""
        self._module.train()
        # Copies, because a forward pass changes buffers.
        buffers = {name: each.clone() for name, each in self._module.named_buffers()}
        x = self._x.reshape(-1, *self._network.input_shape)
        with torch_generators(Stream(self._plan.seeds[0], Purpose.DROPOUT)):
            logits = functional_call(self._module, {**self._by_name(weights), **buffers}, (x,))
        return _mean_loss(self._plan, logits[None], self._y, temperature)

    def flow(self, weights: Sequence[Tensor]) -> Tensor:
        """Return the sum of the outputs for an input of ones, with absolute weights and no biases."""
        ones = torch.ones(1, *self._network.input_shape, dtype=torch.float64)
        absolute = [weight.abs().double() for weight in weights]
        outputs: Tensor = functional_call(self._absolute, self._by_name(absolute), (ones,))
        return outputs.sum()

    @cached_property
    def _absolute(self) -> nn.Module:
        """The module as `flow` computes it, in float64."""
        module = copy.deepcopy(self._module).eval().double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.abs_()
            for layer in sparse_layers(module).values():
                if layer.bias is not None:
                    layer.bias.zero_()
        for part in module.modules():
            if isinstance(part, KWinners):
                part.register_forward_hook(_pass_inputs)
        return module

    def _by_name(self, weights: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the weights by their names in the module, in their own shapes."""
        pairs = zip(self._network.layers, weights, strict=True)
        return {f"{layer.name}.weight": weight.view(layer.weight_shape) for layer, weight in pairs}


def _pass_inputs(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    """Return the input of a module in place of its output, as a forward hook."""
    (x,) = inputs
    result: Tensor = x
    return result


def _mean_loss(plan: Plan, outputs: Tensor, y: Tensor, temperature: float) -> Tensor:
    """Return the mean loss. Shapes: outputs (1, examples, outputs), y (examples, ...)."""
    outputs = outputs if plan.loss.is_regression else outputs / temperature
    return plan.loss.of_examples(outputs, y[None]).mean()
