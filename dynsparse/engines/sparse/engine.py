"""The engine for CPUs: time and memory follow the number of active weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsparse.data import Images
from dynsparse.engines.base import Sums, UpdateContext, compute_mask_updates, initial_parameters
from dynsparse.engines.sparse import kernels
from dynsparse.engines.sparse.simd import LANES
from dynsparse.methods import MaskUpdate
from dynsparse.ops import masks
from dynsparse.planning.plan import Plan
from dynsparse.studies import Parameters

Array = np.ndarray[Any, Any]


def unsupported(plan: Plan) -> str | None:
    """What this engine cannot do of a plan; None if it can do it."""
    method, needs = plan.method, plan.method.needs if plan.updates else frozenset()
    cannot = {
        f"device={plan.device!r}": plan.device != "cpu",
        "batch_norm": plan.network.batch_norm,
        "dropout": plan.network.has_dropout,
        "a gradient of all weights at every step": "gradient_momentum" in needs,
        "rules='legacy_2019'": bool(method.fails or method.counts_evaluation or method.moves_inactive),
    }
    return ", ".join(what for what, is_asked in cannot.items() if is_asked) or None


class SparseEngine:
    """The networks of a pack: see `TorchEngine`, whose saved states this engine reads and writes.

    `weights` are made dense when they are asked for. Trials are computed one after the other, and share each batch.
    """

    def __init__(self, plan: Plan, parameters: Parameters | None = None) -> None:
        self.plan = plan
        weights, biases, active = parameters or initial_parameters(plan)
        self.masks = list(active)
        self.targets = [masks.count(mask) for mask in self.masks]
        self._trials = [
            Trial(
                plan, number, [m[number] for m in self.masks], [w[number] for w in weights], [b[number] for b in biases]
            )
            for number in range(len(plan.seeds))
        ]
        needs = plan.method.needs if plan.updates else frozenset()
        self._counts_coactivation, self._needs_gradient = "coactivation" in needs, "gradient" in needs
        self.n_steps = 0
        self.n_seen = 0
        # Scratch, for the batch at hand.
        n_blocks, n_units = -(-plan.batch_size // LANES), sum(plan.network.sizes)
        self._x = _rows(n_blocks, max(n_units, LANES))
        self._d = _rows(n_blocks, n_units)
        (self._scaled,) = _rows(1, n_units)
        self._passes = np.zeros(n_units, np.uint64)

    @property
    def weights(self) -> list[Tensor]:
        """Of each layer, zero where the mask is False. Shapes: (trials, out, in)."""
        return self._dense("weight")

    @property
    def biases(self) -> list[Tensor]:
        """Of each layer. Shapes: (trials, out)."""
        return self._per_layer("weight", "of_biases")

    def _dense(self, name: str) -> list[Tensor]:
        """What trials have of each active weight, layer by layer, with zeros between."""
        result = [torch.zeros(mask.shape) for mask in self.masks]
        for number, trial in enumerate(self._trials):
            done = 0
            values = torch.from_numpy(trial.of_weights[name])
            for layer, mask in zip(result, self.masks, strict=True):
                n = int(masks.count(mask[number]))
                layer[number][mask[number]] = values[done : done + n]
                done += n
        return result

    def prepare(self, parts: Sequence[Images], labels: Tensor) -> tuple[list[Images], Tensor]:
        """Images and labels as this engine wants them: as they are stored. Shapes: labels (parts, examples)."""
        missing = max(LANES - parts[0].pixels.shape[1], 0)
        # The kernels read 64 pixels at a time.
        wide = [
            replace(part, pixels=np.pad(part.pixels, [(0, 0), (0, missing)])) if missing else part for part in parts
        ]
        return wide, labels

    def train_epoch(self, held: tuple[list[Images], Tensor], order: Tensor, *, epoch: int) -> Sums:
        """One pass over the examples, one step for each batch.

        Shapes: order (seeds or 1, examples), which examples come one after the other; `held` has one part.
        """
        (images,), (labels,) = held
        classes, orders = labels.numpy(), order.numpy()
        size, n = self.plan.batch_size, orders.shape[1]
        # As many words as examples come, each batch beginning with a new one, and a multiple of eight.
        n_words = -(-n // size) * len(self._x)
        for trial in self._trials:
            trial.begin_epoch(n_words + -n_words % 8 if self._counts_coactivation else 0)
        mean, scale = np.float32(images.mean), np.float32(images.scale)
        for begin in range(0, n, size):
            self.n_steps += 1
            self.n_seen += min(size, n - begin)
            for number, batch in enumerate(orders[:, begin : begin + size]):
                kernels.turn(images.pixels, batch, mean, scale, self._x)
                trials = self._trials if len(orders) == 1 else self._trials[number : number + 1]
                for trial in trials:
                    self._train_batch(trial, classes[batch], is_last=begin + size >= n)
        losses, right = zip(*((trial.loss, trial.n_right) for trial in self._trials), strict=True)
        return Sums(torch.tensor(losses, dtype=torch.float64), torch.tensor(right))

    def _train_batch(self, trial: Trial, target: Array, *, is_last: bool) -> None:
        n_blocks = -(-len(target) // LANES)
        x, d = self._x[:n_blocks], self._d[:n_blocks]
        loss, right = kernels.train_blocks(
            *trial.network(training=True), self.n_steps, x, d, self._scaled, self._passes, target, len(target),
            trial.weight_gradient, trial.bias_gradient, trial.n_active, trial.activity, trial.n_words,
        )  # fmt: skip
        trial.loss += loss
        trial.n_right += right
        trial.step(self.n_steps)
        trial.count_winners(len(target), self.n_seen)
        trial.n_words += n_blocks
        if is_last and self._needs_gradient:
            trial.gradient = [
                torch.from_numpy(sum(each_d[lo:hi] @ each_x[before:lo].T for each_d, each_x in zip(d, x, strict=True)))
                for before, lo, hi in trial.layers()
            ]

    def evaluate(self, x: list[Images], y: Tensor) -> Sums:
        """A pass without training. Shapes: y (seeds or 1, examples)."""
        results = []
        for number, trial in enumerate(self._trials):
            part = number if len(x) > 1 else 0
            mean, scale = np.float32(x[part].mean), np.float32(x[part].scale)
            results.append(
                kernels.test_all(
                    *trial.network(training=False), x[part].pixels, mean, scale, y[part].numpy(),
                    self._x[:1], self._d[:1], self._scaled, self._passes,
                )
            )  # fmt: skip
        losses, right = zip(*results, strict=True)
        return Sums(torch.tensor(losses, dtype=torch.float64), torch.tensor(right))

    def update_masks(self, when: UpdateContext) -> tuple[list[MaskUpdate], Tensor]:
        """One mask update of every layer: see `TorchEngine`."""
        statistics: dict[str, list[Tensor]] = {}
        if self._counts_coactivation:
            statistics["coactivation"] = _stacked([trial.coactivation() for trial in self._trials])
        if self._needs_gradient:
            statistics["gradient"] = _stacked([trial.gradient for trial in self._trials])
        weights = self.weights
        updates, failed = compute_mask_updates(self.plan, when, weights, self.masks, self.targets, statistics)
        names = list(self._trials[0].of_weights)
        dense = {name: weights if name == "weight" else self._dense(name) for name in names}
        # What comes new has neither weight nor past; what stays keeps both.
        stay = [update.mask & mask for update, mask in zip(updates, self.masks, strict=True)]
        self.masks = [update.mask for update in updates]
        for number, trial in enumerate(self._trials):
            kept = {
                name: [layer[number] * each[number] for layer, each in zip(layers, stay, strict=True)]
                for name, layers in dense.items()
            }
            trial.compress([mask[number] for mask in self.masks], kept)
        return updates, failed

    def end_epoch(self) -> None:
        """What happens once an epoch: boosting fades."""
        if self.plan.network.kwinners is not None:
            factor = torch.as_tensor(self.plan.network.kwinners.boost_factor).float().expand(len(self._trials))
            for trial, each in zip(self._trials, factor.tolist(), strict=True):
                trial.fade(each)

    def state_dict(self) -> dict[str, Any]:
        """All that a later engine of the same plan needs to continue, after an epoch, as `TorchEngine` has it."""
        names = [name for name in self._trials[0].of_weights if name != "weight"]
        of_weights = {name: self._dense(name) for name in names}
        of_biases = {name: self._per_layer(name, "of_biases") for name in names}
        states = [{name: of_weights[name][layer] for name in names} for layer in range(len(self.masks))]
        states += [{name: of_biases[name][layer] for name in names} for layer in range(len(self.masks))]
        return {
            "weights": self.weights,
            "biases": self.biases,
            "masks": self.masks,
            "targets": self.targets,
            **{name: [] for name in ("gains", "shifts", "means", "variances", "gradient_momentum")},
            "duty": self._per_layer("duty", "of_units")[:-1] if self.plan.network.kwinners else [],
            "boost": torch.tensor([trial.boost for trial in self._trials]),
            "optimizer": states,
            "n_steps": self.n_steps,
            "n_seen": self.n_seen,
        }

    def _per_layer(self, name: str, table: str) -> list[Tensor]:
        """What trials have of each unit, layer by layer. Shapes: (trials, out)."""
        values = [torch.from_numpy(getattr(trial, table)[name]) for trial in self._trials]
        return [torch.stack([each[lo:hi] for each in values]) for _, lo, hi in self._trials[0].layers()]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`, of this engine or of `TorchEngine`."""
        self.masks = [mask.clone() for mask in state["masks"]]
        self.targets = [target.clone() for target in state["targets"]]
        self.n_steps, self.n_seen = state["n_steps"], state["n_seen"]
        n_layers = len(self.masks)
        for number, trial in enumerate(self._trials):
            saved = state["optimizer"]
            dense = {"weight": [layer[number] for layer in state["weights"]]}
            dense |= {name: [layer[name][number] for layer in saved[:n_layers]] for name in saved[0]}
            trial.compress([mask[number] for mask in self.masks], dense)
            trial.set_units("of_biases", "weight", [layer[number] for layer in state["biases"]])
            for name in saved[0]:
                trial.set_units("of_biases", name, [layer[name][number] for layer in saved[n_layers:]])
            trial.set_units("of_units", "duty", [layer[number] for layer in state["duty"]])
            trial.boost = float(state["boost"][number])
            trial.fade(1.0)


