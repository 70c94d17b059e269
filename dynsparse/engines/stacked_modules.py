"""The torch modules of a pack as one function, by `torch.func.vmap`, and the reasons to call them one after another."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import starmap
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from dynsparse.nn.module_activity import observed
from dynsparse.nn.module_layers import Layer, ModuleLayer
from dynsparse.nn.module_network import ModuleNetwork
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream, torch_generators

# On a CPU, the most multiplications of a trial in the forward pass of a step for which one call is faster: with fewer,
# most of the time goes into calls rather than into arithmetic. benchmarks/module_packs.py measures it.
MOST_MULTIPLICATIONS = 3_000_000
# Examples of the batches on which one call and separate calls are compared, and the largest relative difference that is
# rounding.
N_COMPARED = 4
TOLERANCES = {"float32": 1e-4, "tf32": 1e-4, "bf16": 0.1}

# A function of a layer and of where its inputs and its outputs are positive. The result is added over calls.
Measure = Callable[[Layer, Tensor, Tensor], Tensor]


class StackedModules:
    """The modules of a pack, which one call computes: the code of the first with the parameters of each.

    The buffers of the modules become views of `buffers`.

    Args:
        modules: equal modules with their own parameters and buffers.
        layers: the sparse layers.
        trained: the parameters of the first module that are trained.
        values: their values in all modules, which require a gradient. Shapes: (trials, ...).

    Attributes:
        values: as the argument.
        buffers: of all modules. Shapes: (trials, ...).
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        layers: Sequence[ModuleLayer],
        trained: Sequence[Tensor],
        values: Sequence[Tensor],
    ) -> None:
        self._module, self._layers = modules[0], layers
        self._owners = [modules[0].get_submodule(layer.name) for layer in layers]
        self.values = values
        names = {id(parameter): name for name, parameter in modules[0].named_parameters()}
        self._parameters = {names[id(own)]: stacked for own, stacked in zip(trained, values, strict=True)}
        frozen = [name for name in names.values() if name not in self._parameters]
        self._parameters |= {
            name: torch.stack([module.get_parameter(name).detach() for module in modules]) for name in frozen
        }
        self.buffers = {
            name: torch.stack([module.get_buffer(name) for module in modules]) for name, _ in modules[0].named_buffers()
        }
        for name, stacked in self.buffers.items():
            for module, buffer in zip(modules, stacked, strict=True):
                module.get_buffer(name).data = buffer

    def __call__(
        self, x: Tensor, *, training: bool, measures: Sequence[Measure] = ()
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """Compute the logits of all trials; and for each measure and layer, its sum over the calls of the layer.

        A sum of bools counts the calls in which they are True.

        Shapes: x (trials, batch, ...); logits (trials, batch, classes).

        Raises: RuntimeError, or anything else, if the module cannot be vectorized or draws random numbers.
        """
        if self._module.training is not training:
            self._module.train(training)
        # Trials that share their examples need no copies of them.
        x, dim = (x[0], None) if x.stride(0) == 0 else (x, 0)

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> tuple[Tensor, list[list[Any]]]:
            found: list[list[Any]] = [[0] * len(self._layers) for _ in measures]

            def record(layer: int, inputs: Tensor, outputs: Tensor) -> None:
                for of_layers, measure in zip(found, measures, strict=True):
                    of_layers[layer] = measure(self._owners[layer], inputs, outputs) + of_layers[layer]  # type: ignore[arg-type]

            with observed(self._module, self._layers if measures else (), record):
                return functional_call(self._module, (parameters, buffers), (x,)), found

        together = vmap(one, in_dims=(0, 0, dim), randomness="error")
        logits, found = together(self._parameters, self.buffers, x)
        return logits, found


def one_by_one_reason(plan: Plan) -> str | None:
    """Return why the modules of a pack are called one after another; None if one call computes them all."""
    network = plan.network
    assert isinstance(network, ModuleNetwork)
    if len(plan.seeds) < 2:
        return "a single trial"
    if plan.compile:
        return "compile=True compiles the network of one trial"
    if network.differing:
        return f"its trials differ in {', '.join(network.differing)}, which the function of the network reads"
    per_example = sum(math.prod(shape) * n for shape, n in zip(network.shapes, network.positions, strict=True))
    n_multiplications = per_example * plan.batch_size
    if plan.device == "cpu" and n_multiplications > MOST_MULTIPLICATIONS:
        return (
            f"a step has {n_multiplications / 1e6:.1f} million multiplications per trial, and above "
            f"{MOST_MULTIPLICATIONS / 1e6:g} million separate calls are faster on a CPU"
        )
    try:
        with warnings.catch_warnings():
            # Where torch has no rule for an operation, it computes it trial by trial.
            warnings.filterwarnings("error", message="There is a performance drop")
            return _difference(network, plan)
    except Exception as error:
        # The code is the user's own: it may raise anything.
        [first_line, *_] = str(error).splitlines() or [""]
        return f"torch.func.vmap fails: {type(error).__name__}: {first_line}"


def _difference(network: ModuleNetwork, plan: Plan) -> str | None:
    """Compute a few examples with new modules of the pack, by one call and separately, and return how they differ.

    None: they are equal to rounding, in two training steps and an evaluation.
    """
    alone, stacked = ([build(seed) for build, seed in zip(network.builders, plan.seeds, strict=True)] for _ in "12")
    trained = [[each for each in module.parameters() if each.requires_grad] for module in stacked]
    values = [torch.stack([each.detach() for each in same]).requires_grad_() for same in zip(*trained, strict=True)]
    together = StackedModules(stacked, network.layers, trained[0], values)
    with torch_generators(Stream(0, Purpose.MODULE)):
        x = torch.rand(len(alone), N_COMPARED, *network.input_shape)
        before = torch.get_rng_state()
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.precision == "bf16"):
            results = list(starmap(_results_alone, zip(alone, x, strict=True)))
            if not torch.equal(torch.get_rng_state(), before):
                return "the network draws random numbers in training, as dropout does, and each trial has its own"
            logits = [together(x, training=True)[0].float() for _ in range(2)]
            tested = together(x, training=False)[0].detach()
    gradients = torch.autograd.grad(logits[1].square().sum(), values, allow_unused=True, materialize_grads=True)
    of_trials = [[logits[1].detach(), tested], gradients, *([each] for each in together.buffers.values())]
    tolerance = TOLERANCES[plan.precision]
    for found, each in zip(of_trials, zip(*results, strict=True), strict=True):
        for trial, expected in enumerate(each):
            flat = torch.cat([part[trial].flatten().double() for part in found])
            if not (flat - expected).norm() <= tolerance * expected.norm() + 1e-12:
                return "the results of torch.func.vmap differ from those of each trial alone"
    return None


def _results_alone(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Return logits, the gradient of all parameters and each buffer after two steps. Shapes: each (numbers,)."""
    module.train()
    _, logits = (module(x).float() for _ in range(2))
    parameters = [each for each in module.parameters() if each.requires_grad]
    gradients = torch.autograd.grad(logits.square().sum(), parameters, allow_unused=True, materialize_grads=True)
    tested = module.eval()(x).detach()
    parts: list[Sequence[Tensor]] = [[logits.detach(), tested], gradients, *([each] for each in module.buffers())]
    return [torch.cat([part.flatten().double() for part in each]) for each in parts]
