"""The engine for many trials on one GPU.

Small networks spend their time on kernel launches. This engine needs few: each kernel covers all trials, and a training
step is recorded as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from dynsparse.data import Images
from dynsparse.engines.active_bits import active_bits, are_all_active, zero_inactive_
from dynsparse.engines.base import (
    Evaluation,
    Sums,
    UpdateContext,
    WeightSums,
    counts_over_epochs,
    initial_parameters,
    matmul_precision,
    select_examples,
)
from dynsparse.engines.flat_params import FlatParameters
from dynsparse.engines.mask_updates import compute_mask_updates
from dynsparse.engines.nested import copy_, map_tensors
from dynsparse.engines.packed.backprop import (
    ActiveUnits,
    ForwardPass,
    Loss,
    backward_,
    cross_entropy,
    forward,
    relu_active,
    squared_error,
    weighted_cross_entropy,
)
from dynsparse.engines.packed.cuda_graph import make_step_runner
from dynsparse.engines.packed.matmul import add_coactivation_counts_, expand_to_trials
from dynsparse.methods import MaskUpdate
from dynsparse.nn.functional import calibration_gaps, clip_factor, winner_scores
from dynsparse.ops import masks
from dynsparse.planning.plan import Plan
from dynsparse.studies import Parameters

# Floats of the widest layer that an evaluation may hold at a time, over all trials: 256 MB on a GPU. On a CPU, 4 MB
# stay near its caches.
MAX_EVALUATION_VALUES, MAX_EVALUATION_VALUES_ON_CPU = 2**26, 2**20
# Floats in the longest vector register, 64 bytes.
VECTOR_FLOATS = 16


def unsupported(plan: Plan) -> str | None:
    """Return the options of a plan that this engine does not support, or None if it supports them all."""
    method = plan.method
    options = {
        "augment": plan.augment is not None,
        "a drift of the weights": method.drift is not None,
        "trained weights that are not active": method.backward_density is not None,
        "batch_norm": plan.network.batch_norm,
        "dropout": plan.network.has_dropout,
        "the signs of positions": plan.updates is not None and "sign" in method.needs,
        "rules='legacy_2019'": bool(method.fails or method.counts_evaluation or method.moves_inactive),
    }
    return ", ".join(name for name, is_used in options.items() if is_used) or None


class PackedEngine:
    """The networks of a pack on one GPU, or on a CPU. It reads and writes the same saved states as `TorchEngine`.

    The tensors that a training step uses are allocated once and changed in place, because a recorded step refers to
    their addresses. Only the sums of a pass are read back. The engine is fastest if all trials have one seed. With
    several seeds, trials of one seed should be consecutive, with equally many trials per seed.

    In packs of one width a trial is bit-identical at any place, whatever the other trials are; with another width it
    differs by rounding. (On a CPU the place matters too if a layer has an odd number of units, as in `TorchEngine`.)
    """

    def __init__(self, plan: Plan, parameters: Parameters | None = None) -> None:
        self.plan = plan
        self._device = torch.device(plan.device)
        self._init_parameters(parameters or initial_parameters(plan))
        self._init_kwinners()
        self._init_statistics()
        self._init_groups()

    def _init_parameters(self, parameters: Parameters) -> None:
        plan, device = self.plan, self._device
        n_trials, shapes = len(plan.seeds), plan.network.shapes
        rest = [*shapes[1:], *((n_out,) for n_out, _ in shapes)]
        # The weights of the first layer are stored apart, so that those of all trials form one large matrix. The other
        # parameters are aligned to vectors: products are faster, and round in the same way at every place of the pack.
        self._flat = [
            FlatParameters(n_trials, shapes[:1], plan.optimizer, device),
            FlatParameters(n_trials, rest, plan.optimizer, device, pad_to=VECTOR_FLOATS),
        ]
        self.weights, self.biases = self._split(self._views("values"))
        self._gradients, self._bias_gradients = self._split(self._views("gradient"))
        self._active, _ = self._split(self._views("active"))
        weights, biases, active = parameters
        copy_(self.weights, weights)
        copy_(self.biases, biases)
        copy_(self._active, [active_bits(mask) for mask in active])
        self.masks = [mask.clone() for mask in active]
        self.targets = [masks.count(mask) for mask in self.masks]
        self._all_active = are_all_active(self.masks)

    def _init_kwinners(self) -> None:
        self._kwinners = kwinners = self.plan.network.kwinners
        n_trials, device = len(self.plan.seeds), self._device
        hidden = [n_out for n_out, _ in self.plan.network.shapes[:-1]]
        self.duty = [torch.zeros(n_trials, n, device=device) for n in hidden] if kwinners else []
        self.boost = torch.zeros(n_trials, device=device)
        self._winners: dict[bool, list[Tensor]] = {}
        if kwinners:
            self.boost += torch.as_tensor(kwinners.boost_strength).to(self.boost)
            self._is_strong = None if kwinners.is_strong is None else kwinners.is_strong.to(device)
            for training in (True, False):
                counts = [kwinners.winners(n, training=training) for n in hidden]
                self._winners[training] = [torch.tensor(k, device=device)[:, None] for k in counts]

    def _init_statistics(self) -> None:
        plan, device, n_trials = self.plan, self._device, len(self.plan.seeds)
        needs = plan.method.needs if plan.updates else frozenset()
        shapes = [mask.shape for mask in self.masks]

        def zeros(name: str) -> list[Tensor]:
            return [torch.zeros(shape, device=device) for shape in shapes] if name in needs else []

        self._coactivation, self._gradient_momentum = zeros("coactivation"), zeros("gradient_momentum")
        self._counts_over_epochs = counts_over_epochs(plan)
        self._needs_gradient = "gradient" in needs
        self._smoothing = torch.as_tensor(plan.method.smoothing).to(self.boost).view(-1, 1, 1)

        # On the device, so that a recorded step counts too.
        self._n_steps = torch.zeros((), dtype=torch.float64, device=device)
        self._n_seen = torch.zeros((), dtype=torch.int64, device=device)
        label_smoothing = torch.as_tensor(plan.label_smoothing).float().reshape(-1).to(device)
        self._loss_of: Callable[[Tensor, Tensor, Tensor | None], Loss]
        self._loss_of = squared_error if plan.loss.is_regression else cross_entropy
        self._training_loss = self._loss_of
        self._label_smoothing = label_smoothing if bool(label_smoothing.any()) else None
        # On the device from the start: a recorded step cannot copy it there.
        self._clip_norm = None if plan.clip_norm is None else torch.as_tensor(plan.clip_norm).double().to(device)
        self._rate = torch.zeros(n_trials, device=device)  # the learning rates of the step
        self._loss = torch.zeros(n_trials, dtype=torch.float64, device=device)
        self._correct = torch.zeros(n_trials, dtype=torch.int64, device=device)

    def _init_groups(self) -> None:
        plan, device = self.plan, self._device
        self._seeds = list(dict.fromkeys(plan.seeds))
        lengths = {len(list(trials)) for _, trials in groupby(plan.seeds)}
        group_size = lengths.pop() if len(lengths) == 1 else 1
        # The first trial of each group, and the index of its seed: see matmul.py.
        self._firsts = torch.arange(0, len(plan.seeds), group_size)
        self._seed_of_group = torch.tensor([self._seeds.index(plan.seeds[i]) for i in self._firsts], device=device)
        self._recorded_data: Tensor | None = None

    def _views(self, name: str) -> list[Tensor]:
        """Return a view of each parameter: weights of each layer, then biases of each layer."""
        return [view for flat in self._flat for view in flat.views(getattr(flat, name))]

    def _split(self, views: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        n_layers = len(self.plan.network.shapes)
        return views[:n_layers], views[n_layers:]

    def weight_sums(self) -> list[WeightSums]:
        """Return sums over the weights of each layer."""
        return [WeightSums.of(weight) for weight in self.weights]

    def prepare(self, parts: Sequence[Images], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Move images and labels to the device, one part per distinct seed or one for all.

        Returns:
            Images (parts, examples, inputs) and labels (parts, examples).
        """
        if len(parts) > 1:
            firsts = [self.plan.seeds.index(seed) for seed in self._seeds]
            parts, labels = [parts[i] for i in firsts], labels[firsts]
        x = torch.stack([part.normalised for part in parts]) if len(parts) > 1 else parts[0].normalised[None]
        return x.to(self._device), labels.to(self._device)

    def train_epoch(
        self,
        data: tuple[Tensor, Tensor],
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
        (x,), (y,) = data
        if self._recorded_data is not data[0]:
            self._recorded_data, self._run = data[0], make_step_runner(self._device)
            if class_weights is not None:
                self._training_loss = partial(weighted_cross_entropy, class_weights.to(self._device))
        step = partial(self._train_batch, x, y)
        group_order = order[self._firsts] if len(order) > 1 else order
        with matmul_precision(self.plan.precision):
            batches = group_order.to(self._device).split(self.plan.batch_size, dim=1)
            for index, rate in zip(batches, rates.to(self._rate), strict=True):
                self._rate.copy_(rate)
                self._run(step, index)
        sums = Sums(self._loss.clone(), self._correct.clone())
        self._loss.zero_()
        self._correct.zero_()
        return sums

    def _train_batch(self, x: Tensor, y: Tensor, index: Tensor) -> None:
        """Do one optimizer step. Shapes: x (examples, inputs), y (examples,), index (groups, batch) into both."""
        self._n_steps.add_(1)
        self._n_seen.add_(index.shape[1])
        forward_pass = forward(select_examples(x, index), self.weights, self.biases, self._active_units(training=True))
        labels = expand_to_trials(select_examples(y, index), len(self.boost))
        loss = self._training_loss(forward_pass.logits, labels, self._label_smoothing)
        self._loss.add_(loss.losses.double().sum(1))
        self._correct.add_(loss.correct.sum(1))
        self._count_winners(forward_pass)
        self._count_coactivations(forward_pass)
        backward_(loss.gradient, forward_pass, self.weights, self._gradients, self._bias_gradients)
        for mean, gradient in zip(self._gradient_momentum, self._gradients, strict=False):
            mean.mul_(self._smoothing).add_(gradient * (1 - self._smoothing))
        gradients = self._masked_gradients()
        if self._clip_norm is not None:
            squares = torch.stack([each.double().square().sum(1) for each in gradients], dim=1).sum(1)
            factor = clip_factor(squares, self._clip_norm).float()
            gradients = [flat.clipped(each, factor) for flat, each in zip(self._flat, gradients, strict=True)]
        for flat, gradient in zip(self._flat, gradients, strict=True):
            flat.step_(gradient, self._n_steps, self._rate)

    def _masked_gradients(self) -> list[Tensor]:
        """Return the flat gradients, with zeros for inactive weights. They replace the others unless needed."""
        if self._all_active:
            return [flat.gradient for flat in self._flat]
        if self._needs_gradient:
            return [flat.masked_gradient() for flat in self._flat]
        for flat in self._flat:
            zero_inactive_(flat.gradient, flat.active)
        return [flat.gradient for flat in self._flat]

    def _active_units(self, *, training: bool) -> ActiveUnits:
        return partial(self._winning_units, self._winners[training]) if self._kwinners else relu_active

    def _winning_units(self, winners: list[Tensor], layer: int, sums: Tensor) -> Tensor:
        """Return the bits of the k units with the largest boosted sums, as `nn.functional.k_winners`."""
        scores = winner_scores(sums, self.boost, self.duty[layer], self._is_strong)
        return active_bits(masks.select_highest(scores, winners[layer]))

    def _count_winners(self, forward_pass: ForwardPass) -> None:
        """Update the duty cycles as `nn.functional.updated_duty`, with the example count on the device."""
        if self._kwinners is None:
            return
        n_batch = forward_pass.logits.shape[1]
        length = self._n_seen.clamp(max=self._kwinners.period).clamp(min=n_batch)
        for duty, hidden in zip(self.duty, forward_pass.inputs[1:], strict=True):
            duty.mul_(length - n_batch).add_((hidden > 0).sum(1)).div_(length)

    def _count_coactivations(self, forward_pass: ForwardPass) -> None:
        """Count, for each connection, the examples for which both of its units are positive."""
        if not self._coactivation:
            return
        active = [(each > 0).float() for each in (*forward_pass.inputs, forward_pass.logits)]
        # TF32 is exact here: the factors are 0 and 1, and the sums are float32.
        with matmul_precision("tf32"):
            for total, of_inputs, of_units in zip(self._coactivation, active, active[1:], strict=False):
                add_coactivation_counts_(total, of_units, of_inputs)

    def evaluate(self, x: Tensor, y: Tensor) -> Evaluation:
        """Compute what `Evaluation` has without training, in parts that MAX_EVALUATION_VALUES allows.

        Shapes: x (seeds or 1, examples, inputs), y (seeds or 1, examples), from `prepare`.
        """
        n_trials, active_units = len(self.boost), self._active_units(training=False)
        loss = torch.zeros_like(self._loss)
        active = [torch.zeros_like(bias, dtype=torch.bool) for bias in self.biases[:-1]]
        correct, confidence = [], []
        # The images need little memory: they are shared by all trials, or by the trials of a seed.
        n_values = MAX_EVALUATION_VALUES_ON_CPU if self._device.type == "cpu" else MAX_EVALUATION_VALUES
        n_at_once = max(n_values // (n_trials * max(self.plan.network.sizes)), 1)
        with matmul_precision(self.plan.precision):
            for images, labels in zip(x.split(n_at_once, dim=1), y.split(n_at_once, dim=1), strict=True):
                if len(x) > 1:
                    images, labels = images[self._seed_of_group], labels[self._seed_of_group]
                forward_pass = forward(images, self.weights, self.biases, active_units)
                result = self._loss_of(forward_pass.logits, expand_to_trials(labels, n_trials), None)
                loss += result.losses.double().sum(1)
                correct.append(result.correct)
                confidence.append(self.plan.loss.confidence(forward_pass.logits))
                active = [each | (x > 0).any(1) for each, x in zip(active, forward_pass.inputs[1:], strict=True)]
        is_correct = torch.cat(correct, dim=1)
        return Evaluation(loss, is_correct.sum(1), calibration_gaps(torch.cat(confidence, dim=1), is_correct), active)

    def update_masks(self, when: UpdateContext) -> tuple[list[MaskUpdate], Tensor]:
        """Prune and grow every layer: see `Engine.update_masks`."""
        available = {
            "coactivation": self._coactivation,
            "gradient": self._gradients,
            "active_gradient": self._gradients,
            "gradient_momentum": self._gradient_momentum,
        }
        statistics = {name: available[name] for name in self.plan.method.needs}
        updates, failed = compute_mask_updates(self.plan, when, self.weights, self.masks, self.targets, statistics)
        for layer, update in enumerate(updates):
            # Weights that stay keep their value and optimizer state. Grown ones start with zeros.
            new = active_bits(update.mask)
            zero_inactive_(self.weights[layer], new)
            for state in self._optimizer()[layer].values():
                zero_inactive_(state, new & self._active[layer])
            self.masks[layer] = update.mask
            self._active[layer].copy_(new)
        self._all_active = are_all_active(self.masks)
        self._reset_coactivation()
        return updates, failed

    def _reset_coactivation(self) -> None:
        for total in self._coactivation:
            total.zero_()

    def _optimizer(self) -> list[dict[str, Tensor]]:
        """Return the optimizer state of each parameter, in the order of `_views`."""
        return [state for flat in self._flat for state in flat.state_views()]

    def end_epoch(self) -> None:
        """Decay the boost strength, and reset the coactivation counts if they are those of an epoch."""
        if not self._counts_over_epochs:
            self._reset_coactivation()
        if self._kwinners is not None:
            self.boost *= torch.as_tensor(self._kwinners.boost_factor).to(self.boost)

    def state_dict(self) -> dict[str, Any]:
        """Return what any engine of the same plan needs to resume after an epoch, in the format of `TorchEngine`."""
        tensors = {**self._tensors(), "masks": self.masks, "targets": self.targets}
        none: dict[str, Any] = {name: [] for name in ("gains", "shifts", "means", "variances")}
        return {**map_tensors(_clone, tensors), **none, "n_steps": int(self._n_steps), "n_seen": int(self._n_seen)}

    def _tensors(self) -> dict[str, Any]:
        """Return the part of the state whose tensors keep their addresses."""
        return {
            "weights": self.weights,
            "biases": self.biases,
            "duty": self.duty,
            "boost": self.boost,
            "gradient_momentum": self._gradient_momentum,
            "optimizer": self._optimizer(),
            **({"coactivation": self._coactivation} if self._counts_over_epochs else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict` of any engine."""
        for name, tensors in self._tensors().items():
            copy_(tensors, state[name])
        self.masks = [mask.to(self._device, copy=True) for mask in state["masks"]]
        self.targets = [target.to(self._device, copy=True) for target in state["targets"]]
        copy_(self._active, [active_bits(mask) for mask in self.masks])
        self._all_active = are_all_active(self.masks)
        self._n_steps.fill_(state["n_steps"])
        self._n_seen.fill_(state["n_seen"])


def _clone(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)