class Trial:
    """One network as lists of units and of active weights, layer after layer: see kernels.py.

    `of_weights` and `of_biases` have the parameters, under "weight", and the optimiser's state of each; `of_units` has
    what k-winners need of a unit. Those of units begin with the inputs, which have none of it.
    """

    def __init__(self, plan: Plan, number: int, mask: list[Tensor], weight: list[Tensor], bias: list[Tensor]) -> None:
        sizes = plan.network.sizes
        self.ends = np.cumsum(sizes)
        n_units = int(self.ends[-1])
        self._optimizer = plan.optimizer.name
        self._values = {
            name: np.float32(value.expand(len(plan.seeds))[number]) for name, value in plan.optimizer.values.items()
        }
        state_names = list(plan.optimizer.init(torch.zeros(1, 1)))
        self.of_biases = {name: np.zeros(n_units, np.float32) for name in ["weight", *state_names]}
        self.set_units("of_biases", "weight", bias)
        self.of_weights: dict[str, Array] = {}
        self.compress(mask, {"weight": weight, **{name: [torch.zeros_like(w) for w in weight] for name in state_names}})
        self.bias_gradient = np.zeros(n_units, np.float32)
        self.n_active = np.zeros(n_units, np.float32)
        self.of_units = {"duty": np.zeros(n_units, np.float32), "factor": np.ones(n_units, np.float32)}
        self._kwinners = kwinners = plan.network.kwinners
        self.boost = 0.0
        self._winners = {training: np.zeros(len(sizes) - 2, np.int64) for training in (True, False)}
        if kwinners is not None:
            self.boost = float(torch.as_tensor(kwinners.boost_strength).float().expand(len(plan.seeds))[number])
            for training, found in self._winners.items():
                each = [kwinners.winners(n, training=training) for n in sizes[1:-1]]
                found[:] = [k[number if len(k) > 1 else 0] for k in each]
        self.gradient: list[Tensor] = []  # of the loss, for every position, on the last batch
        self.begin_epoch(0)

    def layers(self) -> list[tuple[int, int, int]]:
        """Of each layer: where its inputs begin, where they end and its units begin, where these end."""
        ends = [0, *self.ends.tolist()]
        return list(zip(ends, ends[1:], ends[2:], strict=False))

    def set_units(self, table: str, name: str, values: Sequence[Tensor]) -> None:
        """Set what units have, from the values of each layer."""
        for (_, lo, hi), each in zip(self.layers(), values, strict=False):
            getattr(self, table)[name][lo:hi] = each.numpy()

    def compress(self, mask: Sequence[Tensor], dense: dict[str, list[Tensor]]) -> None:
        """Take over masks, and what there is of each weight. Shapes: (out, in) for each layer."""
        active = [each.numpy() for each in mask]
        n_of_unit = np.concatenate([np.zeros(self.ends[0], np.int64), *(each.sum(1) for each in active)])
        self.start = np.concatenate([[0], n_of_unit.cumsum()])
        first = [before for before, _, _ in self.layers()]
        self.source = np.concatenate([each.nonzero()[1] + n for each, n in zip(active, first, strict=True)])
        self.source = self.source.astype(np.uint32)
        self.of_weights = {
            name: np.concatenate([layer.numpy()[each] for layer, each in zip(layers, active, strict=True)])
            for name, layers in dense.items()
        }
        self.weight_gradient = np.zeros(len(self.source), np.float32)

    def network(self, *, training: bool) -> tuple[Any, ...]:
        """What the kernels take for a network."""
        weight, bias = self.of_weights["weight"], self.of_biases["weight"]
        return self.start, self.source, weight, bias, self.ends, self._winners[training], self.of_units["factor"]

    def begin_epoch(self, n_words: int) -> None:
        """Forget the sums of the last epoch. `n_words`: how many blocks come, if activity is to be kept."""
        self.loss, self.n_right, self.n_words = 0.0, 0, 0
        self.activity = np.zeros((int(self.ends[-1]), n_words), np.uint64)

    def step(self, n_steps: int) -> None:
        """One step of the optimiser, which sets the gradients to zero."""
        for table, gradient in [(self.of_weights, self.weight_gradient), (self.of_biases, self.bias_gradient)]:
            if self._optimizer == "SGD":
                kernels.sgd(table["weight"], gradient, table["velocity"], *self._values.values())
            else:
                corrections = np.float32(1 - 0.9**n_steps), np.float32(1 - 0.999**n_steps)
                state = table["mean"], table["square"]
                kernels.adam(table["weight"], gradient, *state, *self._values.values(), *corrections)

    def count_winners(self, n_batch: int, n_seen: int) -> None:
        """Update the duty cycles after a batch; `n_seen` counts examples, this batch included."""
        if self._kwinners is not None:
            # A batch longer than the period would give the past a negative weight.
            length = max(min(self._kwinners.period, n_seen), n_batch)
            kernels.update_duty(
                self.of_units["duty"], self.n_active, n_batch, length, self.boost, self.of_units["factor"],
                self.ends[0], self.ends[-2],
            )  # fmt: skip

    def fade(self, factor: float) -> None:
        """Multiply the boost strength."""
        self.boost = float(np.float32(self.boost) * np.float32(factor))
        self.of_units["factor"][:] = np.exp(-np.float32(self.boost) * self.of_units["duty"])

    def coactivation(self) -> list[Tensor]:
        """For how many examples of the epoch both ends of each position were active. Shapes: (out, in) per layer."""
        counts = []
        for before, lo, hi in self.layers():
            total = np.empty((hi - lo, lo - before), np.float32)
            kernels.count_coactivations(self.activity, before, lo, hi, total)
            counts.append(torch.from_numpy(total))
        return counts


def _rows(n_blocks: int, n_units: int) -> Array:
    """Zeros, (blocks, units, 64), from a multiple of 64 bytes on: no vector lies across two cache lines."""
    content = np.zeros(n_blocks * n_units * LANES * 4 + 64, np.uint8)
    first = -content.ctypes.data % 64
    return content[first : first + content.size - 64].view(np.float32).reshape(n_blocks, n_units, LANES)


def _stacked(trials: list[list[Tensor]]) -> list[Tensor]:
    """Layers of trials as trials of layers."""
    return [torch.stack(layer) for layer in zip(*trials, strict=True)]
