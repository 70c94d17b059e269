"""The engine for CPUs: time and memory are proportional to the number of active weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsparse.data import Images
from dynsparse.engines.base import (
    Evaluation,
    Sums,
    UpdateContext,
    WeightSums,
    counts_over_epochs,
    initial_parameters,
)
from dynsparse.engines.drift import position_signs
from dynsparse.engines.mask_updates import compute_mask_updates, planned_count, unless_stopped
from dynsparse.engines.sparse import kernels
from dynsparse.engines.sparse.arrays import LANES, Array, Batches, allocate_buffers
from dynsparse.engines.sparse.mask_updates import can_update_active, update_active
from dynsparse.engines.sparse.network import SparseNetwork
from dynsparse.methods import MaskUpdate
from dynsparse.nn.functional import CONFIDENCE_BINS
from dynsparse.ops import masks
from dynsparse.ops.patterns import UNSTRUCTURED
from dynsparse.planning.plan import Plan
from dynsparse.studies import Parameters

# The mean of images, in standard deviations, up to which the biases of the first layer subtract it.
LARGEST_MEAN = 30.0
# Optimizer steps in one call of the compiled kernel. Meanwhile other threads of Python wait, and Ctrl-C is not handled.
# More steps would save no time that can be measured.
STEPS_PER_CALL = 16


class SparseEngine:
    """The networks of a pack on a CPU. It reads and writes the same saved states as `TorchEngine`.

    Trials are computed one after the other and share each batch. `weights` and `biases` are new tensors at each access.
    """

    def __init__(self, plan: Plan, parameters: Parameters | None = None) -> None:
        self.plan = plan
        parameters = parameters or initial_parameters(plan)
        self.masks = list(parameters.masks)
        self.targets = [masks.count(mask) for mask in self.masks]
        self._networks = [
            SparseNetwork(plan, trial, Parameters(*([each[trial] for each in layers] for layers in parameters)))
            for trial in range(len(plan.seeds))
        ]
        needs = plan.method.needs if plan.updates else frozenset()
        self._needs_coactivation = "coactivation" in needs
        self._needs_signs = "sign" in needs
        self._gradients_needed = sorted(needs & {"gradient", "active_gradient"})
        self._counts_over_epochs = counts_over_epochs(plan)
        # A pattern needs the rows and columns of the weights.
        is_unstructured = all(pattern == UNSTRUCTURED for pattern in plan.patterns)
        self._updates_active = can_update_active(plan.method) and is_unstructured
        self.n_steps = 0
        self.n_seen = 0
        self._buffers = allocate_buffers(1, sum(plan.network.sizes))

    @property
    def weights(self) -> list[Tensor]:
        """Weights of each layer, zero where the mask is False. Shapes: (trials, out, in)."""
        return self._dense("value")

    @property
    def biases(self) -> list[Tensor]:
        """Biases of each layer. Shapes: (trials, out)."""
        return self._unit_parameters("value")["biases"]

    def _dense(self, name: str) -> list[Tensor]:
        """Return `SparseNetwork.weights` in dense form, zero where the mask is False. Shapes: (trials, out, in)."""
        result = [torch.zeros(mask.shape) for mask in self.masks]
        for trial, network in enumerate(self._networks):
            for layer, positions, values in zip(result, network.positions, network.weights(name), strict=True):
                layer[trial].view(-1).numpy()[positions] = values
        return result

    def weight_sums(self) -> list[WeightSums]:
        """Return sums over the weights of each layer."""
        # Inactive weights are zero and add nothing.
        layers = zip(*(network.weights("value") for network in self._networks), strict=True)
        of_trials = [[WeightSums.of(torch.from_numpy(each)[None]) for each in layer] for layer in layers]
        return [WeightSums(*(torch.cat(each) for each in zip(*layer, strict=True))) for layer in of_trials]

    def _unit_parameters(self, name: str) -> dict[str, list[Tensor]]:
        """Return `SparseNetwork.of_units` for each layer that uses them. Shapes: (trials, out)."""
        parts = [network.of_units(name) for network in self._networks]
        layers = {kind: self._per_layer([part[kind] for part in parts]) for kind in parts[0]}
        # The last layer has no batch norm.
        return {kind: each if kind == "biases" else each[:-1] for kind, each in layers.items()}

    def _per_layer(self, arrays: list[np.ndarray[Any, Any]]) -> list[Tensor]:
        """Split an array of all units by layer. Shapes: (units,) for each trial to (trials, out) for each layer."""
        stacked = torch.stack([torch.from_numpy(each) for each in arrays])
        return [stacked[:, middle:last].clone() for _, middle, last in self._networks[0].layers()]

    def _coactivation(self) -> list[Tensor]:
        """Return the coactivation counts of each layer. Shapes: (trials, out, in)."""
        return _stack_trials([network.coactivation() for network in self._networks])

    def prepare(self, parts: Sequence[Images], labels: Tensor) -> tuple[list[Images], Tensor]:
        """Return images and labels as they are stored, with at least 64 pixels. Shapes: labels (parts, examples)."""
        # Between large numbers, the difference that the biases make up for would lose digits.
        parts = [
            replace(part, pixels=part.normalised.numpy(), mean=0.0, scale=1.0)
            if abs(part.mean * part.scale) > LARGEST_MEAN
            else part
            for part in parts
        ]
        n_missing = max(LANES - parts[0].pixels.shape[1], 0)
        padded = (np.pad(part.pixels, [(0, 0), (0, n_missing)]) if n_missing else part.pixels for part in parts)
        # The kernels read rows of pixels; a slice or a transposed array has none.
        pixels = map(np.ascontiguousarray, padded)
        return [replace(part, pixels=each) for part, each in zip(parts, pixels, strict=True)], labels

    def train_epoch(
        self,
        data: tuple[list[Images], Tensor],
        order: Tensor,
        *,
        epoch: int,
        rates: Tensor,
        class_weights: Tensor | None = None,
    ) -> Sums:
        """Train for one pass over the examples, with one optimizer step per batch.

        Shapes: order (trials or 1, examples); rates (batches, trials); class_weights (trials or 1, classes); `data` has
        one part.
        """
        (images,), (labels,) = data
        classes, orders = labels.numpy(), order.numpy()
        mean, scale = np.float32(images.mean), np.float32(images.scale)
        size, n = self.plan.batch_size, orders.shape[1]
        weights = np.zeros((1, 0), np.float32) if class_weights is None else class_weights.numpy()
        # `batch_size` may be larger than the data set.
        blocks_per_batch = -(-min(size, n) // LANES)
        if len(self._buffers.x) < blocks_per_batch:
            self._buffers = allocate_buffers(blocks_per_batch, sum(self.plan.network.sizes))
        # Each batch begins with a new block, and `count_coactivations` reads eight blocks at a time.
        n_blocks = -(-n // size) * blocks_per_batch
        n_recorded = -(-n_blocks // 8) * 8 if self._needs_coactivation else 0
        for network in self._networks:
            network.begin_pass(n_recorded)
        # Trials that share an order also share the images in the buffers, one batch at a time.
        shares_batches = len(self._networks) > 1 and len(orders) == 1
        steps_per_call = 1 if shares_batches else STEPS_PER_CALL
        for step in range(0, len(rates), steps_per_call):
            rates_of_steps = rates[step : step + steps_per_call].numpy().astype(np.float32)
            for trial, network in enumerate(self._networks):
                examples = orders[trial if len(orders) > 1 else 0, step * size : (step + steps_per_call) * size]
                is_loaded = shares_batches and trial > 0
                of_classes = weights[trial if len(weights) > 1 else 0]
                network.train(
                    self._buffers,
                    Batches(images.pixels, classes, of_classes, scale, mean * scale, examples, size, is_loaded),
                    np.ascontiguousarray(rates_of_steps[:, trial]),
                    epoch=epoch,
                    n_steps=self.n_steps,
                    n_seen=self.n_seen,
                )
                if self._gradients_needed and step + steps_per_call >= len(rates):
                    network.compute_dense_gradient(self._buffers, (n - 1) % size + 1, mean * scale)
            self.n_steps += len(rates_of_steps)
            self.n_seen += len(examples)
        return _as_sums([(network.loss, network.n_correct) for network in self._networks])

    def evaluate(self, x: list[Images], y: Tensor) -> Evaluation:
        """Compute losses, correct examples, calibration and active units. Shapes: y (trials or 1, examples)."""
        sums, calibrations, active = [], [], []
        for trial, network in enumerate(self._networks):
            part = trial if len(x) > 1 else 0
            images, labels = x[part], y[part].numpy()
            mean, scale = np.float32(images.mean), np.float32(images.scale)
            arrays = network.arrays(training=False)
            calibrations.append(np.zeros(CONFIDENCE_BINS))
            active.append(np.zeros(len(arrays.bias), np.bool_))
            sums.append(
                kernels.evaluate(
                    arrays, self._buffers, images.pixels, labels, scale, mean * scale, calibrations[-1], active[-1]
                )
            )
        return Evaluation(*_as_sums(sums), torch.from_numpy(np.stack(calibrations)), self._per_layer(active)[:-1])

    def update_masks(self, when: UpdateContext) -> tuple[list[MaskUpdate], Tensor]:
        """Prune and grow every layer: see `Engine.update_masks`."""
        statistics: dict[str, list[Tensor]] = {}
        if self._needs_coactivation:
            statistics["coactivation"] = self._coactivation()
        for name in self._gradients_needed:
            statistics[name] = _stack_trials([network.gradient for network in self._networks])
        if self._needs_signs and not self._updates_active:
            statistics["sign"] = position_signs(self.plan)
        if self._updates_active:
            weights_of_layers = zip(*(network.weights("value") for network in self._networks), strict=True)
            updates = [self._update_active(i, each, when, statistics) for i, each in enumerate(weights_of_layers)]
            failed = torch.zeros(len(self._networks), dtype=torch.bool)
        else:
            weights = self._dense("value")
            updates, failed = compute_mask_updates(self.plan, when, weights, self.masks, self.targets, statistics)
        self.masks = [update.mask for update in updates]
        for trial, network in enumerate(self._networks):
            network.set_masks([mask[trial] for mask in self.masks])
            network.reset_coactivation()
        return updates, failed

    def _update_active(
        self, layer: int, weights: Sequence[Array], when: UpdateContext, statistics: dict[str, list[Tensor]]
    ) -> MaskUpdate:
        """Compute the mask update of a layer from the active weights of each trial, except for stopped trials."""
        mask, positions = self.masks[layer], [network.positions[layer] for network in self._networks]
        at_positions = {
            name: [layers[layer][trial].numpy().reshape(-1)[each] for trial, each in enumerate(positions)]
            for name, layers in statistics.items()
        }
        if self._needs_signs:
            at_positions["sign"] = [network.signs[layer] for network in self._networks]
        update = update_active(
            self.plan,
            when,
            layer,
            mask,
            planned_count(self.plan, layer, when, self.targets[layer]),
            positions,
            weights,
            at_positions,
        )
        # Mostly no trial is stopped, and `unless_stopped` copies three masks.
        stays = when.stays(layer)
        return unless_stopped(update, mask, stays) if stays.any() else update

    def end_epoch(self) -> None:
        """Decay the boost strength, and reset the coactivation counts if they are those of an epoch."""
        if not self._counts_over_epochs:
            for network in self._networks:
                network.reset_coactivation()
        if self.plan.network.kwinners is not None:
            factors = torch.as_tensor(self.plan.network.kwinners.boost_factor).float().expand(len(self._networks))
            for network, factor in zip(self._networks, factors.tolist(), strict=True):
                network.set_boost_strength(float(np.float32(network.boost_strength) * np.float32(factor)))

    def state_dict(self) -> dict[str, Any]:
        """Return what any engine of the same plan needs to resume after an epoch, in the format of `TorchEngine`."""
        names = self._networks[0].state_names
        values = {"weights": self.weights, **self._unit_parameters("value")}
        optimizer = {name: {"weights": self._dense(name), **self._unit_parameters(name)} for name in names}
        duty, means, variances = (
            self._per_layer([getattr(network, name) for network in self._networks])[:-1]
            for name in ("duty", "means", "variances")
        )
        has_batch_norm = self.plan.network.batch_norm
        return {
            **{name: [] for name in ("gains", "shifts", "gradient_momentum")},
            **values,
            "masks": self.masks,
            "targets": self.targets,
            "means": means if has_batch_norm else [],
            "variances": variances if has_batch_norm else [],
            "duty": duty if self.plan.network.kwinners else [],
            "boost": torch.tensor([network.boost_strength for network in self._networks]),
            "optimizer": [
                {name: optimizer[name][kind][i] for name in names} for kind in values for i in range(len(values[kind]))
            ],
            "n_steps": self.n_steps,
            "n_seen": self.n_seen,
            **({"coactivation": self._coactivation()} if self._counts_over_epochs else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict` of any engine."""
        self.masks = [mask.clone() for mask in state["masks"]]
        self.targets = [target.clone() for target in state["targets"]]
        self.n_steps, self.n_seen = state["n_steps"], state["n_seen"]
        # By name, "value" or a part of the optimizer state, and by kind of parameter: the tensors of each layer.
        kinds, of_optimizer = ["weights", *self._networks[0].unit_parameters], iter(state["optimizer"])
        optimizer = {kind: [next(of_optimizer) for _ in state[kind]] for kind in kinds}
        tables = {"value": {kind: state[kind] for kind in kinds}}
        for name in self._networks[0].state_names:
            tables[name] = {kind: [layer[name] for layer in optimizer[kind]] for kind in kinds}
        for trial, network in enumerate(self._networks):
            weights = {name: [layer[trial] for layer in table["weights"]] for name, table in tables.items()}
            network.compress([mask[trial] for mask in self.masks], weights)
            for name, table in tables.items():
                for kind, target in network.of_units(name).items():
                    network.set_units(target, [layer[trial] for layer in table[kind]])
            for name in ("duty", "means", "variances"):
                network.set_units(getattr(network, name), [layer[trial] for layer in state[name]])
            network.set_boost_strength(float(state["boost"][trial]))
            if self._counts_over_epochs:
                network.reset_coactivation([layer[trial].clone() for layer in state["coactivation"]])


def _as_sums(results: Sequence[tuple[float, int]]) -> Sums:
    losses, correct = zip(*results, strict=True)
    return Sums(torch.tensor(losses, dtype=torch.float64), torch.tensor(correct))


def _stack_trials(trials: list[list[Tensor]]) -> list[Tensor]:
    """Stack the tensors of each layer. Shapes: (...) for each trial and layer to (trials, ...) for each layer."""
    return [torch.stack(layers) for layers in zip(*trials, strict=True)]
