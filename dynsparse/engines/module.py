"""The engine for networks that are torch modules, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dynsparse.engines.active_bits import zero_inactive_
from dynsparse.engines.compilation import Forward, call, compile_forward
from dynsparse.engines.dense import DenseEngine, sum_of_squares
from dynsparse.engines.flat_params import FlatParameters
from dynsparse.engines.module_parameters import biases_of, other_parameters, places_of_units
from dynsparse.engines.nested import copy_, map_tensors
from dynsparse.engines.stacked_modules import Measure, StackedModules, one_by_one_reason
from dynsparse.nn.functional import clip_factor
from dynsparse.nn.kwinners import KWinners
from dynsparse.nn.module_activity import active_units, count_coactivation, observed
from dynsparse.nn.module_layers import Layer, sparse_layers
from dynsparse.nn.module_network import ModuleNetwork
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream, torch_generators
from dynsparse.studies import Parameters


class ModuleEngine(DenseEngine):
    """The torch modules of a pack, one for each trial. A saved state has the attributes in `STATE`.

    Linear, Conv1d and Conv2d layers are sparse; a filter is a unit, with a row of weights for all of its inputs and
    positions of its kernel. Their weights and biases begin as those of every engine. All other parameters begin as the
    module draws them, from torch's generator with a seed that follows from the trial's. The same generator is seeded
    before each training step, so that dropout resumes as it would have gone on.

    Coactivation counts the examples, in a convolution the examples and positions, for which the input and the output of
    a connection are positive. An output is that of the norm and k-winners that directly follow the layer, if any.
    A unit is dead if its output is not positive for any example at any position.

    One call computes all trials of a pack, by `torch.func.vmap`, where that is faster and equal to rounding: see
    `one_by_one_reason`. Otherwise each trial is computed after the other, with the bits that it gets alone.

    With compile=True, training steps run compiled code, except those that count coactivation.

    Attributes:
        modules: the module of each trial, whose parameters are those of the trial at any time.
        others: parameters that are trained but have no mask, such as those of norms. Shapes: (trials, ...).
        kept_units: which units of each layer are not pruned. A pruned unit has weights and a bias of 0, and the norms
            that directly follow it a gain and shift of 0; training leaves them at 0. Shapes: (trials, out), bool.
        one_by_one: why the trials are computed one after another; None if one call computes them all.
    """

    STATE = (
        "weights", "biases", "masks", "targets", "others", "buffers", "gradient_momentum", "optimizer", "n_steps",
        "n_seen", "kept_units",
    )  # fmt: skip
    # Convolutions have many outputs, and these leave a CPU's cache.
    EVALUATION_BATCH = 250

    def __init__(self, plan: Plan, parameters: Parameters | None = None) -> None:
        super().__init__(plan, parameters)
        assert isinstance(plan.network, ModuleNetwork)
        self._network = plan.network
        pairs = zip(plan.network.builders, plan.seeds, strict=True)
        self.modules: list[nn.Module] = [build(seed).to(plan.device) for build, seed in pairs]
        # Of each trial: the sparse layers, and the parameters that are trained.
        self._layers = [self._layers_of(module) for module in self.modules]
        self._has_bias = [bool(biases_of([layer])) for layer in self._layers[0]]
        others = [other_parameters(*each) for each in zip(self.modules, self._layers, strict=True)]
        self._check_equal_shapes(others)
        self.others = [torch.stack([each.detach() for each in same]) for same in zip(*others, strict=True)]
        for bias, is_used in zip(self.biases, self._has_bias, strict=True):
            bias.mul_(is_used)
        self._trained = [
            [*(each.weight for each in layers), *biases_of(layers), *rest]
            for layers, rest in zip(self._layers, others, strict=True)
        ]
        self.kept_units = [torch.ones_like(bias, dtype=torch.bool) for bias in self.biases]
        self._layer_of_place = places_of_units(self.modules[0], plan.network.layers, self._trained[0])
        self._has_pruned_units = False
        self.init_optimizer()
        shapes = [tuple(each.shape[1:]) for each in self.parameters()]
        self._flat = FlatParameters(len(self.modules), shapes, plan.optimizer, torch.device(plan.device))
        self._gradients = self._flat.views(self._flat.gradient)
        self._share_memory()
        self._forward = compile_forward() if plan.compile else call
        self.one_by_one = one_by_one_reason(plan)
        self._together = None if self.one_by_one else self._stacked_modules()

    def _stacked_modules(self) -> StackedModules:
        """Return the modules of the pack as one function of the flat parameters, which are only changed in place."""
        values = [
            stacked.detach().view(-1, *own.shape).requires_grad_()
            for stacked, own in zip(self.parameters(), self._trained[0], strict=True)
        ]
        return StackedModules(self.modules, self._network.layers, self._trained[0], values)

    def _layers_of(self, module: nn.Module) -> list[Layer]:
        layers = sparse_layers(module)
        return [layers[each.name] for each in self._network.layers]

    def _check_equal_shapes(self, others: Sequence[Sequence[Tensor]]) -> None:
        for layers, rest in zip(self._layers, others, strict=True):
            shapes = [tuple(each.weight.flatten(1).shape) for each in layers]
            if shapes != self.shapes or [each.shape for each in rest] != [each.shape for each in others[0]]:
                raise ValueError(
                    f"These trials cannot be trained as one pack: their networks must have equal shapes, got {shapes} "
                    f"and {self.shapes}. Train them with pack='off'."
                )

    def _zero_pruned_units_(self, tensors: Sequence[Tensor]) -> None:
        """Set parameters, or their gradients, to zero in place where they belong to pruned units."""
        if not self._has_pruned_units:
            return
        for place, layer in self._layer_of_place.items():
            kept = self.kept_units[layer]
            tensors[place].masked_fill_(~kept.view(*kept.shape, *[1] * (tensors[place].ndim - 2)), 0)

    def _share_memory(self) -> None:
        """Move parameters, masks and optimizer state into flat tensors, whose views they and the modules become."""
        flat, n_layers = self._flat, len(self.weights)
        values, active, state = flat.views(flat.values), flat.views(flat.active)[:n_layers], flat.state_views()
        copy_([values, active, state], [self.parameters(), self._active, self.optimizer])
        self._active, self.optimizer = active, state
        self.weights, rest = values[:n_layers], iter(values[n_layers:])
        self.biases = [next(rest) if is_used else bias for bias, is_used in self._biases()]
        self.others = [*rest]
        for trial, trained in enumerate(self._trained):
            for own, stacked in zip(trained, values, strict=True):
                own.data = stacked[trial].view(own.shape)

    def parameters(self) -> list[Tensor]:
        """Return the parameters that are trained, the weights of the layers first."""
        return [*self.weights, *(bias for bias, is_used in self._biases() if is_used), *self.others]

    def _biases(self) -> Iterator[tuple[Tensor, bool]]:
        """Return the biases of each layer, and whether the layer has any; they are 0 if not."""
        return zip(self.biases, self._has_bias, strict=True)

    @property
    def buffers(self) -> list[Tensor]:
        """Copies of the modules' buffers, such as the running statistics of batch norm. Shapes: (trials, ...)."""
        of_trials = zip(*(module.buffers() for module in self.modules), strict=True)
        return [torch.stack(list(same)) for same in of_trials]

    @buffers.setter
    def buffers(self, values: Sequence[Tensor]) -> None:
        for trial, module in enumerate(self.modules):
            for buffer, value in zip(module.buffers(), values, strict=True):
                buffer.copy_(value[trial])

    def end_epoch(self) -> None:
        """Decay the boost strength of k-winners, and reset the coactivation counts if they are those of an epoch."""
        super().end_epoch()
        for module in self.modules:
            for part in module.modules():
                if isinstance(part, KWinners):
                    part.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return what any engine of the same plan needs to resume after an epoch; this one resumes bit-identically."""
        # A view would keep the memory of all parameters, and be saved with it.
        return {name: map_tensors(_contiguous_copy, value) for name, value in super().state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        super().load_state_dict(state)
        self._has_pruned_units = not all(bool(kept.all()) for kept in self.kept_units)
        self._zero_pruned_units_(self.parameters())
        self._share_memory()

    def differentiate(self, x: Tensor, y: Tensor, *, epoch: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Compute logits, losses, and the gradient of each parameter for the mean loss; count coactivations.

        Shapes: x (trials, batch, inputs), y (trials, batch); logits (trials, batch, classes), losses (trials, batch).
        """
        if self._together is not None:
            return self._differentiate_together(self._together, x, y)
        all_logits, all_losses = [], []
        for trial, trained in enumerate(self._trained):
            one = slice(trial, trial + 1)
            # The backward pass reads the settings of convolutions, too.
            with _convolution_settings(self.plan):
                if self.coactivation is None:
                    logits = self._run(trial, x[trial], epoch=epoch, training=True, forward=self._forward)[None]
                else:
                    record = partial(self._count_coactivation, trial)
                    with observed(self.modules[trial], self._network.layers, record):
                        logits = self._run(trial, x[trial], epoch=epoch, training=True)[None]
                losses = self.losses(logits, y[one], one)
                of_mean = torch.full_like(losses, 1 / losses.numel())
                # Only a parameter without a mask may have no gradient.
                gradients = torch.autograd.grad(losses, trained, of_mean, allow_unused=True, materialize_grads=True)
            torch.cat([each.flatten() for each in gradients], out=self._flat.gradient[trial])
            all_logits.append(logits.detach())
            all_losses.append(losses.detach())
        self._zero_pruned_units_(self._gradients)
        return torch.cat(all_logits), torch.cat(all_losses), self._gradients

    def _differentiate_together(
        self, together: StackedModules, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        with _convolution_settings(self.plan):
            logits, found = self._run_together(together, x, self._counts(), training=True)
            losses = self.losses(logits, y)
            of_mean = torch.full_like(losses, 1 / losses.shape[1])
            gradients = torch.autograd.grad(losses, together.values, of_mean, allow_unused=True, materialize_grads=True)
        torch.cat([each.flatten(1) for each in gradients], dim=1, out=self._flat.gradient)
        self._zero_pruned_units_(self._gradients)
        self._add_counts(found)
        return logits.detach(), losses.detach(), self._gradients

    def _counts(self) -> list[Measure]:
        return [] if self.coactivation is None else [count_coactivation]

    def _add_counts(self, found: Sequence[Sequence[Tensor]]) -> None:
        for total, count in zip(self.coactivation or [], *found, strict=True):
            total += count

    def _predict_together(self, together: StackedModules, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        counts = self._counts() if self.plan.method.counts_evaluation else []
        measures: list[Measure] = [lambda layer, _, outputs: active_units(layer, outputs), *counts]
        with _convolution_settings(self.plan):
            logits, (active, *found) = self._run_together(together, x, measures, training=False)
        if counts:
            self._add_counts(found)
        # Measures are added over the calls of a layer.
        return logits, [each > 0 for each in active[:-1]]

    def _run_together(
        self, together: StackedModules, x: Tensor, measures: Sequence[Measure], *, training: bool
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """Compute the logits of all trials, and the measures. Shapes: as `StackedModules`."""
        with _autocast(self.plan):
            logits, found = together(
                x.reshape(*x.shape[:2], *self._network.input_shape), training=training, measures=measures
            )
        return logits.float(), found

    def _step(self, gradients: Sequence[Tensor], rate: Tensor) -> None:
        """Do the optimizer step as `DenseEngine`, with the flat gradient that `differentiate` has filled."""
        if self._has_latent:
            super()._step(gradients, rate)
            return
        flat, masked = self._flat, not (self._all_active or self.plan.method.moves_inactive)
        gradient = flat.masked_gradient() if masked else flat.gradient
        if self.plan.clip_norm is not None:
            factor = clip_factor(sum_of_squares(flat.views(gradient)), self.plan.clip_norm).float()
            gradient = flat.clipped(gradient, factor) if masked else gradient * factor[:, None]
        flat.step_(gradient, self.n_steps, rate)
        if self.plan.method.moves_inactive:
            for weight, active in zip(self.weights, self._active, strict=True):
                zero_inactive_(weight, active)

    def predict(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute logits, and for each hidden layer which units are positive for any example, without training.

        Shapes: x (trials, batch, inputs); logits (trials, batch, classes); units (trials, units), bool.
        """
        if self._together is not None:
            return self._predict_together(self._together, x)
        active = [torch.zeros_like(bias, dtype=torch.bool) for bias in self.biases]
        logits = []
        for trial in range(len(self.modules)):

            def record(layer: int, inputs: Tensor, outputs: Tensor, trial: int = trial) -> None:
                active[layer][trial] |= active_units(self._layers[trial][layer], outputs)
                if self.plan.method.counts_evaluation:
                    self._count_coactivation(trial, layer, inputs, outputs)

            with observed(self.modules[trial], self._network.layers, record), _convolution_settings(self.plan):
                logits.append(self._run(trial, x[trial], epoch=0, training=False))
        return torch.stack(logits), active[:-1]

    def _run(self, trial: int, x: Tensor, *, epoch: int, training: bool, forward: Forward = call) -> Tensor:
        """Compute the logits of a trial. Shapes: x (batch, inputs); result (batch, classes).

        Compiled code does not call the hooks of `observed`.
        """
        module = self.modules[trial]
        if module.training is not training:
            module.train(training)
        stream = Stream(self.plan.seeds[trial], Purpose.DROPOUT, epoch=epoch, step=self.n_steps if training else 0)
        with torch_generators(stream, self.plan.device), _autocast(self.plan):
            logits = forward(module, x.reshape(-1, *self._network.input_shape))
        return logits.float()

    def _count_coactivation(self, trial: int, layer: int, inputs: Tensor, outputs: Tensor) -> None:
        if self.coactivation is not None:
            self.coactivation[layer][trial] += count_coactivation(self._layers[trial][layer], inputs, outputs)


def _contiguous_copy(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)


def _autocast(plan: Plan) -> torch.autocast:
    return torch.autocast(torch.device(plan.device).type, torch.bfloat16, enabled=plan.precision == "bf16")


@contextmanager
def _convolution_settings(plan: Plan) -> Iterator[None]:
    """Compute convolutions on a GPU in the plan's precision, and by algorithms that repeat their results."""
    if plan.device == "cpu":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=plan.precision == "tf32"):
        yield
