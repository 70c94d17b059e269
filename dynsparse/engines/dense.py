"""Dense arithmetic in torch with a leading trials axis: what the engines `torch` and `module` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dynsparse.data import Images
from dynsparse.data.augmentation import augmentation_numbers
from dynsparse.engines.active_bits import active_bits, are_all_active, zero_inactive, zero_inactive_
from dynsparse.engines.base import (
    Evaluation,
    Sums,
    UpdateContext,
    WeightSums,
    counts_over_epochs,
    draw_per_seed,
    initial_parameters,
    matmul_precision,
    select_examples,
)
from dynsparse.engines.drift import drift_, position_signs
from dynsparse.engines.latent_weights import initial_latent_weights, step_, trained_positions
from dynsparse.engines.mask_updates import compute_mask_updates
from dynsparse.engines.nested import map_tensors
from dynsparse.methods import MaskUpdate
from dynsparse.nn.functional import calibration_gaps, clip_factor, smoothed
from dynsparse.nn.optimizers import along
from dynsparse.ops import masks
from dynsparse.planning.plan import Plan
from dynsparse.studies import Parameters


class DenseEngine(ABC):
    """Weights, masks, statistics and optimizer state of a pack. A subclass computes logits and gradients.

    A saved state has the attributes that `state_names` lists. Shapes have a leading trials axis: weights and masks are
    (trials, out, in) for each layer.
    """

    # In addition, if coactivation is counted from one mask update to the next: `coactivation`.
    STATE: tuple[str, ...]
    EVALUATION_BATCH: int  # examples

    def __init__(self, plan: Plan, parameters: Parameters | None = None) -> None:
        self.plan = plan
        self._counts_over_epochs = counts_over_epochs(plan)
        self._has_latent = plan.method.backward_density is not None
        self._state_names = (
            *self.STATE,
            *(("coactivation",) if self._counts_over_epochs else ()),
            *(("latent", "trained") if self._has_latent else ()),
        )
        self.shapes = plan.network.shapes
        # Copies, because training changes them in place.
        copies = [[each.clone() for each in layers] for layers in parameters or initial_parameters(plan)]
        self.weights, self.biases, self.masks = copies
        self.targets = [masks.count(mask) for mask in self.masks]
        self._init_latent(is_new=parameters is None)
        self._note_active()
        needs = plan.method.needs if plan.updates else frozenset()
        self.coactivation = [torch.zeros_like(w) for w in self.weights] if "coactivation" in needs else None
        self.gradient_momentum = [torch.zeros_like(w) for w in self.weights] if "gradient_momentum" in needs else []
        self.gradient: list[Tensor] | None = None
        self.signs = position_signs(plan) if plan.method.drift is not None or "sign" in needs else []
        self._needs_gradient = bool({"gradient", "active_gradient"} & needs)
        smoothing = torch.as_tensor(plan.label_smoothing).float().reshape(-1).to(plan.device)
        self._smoothing = smoothing.expand(len(plan.seeds)) if bool(smoothing.any()) else None
        self._class_weights: Tensor | None = None  # (trials, classes)
        self.n_steps = 0
        self.n_seen = 0

    def _init_latent(self, *, is_new: bool) -> None:
        """Set the weights of all positions, and which of them are trained; none without a `backward_density`."""
        self.latent: list[Tensor] = []
        self.trained: list[Tensor] = []
        if self._has_latent:
            # Given parameters, such as those of a network that a study has pruned, are 0 where they are inactive.
            self.latent = initial_latent_weights(self.plan) if is_new else [each.clone() for each in self.weights]
            self.trained = trained_positions(self.plan, self.latent, self.masks)

    def _note_active(self) -> None:
        """Compute what the steps read of the masks."""
        self._active = [active_bits(mask) for mask in self.masks]
        self._trained_bits = [active_bits(mask) for mask in self.trained]
        self._all_active = are_all_active(self.masks)

    def init_optimizer(self) -> None:
        """Set the initial state of the optimizer, once there are all parameters."""
        self.optimizer = [self.plan.optimizer.init(parameter) for parameter in self.parameters()]

    @abstractmethod
    def parameters(self) -> list[Tensor]:
        """Return the parameters that are trained, the weights of the layers first."""

    @abstractmethod
    def differentiate(self, x: Tensor, y: Tensor, *, epoch: int) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        """Compute logits, losses, and the gradient of each parameter for the mean loss; count coactivations.

        Shapes: x (trials, batch, inputs), y (trials, batch, ...); logits (trials, batch, outputs), losses (trials,
        batch).
        """

    @abstractmethod
    def predict(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute logits, and for each hidden layer which units are positive for any example, without training.

        Shapes: x (trials, batch, inputs); logits (trials, batch, classes); units (trials, units), bool.
        """

    def weight_sums(self) -> list[WeightSums]:
        """Return sums over the weights of each layer."""
        return [WeightSums.of(weight) for weight in self.weights]

    def prepare(self, parts: Sequence[Images], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Move images and labels to the device, one part per trial or one for all.

        Returns:
            Images (parts, examples, inputs) and labels (parts, examples).
        """
        x = torch.stack([part.normalised for part in parts]) if len(parts) > 1 else parts[0].normalised[None]
        return x.to(self.plan.device), labels.to(self.plan.device)

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
        if class_weights is not None:
            self._class_weights = class_weights.to(self.plan.device).expand(len(self.plan.seeds), -1)
        select = self._augmented(x, len(order), epoch) if self.plan.augment else partial(select_examples, x)
        batches = order.to(self.plan.device).split(self.plan.batch_size, dim=1)
        with matmul_precision(self.plan.precision):
            sums = [
                self.train_batch(select(index), select_examples(y, index), epoch=epoch, rate=rate)
                for index, rate in zip(batches, rates, strict=True)
            ]
        # Sum along the last dimension: along the first, the order of additions would depend on the number of trials.
        return Sums(*(torch.stack(each, dim=1).sum(1) for each in zip(*sums, strict=True)))

    def _augmented(self, x: Tensor, n_orders: int, epoch: int) -> Callable[[Tensor], Tensor]:
        """Return a function that returns augmented images at some indices, as of this epoch.

        Shapes: x (examples, inputs); of the function (orders, batch) to (orders, batch, inputs).
        """
        augment, shape = self.plan.augment, self.plan.image_shape
        assert augment is not None and shape is not None
        # Trials that share an order have one seed.
        numbers = draw_per_seed(self.plan, lambda seed: augmentation_numbers(len(x), seed, epoch))[:n_orders]
        trials, black = torch.arange(n_orders, device=x.device)[:, None], float(x.min())

        def select(index: Tensor) -> Tensor:
            images = augment(x[index].view(-1, *shape), numbers[trials, index].flatten(0, 1), black)
            return images.reshape(*index.shape, -1)

        return select

    def train_batch(self, x: Tensor, y: Tensor, *, epoch: int, rate: Tensor) -> Sums:
        """Do one optimizer step on one batch.

        Shapes: x (trials or 1, batch, inputs), y (trials or 1, batch, ...); a first dimension of 1 is shared by all
        trials; rate (trials,), the learning rates.
        """
        n_trials = len(self.plan.seeds)
        x, y = x.expand(n_trials, -1, -1), y.expand(n_trials, *y.shape[1:])
        self.n_steps += 1
        self.n_seen += x.shape[1]
        logits, losses, gradients = self.differentiate(x, y, epoch=epoch)
        self._keep_gradients(gradients)
        self._step(gradients, rate.to(self.weights[0]))
        if self.plan.method.drift is not None:
            drift_(self.plan, self.weights, self.masks, self.signs, rate.to(self.weights[0]), self.n_steps)
        return Sums(losses.double().sum(1), self.plan.loss.correct(logits, y).sum(1))

    def losses(self, logits: Tensor, y: Tensor, trials: slice = slice(None)) -> Tensor:
        """Compute the loss of each example, with class weights and label smoothing.

        The mean over a batch is that of `torch.nn.functional.cross_entropy`, which divides by the sum of the weights.

        Shapes: logits (trials, batch, outputs), y (trials, batch, ...), of the given trials; result (trials, batch).
        """
        losses, weights = self.plan.loss.of_examples(logits, y), self._class_weights
        if weights is not None:
            weights = weights[trials]
            of_examples = weights.gather(1, y)
            losses = losses * of_examples
        if self._smoothing is not None:
            log_probabilities = logits.log_softmax(-1)
            log_probabilities = log_probabilities if weights is None else log_probabilities * weights[:, None]
            losses = smoothed(losses, log_probabilities, self._smoothing[trials])
        return losses if weights is None else losses / of_examples.mean(1, keepdim=True)

    def _keep_gradients(self, gradients: Sequence[Tensor]) -> None:
        if self._needs_gradient:
            self.gradient = list(gradients[: len(self.weights)])
        if self.gradient_momentum:
            smoothing = torch.as_tensor(self.plan.method.smoothing).to(self.weights[0]).view(-1, 1, 1)
            for mean, gradient in zip(self.gradient_momentum, gradients, strict=False):
                mean.mul_(smoothing).add_(gradient * (1 - smoothing))

    def _step(self, gradients: Sequence[Tensor], rate: Tensor) -> None:
        """Do the optimizer step. Inactive weights are zero afterwards. Shapes: rate (trials,), the learning rates."""
        n_layers, masked = len(self._active), not (self._all_active or self.plan.method.moves_inactive)
        if masked:
            gradients = self._masked(gradients)
        if self.plan.clip_norm is not None:
            factor = clip_factor(sum_of_squares(gradients), self.plan.clip_norm).float()
            gradients = tuple(each * along(factor, each) for each in gradients)
            # The factor of a trial that diverges is NaN, also for inactive weights.
            gradients = self._masked(gradients) if masked else gradients
        for i, (parameter, gradient) in enumerate(zip(self.parameters(), gradients, strict=True)):
            if self._has_latent and i < n_layers:
                self._latent_step(i, gradient, rate)
                continue
            self.plan.optimizer.step_(parameter, gradient, self.optimizer[i], self.n_steps, rate)
            if i < n_layers and self.plan.method.moves_inactive:
                zero_inactive_(parameter, self._active[i])

    def _latent_step(self, layer: int, gradient: Tensor, rate: Tensor) -> None:
        """Do the optimizer step of a layer with latent weights."""
        weight, mask = self.latent[layer], self.masks[layer]
        about = {"active": mask, "trained": self.trained[layer]}
        step_(self.plan.optimizer, weight, gradient, self.optimizer[layer], self.n_steps, rate, **about)
        self.weights[layer].copy_(zero_inactive(weight, self._active[layer]))

    def _masked(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the gradients of all parameters, with zeros for weights that are not trained."""
        trained = self._trained_bits or self._active
        of_weights = (zero_inactive(each, bits) for each, bits in zip(gradients, trained, strict=False))
        return *of_weights, *gradients[len(self._active) :]

    @torch.no_grad()
    def evaluate(self, x: Tensor, y: Tensor) -> Evaluation:
        """Compute loss, correct examples, calibration and active units without training.

        Shapes: x (trials or 1, examples, inputs), y (trials or 1, examples, ...).
        """
        n_trials = len(self.plan.seeds)
        loss = torch.zeros(n_trials, dtype=torch.float64, device=x.device)
        active = [torch.zeros_like(bias, dtype=torch.bool) for bias in self.biases[:-1]]
        correct, confidence = [], []
        for start in range(0, x.shape[1], self.EVALUATION_BATCH):
            part = x[:, start : start + self.EVALUATION_BATCH].expand(n_trials, -1, -1)
            target = y[:, start : start + self.EVALUATION_BATCH].expand(n_trials, -1, *y.shape[2:])
            with matmul_precision(self.plan.precision):
                logits, positive = self.predict(part)
            loss += self.plan.loss.of_examples(logits, target).double().sum(1)
            correct.append(self.plan.loss.correct(logits, target))
            confidence.append(self.plan.loss.confidence(logits))
            active = [each | more for each, more in zip(active, positive, strict=True)]
        is_correct = torch.cat(correct, dim=1)
        return Evaluation(loss, is_correct.sum(1), calibration_gaps(torch.cat(confidence, dim=1), is_correct), active)

    @torch.no_grad()
    def update_masks(self, when: UpdateContext) -> tuple[list[MaskUpdate], Tensor]:
        """Prune and grow every layer: see `Engine.update_masks`."""
        available = {
            "coactivation": self.coactivation,
            "gradient": self.gradient,
            "active_gradient": self.gradient,
            "gradient_momentum": self.gradient_momentum,
            "sign": self.signs,
        }
        statistics = {name: layers for name in self.plan.method.needs if (layers := available[name])}
        weights = self.latent or self.weights
        updates, failed = compute_mask_updates(self.plan, when, weights, self.masks, self.targets, statistics)
        if self._has_latent:
            self._activate_latent([update.mask for update in updates], when)
            return updates, failed
        for i, (weight, update) in enumerate(zip(self.weights, updates, strict=True)):
            # Weights that stay keep their value. Grown ones are zero already.
            new = active_bits(update.mask)
            zero_inactive_(weight, new)
            if not self.plan.method.moves_inactive:
                for state in self.optimizer[i].values():
                    zero_inactive_(state, new & self._active[i])
            self.masks[i] = update.mask
            self._active[i].copy_(new)
        self._all_active = are_all_active(self.masks)
        self._reset_coactivation()
        return updates, failed

    def _activate_latent(self, active: Sequence[Tensor], when: UpdateContext) -> None:
        """Replace the masks of layers with latent weights, and choose the weights that are trained."""
        self.masks = list(active)
        chosen = trained_positions(self.plan, self.latent, self.masks, when)
        for i, each in enumerate(chosen):
            self.trained[i] = torch.where(when.stays(i)[:, None, None], self.trained[i], each)
            self._active[i].copy_(active_bits(self.masks[i]))
            self._trained_bits[i] = active_bits(self.trained[i])
            self.weights[i].copy_(zero_inactive(self.latent[i], self._active[i]))
            for state in self.optimizer[i].values():
                zero_inactive_(state, self._trained_bits[i])
        self._all_active = are_all_active(self.masks)

    def _reset_coactivation(self) -> None:
        for total in self.coactivation or []:
            total.zero_()

    def end_epoch(self) -> None:
        """Reset the coactivation counts if they are those of an epoch."""
        if not self._counts_over_epochs:
            self._reset_coactivation()

    def state_dict(self) -> dict[str, Any]:
        """Return what any engine of the same plan needs to resume after an epoch; this one resumes bit-identically."""
        return {name: getattr(self, name) for name in self._state_names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict` of any engine."""
        for name in self._state_names:
            setattr(self, name, map_tensors(lambda tensor: tensor.to(self.plan.device, copy=True), state[name]))
        self._note_active()


def sum_of_squares(gradients: Sequence[Tensor]) -> Tensor:
    """Return the sum over all parameters of each trial. Shapes: gradients (trials, ...); result (trials,), float64."""
    return torch.stack([each.flatten(1).double().square().sum(1) for each in gradients], dim=1).sum(1)
