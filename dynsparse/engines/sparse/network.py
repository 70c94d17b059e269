"""The network of one trial, as the arrays that the kernels take, with its optimizer state and statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dynsparse.engines.sparse.activity import count_coactivations
from dynsparse.engines.sparse.arrays import (
    LANES,
    Array,
    Batches,
    BatchResults,
    Buffers,
    NetworkArrays,
    OptimizerArrays,
    Progress,
    UnitStatistics,
)
from dynsparse.engines.sparse.batch_norm import fold
from dynsparse.engines.sparse.drift import signs_at, trial_drift, weights_after_drift
from dynsparse.engines.sparse.kernels import train_steps
from dynsparse.engines.sparse.optimizer_steps import KINDS
from dynsparse.engines.sparse.order import group_by_source
from dynsparse.nn.functional import boost_penalty
from dynsparse.planning.plan import Plan, of_trial
from dynsparse.studies import Parameters


class SparseNetwork:
    """The network of one trial. Only active weights are stored; see arrays.py for the layout.

    Args:
        plan: The trials of the pack.
        trial: The index of this trial.
        parameters: Of this trial only. Shapes: weights and masks (out, in), biases (out,) for each layer.
    """

    def __init__(self, plan: Plan, trial: int, parameters: Parameters) -> None:
        self._layer_ends = np.cumsum(plan.network.sizes)
        self._n_units = int(self._layer_ends[-1])
        self._hidden = slice(self._layer_ends[0], self._layer_ends[-2])
        self._init_kwinners(plan, trial)
        self._seed = plan.seeds[trial]
        self._dropout = np.float32(of_trial(plan.network.dropout, trial))
        self._has_batch_norm = plan.network.batch_norm
        # The running means and variances of hidden units, for evaluation.
        self.means, self.variances = self._per_unit_zeros(), self._per_unit_zeros() + 1
        self._optimizer_name = plan.optimizer.name
        self._hyperparameters = {
            name: np.float32(value.expand(len(plan.seeds))[trial]) for name, value in plan.optimizer.values.items()
        }
        self._label_smoothing = np.float32(of_trial(plan.label_smoothing, trial))
        self._drift = trial_drift(plan, trial)
        self._weight_init = plan.weight_init
        self._needs_signs = self._drift is not None or "sign" in plan.method.needs
        self._clip_norm = math.inf if plan.clip_norm is None else of_trial(plan.clip_norm, trial)
        # The parameters that each unit has, besides its weights. Gains and shifts are used for hidden units only.
        self.unit_parameters = ["biases", *(["gains", "shifts"] if self._has_batch_norm else [])]
        # For the parameters themselves, "value", and for each part of their optimizer state one array: first the active
        # weights, then each of the unit parameters, for all units. So one call of a kernel updates them all.
        state_names = list(plan.optimizer.init(torch.zeros(1, 1)))
        self._parameters = {
            name: np.zeros(len(self.unit_parameters) * self._n_units, np.float32) for name in ["value", *state_names]
        }
        state = {name: [torch.zeros_like(weight) for weight in parameters.weights] for name in state_names}
        # Of each layer, ascending: the positions in the flattened layer where weights are active.
        self.positions: list[Array] = []
        self.signs: list[Array] = []  # of the same positions, 1 or -1; empty if the method does not read them
        self.compress(parameters.masks, {"value": parameters.weights, **state})
        self.set_units(self.of_units("value")["biases"], parameters.biases)
        if self._has_batch_norm:
            self.of_units("value")["gains"][self._hidden] = 1
        self.gradient: list[Tensor] = []  # of every weight, active or not, on the last batch of the pass
        self._counts_before: list[Tensor] = []  # coactivations of earlier passes
        self._activity: Array = np.zeros((self._n_units, 0), np.uint64)  # of this pass
        self.begin_pass(0)

    def _init_kwinners(self, plan: Plan, trial: int) -> None:
        sizes, kwinners = plan.network.sizes, plan.network.kwinners
        self.duty, self._unit_boost = self._per_unit_zeros(), self._per_unit_zeros() + 1
        self._n_active, self._penalty = self._per_unit_zeros(), np.zeros(0)
        self.boost_strength = 0.0
        self._duty_cycle_period = kwinners.period if kwinners else 0
        self._k = {training: np.zeros(len(sizes) - 2, np.int64) for training in (True, False)}
        if kwinners is not None:
            self.boost_strength = float(torch.as_tensor(kwinners.boost_strength).float().expand(len(plan.seeds))[trial])
            is_strong = kwinners.is_strong
            if is_strong is not None and bool(is_strong.expand(len(plan.seeds))[trial]):
                self._penalty = np.zeros(self._n_units)
            for training, k in self._k.items():
                per_trial = [kwinners.winners(n, training=training) for n in sizes[1:-1]]
                k[:] = [each[trial if len(each) > 1 else 0] for each in per_trial]

    def _per_unit_zeros(self) -> Array:
        return np.zeros(self._n_units, np.float32)

    def layers(self) -> list[tuple[int, int, int]]:
        """Return the limits of each layer: its inputs are units [first, middle), its outputs are [middle, last)."""
        ends = [0, *self._layer_ends.tolist()]
        return list(zip(ends, ends[1:], ends[2:], strict=False))

    @property
    def state_names(self) -> list[str]:
        """Names of the parts of the optimizer state."""
        return [name for name in self._parameters if name != "value"]

    def weights(self, name: str) -> list[Array]:
        """Return the values of the active weights ("value"), or a part of their optimizer state, at `positions`."""
        arrays, ends = self._arrays[True], self._layer_ends
        return np.split(self._by_source(name)[arrays.index_by_target], arrays.in_indptr[ends[1:-1]])

    def _by_source(self, name: str) -> Array:
        """Return `weights` ordered by source, as a view. Shapes: (active weights,)."""
        return self._parameters[name][: -len(self.unit_parameters) * self._n_units]

    def of_units(self, name: str) -> dict[str, Array]:
        """Return each of `unit_parameters`, or a part of their optimizer state, as views. Shapes: (units,)."""
        return self._split(self._parameters[name])

    def _split(self, parameters: Array) -> dict[str, Array]:
        """Return the arrays of the unit parameters: views of the end of an array of all parameters."""
        parts = parameters[-len(self.unit_parameters) * self._n_units :].reshape(-1, self._n_units)
        return dict(zip(self.unit_parameters, parts, strict=True))

    def set_units(self, target: Array, values: Sequence[Tensor]) -> None:
        """Copy the values of each layer's units into an array of all units. Shapes: values (out,) for each layer."""
        for (_, middle, last), each in zip(self.layers(), values, strict=False):
            target[middle:last] = each.numpy()

    def compress(self, masks: Sequence[Tensor], dense: dict[str, list[Tensor]]) -> None:
        """Set the masks, and the arrays of `weights` from dense ones. Shapes: all (out, in) for each layer."""
        positions = [np.flatnonzero(mask.numpy()) for mask in masks]
        values = {
            name: [layer.numpy().reshape(-1)[each] for layer, each in zip(layers, positions, strict=True)]
            for name, layers in dense.items()
        }
        self._set_active(positions, values)

    def set_masks(self, masks: Sequence[Tensor]) -> None:
        """Set the masks. Weights that stay keep their values and optimizer state, and new ones get zeros.

        Shapes: (out, in) for each layer.
        """
        positions = [np.flatnonzero(mask.numpy()) for mask in masks]
        stays = [mask.numpy().reshape(-1)[before] for mask, before in zip(masks, self.positions, strict=True)]
        places = [
            np.searchsorted(after, before[stay])
            for after, before, stay in zip(positions, self.positions, stays, strict=True)
        ]
        values = {}
        for name in self._parameters:
            values[name] = [np.zeros(len(each), np.float32) for each in positions]
            for new, old, place, stay in zip(values[name], self.weights(name), places, stays, strict=True):
                new[place] = old[stay]
        self._set_active(positions, values)

    def _set_active(self, positions: list[Array], values: dict[str, list[Array]]) -> None:
        """Set `positions`, and the values there by name.

        Shapes: (active weights of the layer,) for each layer; positions of the flattened layer, ascending.
        """
        self.positions = positions
        if self._needs_signs:
            self.signs = [
                signs_at(self._weight_init, self._seed, layer, of_layer) for layer, of_layer in enumerate(positions)
            ]
        n_sources = [middle - first for first, middle, _ in self.layers()]
        rows_and_columns = [np.divmod(each, n) for each, n in zip(positions, n_sources, strict=True)]
        in_indptr = np.zeros(self._n_units + 1, np.int64)
        for (rows, _), (_, middle, last) in zip(rows_and_columns, self.layers(), strict=True):
            in_indptr[middle + 1 : last + 1] = np.bincount(rows, minlength=last - middle)
        in_indptr = in_indptr.cumsum()
        sources = np.concatenate(
            [columns + first for (_, columns), (first, _, _) in zip(rows_and_columns, self.layers(), strict=True)]
        ).astype(np.uint32)
        out_indptr, targets, index_by_target = group_by_source(in_indptr, sources)
        for name, layers in values.items():
            by_source = np.empty(len(sources), np.float32)
            by_source[index_by_target] = np.concatenate(layers)
            self._parameters[name] = np.concatenate([by_source, *self.of_units(name).values()])
        self._parameter_gradient = np.zeros_like(self._parameters["value"])
        of_units, none = self.of_units("value"), np.zeros(0, np.float32)
        in_weight, in_bias = np.zeros(len(sources), np.float32), self._per_unit_zeros()
        self._arrays = {
            training: NetworkArrays(
                out_indptr=out_indptr,
                targets=targets,
                weight=self._by_source("value"),
                in_indptr=in_indptr,
                sources=sources,
                index_by_target=index_by_target,
                in_weight=in_weight,
                bias=of_units["biases"],
                in_bias=in_bias,
                layer_ends=self._layer_ends,
                k=k,
                unit_boost=self._unit_boost,
                label_smoothing=self._label_smoothing if training else np.float32(0),
                gain=of_units.get("gains", none),
                shift=of_units.get("shifts", none),
                penalty=self._penalty,
                dropout=self._dropout if training else np.float32(0),
            )
            for training, k in self._k.items()
        }

    def arrays(self, *, training: bool) -> NetworkArrays:
        """Return the network for a kernel, as it is in training or in evaluation."""
        if training or not self._has_batch_norm:
            return self._arrays[training]
        return fold(self._arrays[False], self._hidden, self.means, self.variances)

    def begin_pass(self, n_blocks: int) -> None:
        """Reset the sums of a pass over examples, of an epoch or a part of it.

        Args:
            n_blocks: The number of blocks for which to record the activity of units; 0: do not record it.
        """
        if self._activity.size:
            self._counts_before = self.coactivation()
        self.loss, self.n_correct, self._n_blocks_done = 0.0, 0, 0
        self._activity = np.zeros((self._n_units, n_blocks), np.uint64)
        of_units, none = self._split(self._parameter_gradient), np.zeros(0, np.float32)
        self._results = BatchResults(
            weight_gradient=self._parameter_gradient[: len(self._by_source("value"))],
            bias_gradient=of_units["biases"],
            gain_gradient=of_units.get("gains", none),
            shift_gradient=of_units.get("shifts", none),
            n_active=self._n_active,
            activity=self._activity,
        )

    def train(
        self,
        buffers: Buffers,
        batches: Batches,
        rates: Array,
        *,
        epoch: int,
        n_steps: int,
        n_seen: int,
    ) -> None:
        """Do one optimizer step for each batch. See `kernels.train_steps` for buffers, batches and rates.

        Args:
            buffers: For batches of up to `batches.size` examples.
            batches: The examples.
            rates: (batches,), float32.
            epoch: Counted from 1.
            n_steps: The number of optimizer steps before these.
            n_seen: The number of examples before these.
        """
        # The penalties of strong boosting are computed after each step, and weights drift after each step.
        steps_per_call = 1 if len(self._penalty) or self._drift is not None else len(rates)
        for first in range(0, len(rates), steps_per_call):
            order = batches.order[first * batches.size : (first + steps_per_call) * batches.size]
            loss, n_correct = train_steps(
                self._arrays[True],
                buffers,
                self._results,
                self._optimizer(),
                self._running(),
                batches._replace(order=order),
                rates[first : first + steps_per_call],
                Progress(
                    seed=self._seed,
                    epoch=epoch,
                    n_steps=n_steps + first,
                    n_seen=n_seen + first * batches.size,
                    n_blocks=self._n_blocks_done,
                ),
            )
            self.loss += loss
            self.n_correct += n_correct
            n_full, rest = divmod(len(order), batches.size)
            self._n_blocks_done += n_full * -(-batches.size // LANES) + -(-rest // LANES)
            self._update_penalty()
            self._move_weights(rates[first], n_steps + first + 1)

    def _move_weights(self, rate: np.float32, step: int) -> None:
        """Let the active weights drift after a step, which is counted from 1, if the method has a drift."""
        if self._drift is None:
            return
        layers = zip(self.weights("value"), self.signs, self.positions, strict=True)
        moved = [
            weights_after_drift(self._drift, weights, signs, layer, positions, rate, step)
            for layer, (weights, signs, positions) in enumerate(layers)
        ]
        self._by_source("value")[self._arrays[True].index_by_target] = np.concatenate(moved)

    def _optimizer(self) -> OptimizerArrays:
        values, first, *second = self._parameters.values()
        return OptimizerArrays(
            kind=KINDS.index(self._optimizer_name),
            values=values,
            gradient=self._parameter_gradient,
            first=first,
            second=second[0] if second else np.zeros(0, np.float32),
            momentum=self._hyperparameters.get("momentum", np.float32(0)),
            decay=self._hyperparameters["decay"],
            clip_norm=self._clip_norm,
        )

    def _running(self) -> UnitStatistics:
        return UnitStatistics(
            mean=self.means[self._hidden],
            variance=self.variances[self._hidden],
            duty=self.duty[self._hidden],
            unit_boost=self._unit_boost[self._hidden],
            boost_strength=self.boost_strength,
            duty_cycle_period=self._duty_cycle_period,
        )

    def compute_dense_gradient(self, buffers: Buffers, n_batch: int, input_mean: np.float32) -> None:
        """Set `gradient` to that of the last trained batch, at all positions. Shapes: (out, in) for each layer.

        Args:
            buffers: Of the batch.
            n_batch: Its number of examples.
            input_mean: The mean that is not subtracted from the inputs in the buffers.
        """
        n_blocks = -(-n_batch // LANES)
        blocks = list(zip(buffers.x[:n_blocks], buffers.dx[:n_blocks], strict=True))
        gradient = [
            sum(dx[middle:last] @ x[first:middle].T for x, dx in blocks) for first, middle, last in self.layers()
        ]
        first_layer = slice(*self._layer_ends[:2])
        gradient[0] -= input_mean * sum(dx[first_layer].sum(1, keepdims=True) for _, dx in blocks)
        self.gradient = [torch.from_numpy(each) for each in gradient]

    def coactivation(self) -> list[Tensor]:
        """Count for each position the examples, since `reset_coactivation`, for which both units were positive.

        Shapes: (out, in) for each layer.
        """
        counts = []
        for first, middle, last in self.layers():
            total = np.zeros((last - middle, middle - first), np.float32)
            if self._activity.size:
                count_coactivations(self._activity, first, middle, last, total)
            counts.append(torch.from_numpy(total))
        if self._counts_before:
            counts = [now + before for now, before in zip(counts, self._counts_before, strict=True)]
        return counts

    def reset_coactivation(self, counts: Sequence[Tensor] = ()) -> None:
        """Count coactivations from now on, starting with `counts`, or with zero."""
        self._counts_before = list(counts)
        self._activity = np.zeros((self._n_units, 0), np.uint64)

    def set_boost_strength(self, strength: float) -> None:
        """Set the boost strength, and the boost of each unit that follows from it and the duty cycles."""
        self.boost_strength = strength
        self._unit_boost[:] = np.exp(-np.float32(strength) * self.duty)
        self._update_penalty()

    def _update_penalty(self) -> None:
        """Set the penalties of strong boosting, which follow from the boost strength and the duty cycles."""
        if not len(self._penalty):
            return
        strength = torch.tensor([self.boost_strength])
        for _, middle, last in self.layers()[:-1]:
            duty = torch.from_numpy(self.duty[middle:last])
            self._penalty[middle:last] = boost_penalty(strength, duty[None])[0].numpy()
