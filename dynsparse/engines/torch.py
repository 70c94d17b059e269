"""The engine that supports every option: dense arithmetic in torch with a leading trials axis, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dynsparse import random
from dynsparse.data import Images
from dynsparse.engines.base import (
    Evaluation,
    Sums,
    UpdateContext,
    WeightSums,
    active_bits,
    compute_mask_updates,
    counts_over_epochs,
    draw_per_seed,
    initial_parameters,
    matmul_precision,
    zero_inactive,
    zero_inactive_,
)
from dynsparse.engines.nested import map_tensors
from dynsparse.methods import MaskUpdate
from dynsparse.nn.functional import batch_norm, calibration_gaps, clip_factor, k_winners, linear, smoothed, updated_duty
from dynsparse.nn.optimizers import along
from dynsparse.ops import masks
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream
from dynsparse.studies import Parameters

EVALUATION_BATCH = 1000  # examples


class TorchEngine:
    """The networks of a pack: weights, masks and optimizer state.

    A saved state has the attributes in `STATE`. Shapes have a leading trials axis: weights and masks are
    (trials, out, in) for each layer.
    """

    STATE = (
        "weights", "biases", "masks", "targets", "gains", "shifts", "means", "variances", "duty", "boost",
        "gradient_momentum", "optimizer", "n_steps", "n_seen",
    )  # fmt: skip
    # In addition, if coactivation is counted from one mask update to the next: `coactivation`.

    def __init__(self, plan: Plan, parameters: Parameters | None = None) -> None:
        self.plan = plan
        self._counts_over_epochs = counts_over_epochs(plan)
        self._state_names = (*self.STATE, "coactivation") if self._counts_over_epochs else self.STATE
        self.shapes = plan.network.shapes
        n_trials, device = len(plan.seeds), torch.device(plan.device)
        # Copies, because training changes them in place.
        copies = [[each.clone() for each in layers] for layers in parameters or initial_parameters(plan)]
        self.weights, self.biases, self.masks = copies
        self.targets = [masks.count(mask) for mask in self.masks]
        self._active = [active_bits(mask) for mask in self.masks]

        hidden = [n_out for n_out, _ in self.shapes[:-1]]
        normed = hidden if plan.network.batch_norm else []
        self.gains = [torch.ones(n_trials, n, device=device) for n in normed]
        self.shifts = [torch.zeros(n_trials, n, device=device) for n in normed]
        self.means = [torch.zeros(n_trials, n, device=device) for n in normed]
        self.variances = [torch.ones(n_trials, n, device=device) for n in normed]
        kwinners = plan.network.kwinners
        self.duty = [torch.zeros(n_trials, n, device=device) for n in hidden] if kwinners else []
        self.boost = torch.zeros(n_trials, device=device)
        if kwinners:
            self.boost += torch.as_tensor(kwinners.boost_strength).to(self.boost)
            self._is_strong = None if kwinners.is_strong is None else kwinners.is_strong.to(device)
            self._winners = {
                training: [kwinners.winners(n, training=training) for n in hidden] for training in (True, False)
            }

        needs = plan.method.needs if plan.updates else frozenset()
        self.coactivation = [torch.zeros_like(w) for w in self.weights] if "coactivation" in needs else None
        self.gradient_momentum = [torch.zeros_like(w) for w in self.weights] if "gradient_momentum" in needs else []
        self.gradient: list[Tensor] | None = None
        self._needs_gradient = "gradient" in needs
        smoothing = torch.as_tensor(plan.label_smoothing).float().reshape(-1).to(device)
        self._smoothing = smoothing if bool(smoothing.any()) else None
        self.optimizer = [plan.optimizer.init(parameter) for parameter in self._parameters()]
        self.n_steps = 0
        self.n_seen = 0

    def weight_sums(self) -> list[WeightSums]:
        """Return sums over the weights of each layer."""
        return [WeightSums.of(weight) for weight in self.weights]

    def _parameters(self) -> list[Tensor]:
        return [*self.weights, *self.biases, *self.gains, *self.shifts]

    def forward(self, x: Tensor, *, epoch: int, training: bool) -> tuple[Tensor, list[Tensor]]:
        """Compute the logits, and the activations of all layers: input, hidden layers, logits.

        Training updates the duty cycles and the running statistics of batch norm in place.

        Shapes: x (trials, batch, inputs); logits (trials, batch, classes).
        """
        activations = [x]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = linear(x, weight, bias)
            if layer == len(self.weights) - 1:
                activations.append(x)
                break
            if self.gains:
                moments = self.means[layer], self.variances[layer]
                x = batch_norm(x, self.gains[layer], self.shifts[layer], *moments, training=training)
            x = self._activate(x, layer, training)
            activations.append(x.detach())
            if training and self.plan.network.has_dropout:
                x = self._drop_units(x, layer, epoch)
        return x, activations

    def _activate(self, x: Tensor, layer: int, training: bool) -> Tensor:
        kwinners = self.plan.network.kwinners
        if kwinners is None:
            return x.relu()
        out = k_winners(x, self._winners[training][layer], self.boost, self.duty[layer], self._is_strong)
        if training:
            self.duty[layer] = updated_duty(self.duty[layer], out.detach(), kwinners.period, self.n_seen)
        return out

    def _drop_units(self, x: Tensor, layer: int, epoch: int) -> Tensor:
        probability = torch.as_tensor(self.plan.network.dropout).to(x).view(-1, 1, 1)
        shape = x.shape[1], x.shape[2]
        stream = {"epoch": epoch, "layer": layer, "step": self.n_steps}
        uniform = draw_per_seed(self.plan, lambda seed: random.uniform(shape, Stream(seed, Purpose.DROPOUT, **stream)))
        return x * (uniform >= probability) / (1 - probability)

    def prepare(self, parts: Sequence[Images], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Move images and labels to the device, one part per trial or one for all.

        Returns:
            Images (parts, examples, inputs) and labels (parts, examples).
        """
        x = torch.stack([part.normalised for part in parts]) if len(parts) > 1 else parts[0].normalised[None]
        return x.to(self.plan.device), labels.to(self.plan.device)

    def train_epoch(self, data: tuple[Tensor, Tensor], order: Tensor, *, epoch: int, rates: Tensor) -> Sums:
        """Train for one pass over the examples, with one optimizer step per batch.

        Shapes: order (trials or 1, examples); rates (batches, trials); `data` has one part.
        """
        (x,), (y,) = data
        batches = order.to(self.plan.device).split(self.plan.batch_size, dim=1)
        with matmul_precision(self.plan.precision):
            sums = [
                self.train_batch(x[index], y[index], epoch=epoch, rate=rate)
                for index, rate in zip(batches, rates, strict=True)
            ]
        # Sum along the last dimension: along the first, the order of additions would depend on the number of trials.
        return Sums(*(torch.stack(each, dim=1).sum(1) for each in zip(*sums, strict=True)))

    def train_batch(self, x: Tensor, y: Tensor, *, epoch: int, rate: Tensor) -> Sums:
        """Do one optimizer step on one batch.

        Shapes: x (trials or 1, batch, inputs), y (trials or 1, batch); a first dimension of 1 is shared by all trials;
        rate (trials,), the learning rates.
        """
        n_trials = len(self.plan.seeds)
        x, y = x.expand(n_trials, -1, -1), y.expand(n_trials, -1)
        self.n_steps += 1
        self.n_seen += x.shape[1]
        parameters = self._parameters()
        for parameter in parameters:
            parameter.requires_grad_(True)
        logits, activations = self.forward(x, epoch=epoch, training=True)
        losses = F.cross_entropy(logits.mT, y, reduction="none")
        if self._smoothing is not None:
            losses = smoothed(losses, logits.log_softmax(-1), self._smoothing)
        # The sum of each trial's mean. A mean over trials would divide gradients by the width of the pack.
        gradients = torch.autograd.grad(losses.mean(1).sum(), parameters)
        for parameter in parameters:
            parameter.requires_grad_(False)
        self._count_coactivations(activations)
        self._keep_gradients(gradients)
        self._step(parameters, gradients, rate.to(self.weights[0]))
        return Sums(losses.detach().double().sum(1), (logits.detach().argmax(-1) == y).sum(1))

    def _count_coactivations(self, activations: list[Tensor]) -> None:
        """Count, for each connection, the examples for which both of its units are positive."""
        if self.coactivation is None:
            return
        active = [(a > 0).float() for a in activations]
        for layer, total in enumerate(self.coactivation):
            total.baddbmm_(active[layer + 1].mT, active[layer])

    def _keep_gradients(self, gradients: tuple[Tensor, ...]) -> None:
        if self._needs_gradient:
            self.gradient = list(gradients[: len(self.weights)])
        if self.gradient_momentum:
            smoothing = torch.as_tensor(self.plan.method.smoothing).to(self.weights[0]).view(-1, 1, 1)
            for mean, gradient in zip(self.gradient_momentum, gradients, strict=False):
                mean.mul_(smoothing).add_(gradient * (1 - smoothing))

    def _step(self, parameters: list[Tensor], gradients: tuple[Tensor, ...], rate: Tensor) -> None:
        n_layers, masked = len(self._active), not self.plan.method.moves_inactive
        if masked:
            gradients = self._masked(gradients)
        if self.plan.clip_norm is not None:
            squares = torch.stack([each.flatten(1).double().square().sum(1) for each in gradients], dim=1).sum(1)
            factor = clip_factor(squares, self.plan.clip_norm).float()
            gradients = tuple(each * along(factor, each) for each in gradients)
            # The factor of a trial that diverges is NaN, also for inactive weights.
            gradients = self._masked(gradients) if masked else gradients
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            self.plan.optimizer.step_(parameter, gradient, self.optimizer[i], self.n_steps, rate)
            if i < n_layers and not masked:
                zero_inactive_(parameter, self._active[i])

    def _masked(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the gradients of all parameters, with zeros for inactive weights."""
        of_weights = (zero_inactive(each, active) for each, active in zip(gradients, self._active, strict=False))
        return *of_weights, *gradients[len(self._active) :]

    @torch.no_grad()
    def evaluate(self, x: Tensor, y: Tensor) -> Evaluation:
        """Compute loss, correct examples, calibration and active units without training.

        Shapes: x (trials or 1, examples, inputs), y (trials or 1, examples).
        """
        n_trials = len(self.plan.seeds)
        loss = torch.zeros(n_trials, dtype=torch.float64, device=x.device)
        active = [torch.zeros_like(bias, dtype=torch.bool) for bias in self.biases[:-1]]
        correct, confidence = [], []
        for start in range(0, x.shape[1], EVALUATION_BATCH):
            part = x[:, start : start + EVALUATION_BATCH].expand(n_trials, -1, -1)
            target = y[:, start : start + EVALUATION_BATCH].expand(n_trials, -1)
            with matmul_precision(self.plan.precision):
                logits, activations = self.forward(part, epoch=0, training=False)
            if self.plan.method.counts_evaluation:
                self._count_coactivations(activations)
            loss += F.cross_entropy(logits.mT, target, reduction="none").double().sum(1)
            correct.append(logits.argmax(-1) == target)
            confidence.append(logits.softmax(-1).amax(-1))
            active = [each | (a > 0).any(1) for each, a in zip(active, activations[1:-1], strict=True)]
        is_correct = torch.cat(correct, dim=1)
        return Evaluation(loss, is_correct.sum(1), calibration_gaps(torch.cat(confidence, dim=1), is_correct), active)

    @torch.no_grad()
    def update_masks(self, when: UpdateContext) -> tuple[list[MaskUpdate], Tensor]:
        """Prune and grow every layer: see `Engine.update_masks`."""
        available = {
            "coactivation": self.coactivation,
            "gradient": self.gradient,
            "gradient_momentum": self.gradient_momentum,
        }
        statistics = {name: layers for name, layers in available.items() if layers}
        updates, failed = compute_mask_updates(self.plan, when, self.weights, self.masks, self.targets, statistics)
        for i, (weight, update) in enumerate(zip(self.weights, updates, strict=True)):
            # Weights that stay keep their value. Grown ones are zero already.
            new = active_bits(update.mask)
            zero_inactive_(weight, new)
            if not self.plan.method.moves_inactive:
                for state in self.optimizer[i].values():
                    zero_inactive_(state, new & self._active[i])
            self.masks[i], self._active[i] = update.mask, new
        self._reset_coactivation()
        return updates, failed

    def _reset_coactivation(self) -> None:
        for total in self.coactivation or []:
            total.zero_()

    def end_epoch(self) -> None:
        """Decay the boost strength, and reset the coactivation counts if they are those of an epoch."""
        if not self._counts_over_epochs:
            self._reset_coactivation()
        if self.plan.network.kwinners is not None:
            self.boost *= torch.as_tensor(self.plan.network.kwinners.boost_factor).to(self.boost)

    def state_dict(self) -> dict[str, Any]:
        """Return what any engine of the same plan needs to resume after an epoch; this one resumes bit-identically."""
        return {name: getattr(self, name) for name in self._state_names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict` of any engine."""
        for name in self._state_names:
            setattr(self, name, map_tensors(lambda tensor: tensor.to(self.plan.device, copy=True), state[name]))
        self._active = [active_bits(mask) for mask in self.masks]
