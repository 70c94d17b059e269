"""The engine that runs everywhere: dense arithmetic in torch with a leading trials axis, on any device."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dynsparse import masks, random
from dynsparse.methods import MaskUpdate, update_mask
from dynsparse.networks import batch_norm, k_winners, linear, updated_duty
from dynsparse.plan import Plan
from dynsparse.random import Purpose, Stream
from dynsparse.scores import Layer

EVALUATION_BATCH = 1000


class Sums(NamedTuple):
    """Of a pass over a data set. Shapes: (trials,)."""

    loss: Tensor  # sum of the examples' cross-entropies, float64
    correct: Tensor  # number of examples, int64


class TorchEngine:
    """The networks of a pack: their weights, masks and optimiser state, and what can be done with them.

    The attributes in `STATE` are all there is to save. Shapes have a leading trials axis: weights and masks are
    (trials, out, in) for each layer.
    """

    STATE = (
        "weights", "biases", "masks", "targets", "gains", "shifts", "means", "variances", "duty", "boost",
        "gradient_momentum", "optimizer", "n_steps", "n_seen",
    )  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.shapes = plan.network.shapes
        n_trials, device = len(plan.seeds), torch.device(plan.device)
        self.weights = [self._initial(shape, layer, Purpose.WEIGHT) for layer, shape in enumerate(self.shapes)]
        self.biases = [self._initial(shape, layer, Purpose.BIAS) for layer, shape in enumerate(self.shapes)]
        self.masks = [self._initial_mask(layer) for layer in range(len(self.shapes))]
        self.targets = [masks.count(mask) for mask in self.masks]
        # Multiplying by a mask of floats takes a fifth of the time.
        self._active = [mask.float() for mask in self.masks]
        for weight, mask in zip(self.weights, self.masks, strict=True):
            weight.mul_(mask)

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
            self._winners = {
                training: [kwinners.winners(n, training=training) for n in hidden] for training in (True, False)
            }

        needs = plan.method.needs if plan.updates else frozenset()
        self.coactivation = [torch.zeros_like(w) for w in self.weights] if "coactivation" in needs else None
        self.gradient_momentum = [torch.zeros_like(w) for w in self.weights] if "gradient_momentum" in needs else []
        self.gradient: list[Tensor] | None = None
        self._needs_gradient = "gradient" in needs
        self.optimizer = [plan.optimizer.init(parameter) for parameter in self._parameters()]
        self.n_steps = 0
        self.n_seen = 0

    # Random numbers are drawn on the CPU, so that a trial is the same on every device; trials of one seed share them.

    def _per_seed(self, draw: Callable[[int], Tensor]) -> Tensor:
        """What `draw` gives for each trial's seed. Shapes: (...) to (trials, ...)."""
        drawn = {seed: draw(seed) for seed in dict.fromkeys(self.plan.seeds)}
        return torch.stack([drawn[seed] for seed in self.plan.seeds]).to(self.plan.device)

    def _initial(self, shape: tuple[int, int], layer: int, purpose: Purpose) -> Tensor:
        """U(-b, b) with b = 1 / sqrt(n_in), torch's default for linear layers, for weights and biases."""
        bound = 1 / math.sqrt(shape[1])
        size = shape if purpose is Purpose.WEIGHT else shape[:1]
        return self._per_seed(lambda seed: (random.uniform(size, Stream(seed, purpose, layer=layer)) * 2 - 1) * bound)

    def _noise(self, purpose: Purpose, layer: int, epoch: int) -> Tensor:
        shape = self.shapes[layer]
        return self._per_seed(lambda seed: random.noise(shape, Stream(seed, purpose, layer=layer, epoch=epoch)))

    def _wanted(self, layer: int, progress: float) -> Tensor:
        """How many active weights the plan wants at `progress` of the mask updates. Shapes: (trials,), int64."""
        n = math.prod(self.shapes[layer])
        surplus = self.plan.method.surplus(progress) if self.plan.method.surplus else 0.0
        final = [round(densities[layer] * n) for densities in self.plan.densities]
        return torch.tensor([each + round(surplus * (n - each)) for each in final], device=self.plan.device)

    def _initial_mask(self, layer: int) -> Tensor:
        noise, wanted = self._noise(Purpose.MASK, layer, epoch=0), self._wanted(layer, progress=0.0)
        return masks.DRAWS[self.plan.sparse_type](noise, wanted)

    def _parameters(self) -> list[Tensor]:
        return [*self.weights, *self.biases, *self.gains, *self.shifts]

    def forward(self, x: Tensor, *, epoch: int, training: bool) -> tuple[Tensor, list[Tensor]]:
        """Logits, and the activations of all layers: input, hidden layers, logits.

        In training the duty cycles and the running means of batch norm are updated in place.

        Shapes: x (trials, batch, inputs); the logits (trials, batch, classes).
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
        out = k_winners(x, self._winners[training][layer], self.boost, self.duty[layer])
        if training:
            self.duty[layer] = updated_duty(self.duty[layer], out.detach(), kwinners.period, self.n_seen)
        return out

    def _drop_units(self, x: Tensor, layer: int, epoch: int) -> Tensor:
        probability = torch.as_tensor(self.plan.network.dropout).to(x).view(-1, 1, 1)
        shape = x.shape[1], x.shape[2]
        stream = {"epoch": epoch, "layer": layer, "step": self.n_steps}
        uniform = self._per_seed(lambda seed: random.uniform(shape, Stream(seed, Purpose.DROPOUT, **stream)))
        return x * (uniform >= probability) / (1 - probability)

    def train_batch(self, x: Tensor, y: Tensor, *, epoch: int) -> Sums:
        """One step of the optimiser on one batch.

        Shapes: x (trials or 1, batch, inputs), y (trials or 1, batch); a first dimension of 1 is shared by all trials.
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
        # Each trial's own mean, summed: the mean over trials would divide its gradient by the width of the pack.
        gradients = torch.autograd.grad(losses.mean(1).sum(), parameters)
        for parameter in parameters:
            parameter.requires_grad_(False)
        self._count_coactivations(activations)
        self._keep_gradients(gradients)
        self._step(parameters, gradients)
        return Sums(losses.detach().double().sum(1), (logits.detach().argmax(-1) == y).sum(1))

    def _count_coactivations(self, activations: list[Tensor]) -> None:
        """Add, for each connection, the examples for which both of its units are positive."""
        if self.coactivation is None:
            return
        active = [(a > 0).float() for a in activations]
        for layer, total in enumerate(self.coactivation):
            total.baddbmm_(active[layer + 1].mT, active[layer])

    def _keep_gradients(self, gradients: tuple[Tensor, ...]) -> None:
        if self._needs_gradient:
            self.gradient = list(gradients[: len(self.weights)])
        if self.gradient_momentum:
            keep = torch.as_tensor(self.plan.method.smoothing).to(self.weights[0]).view(-1, 1, 1)
            for mean, gradient in zip(self.gradient_momentum, gradients, strict=False):
                mean.mul_(keep).add_(gradient * (1 - keep))

    def _step(self, parameters: list[Tensor], gradients: tuple[Tensor, ...]) -> None:
        masked = not self.plan.method.moves_inactive
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            active = self._active[i] if i < len(self._active) else None
            if active is not None and masked:
                gradient = gradient * active
            self.plan.optimizer.step_(parameter, gradient, self.optimizer[i], self.n_steps)
            if active is not None and not masked:
                parameter.mul_(active)

    @torch.no_grad()
    def evaluate(self, x: Tensor, y: Tensor) -> Sums:
        """A pass without training. Shapes: x (trials or 1, examples, inputs), y (trials or 1, examples)."""
        n_trials = len(self.plan.seeds)
        loss = torch.zeros(n_trials, dtype=torch.float64, device=x.device)
        correct = torch.zeros(n_trials, dtype=torch.int64, device=x.device)
        for start in range(0, x.shape[1], EVALUATION_BATCH):
            part = x[:, start : start + EVALUATION_BATCH].expand(n_trials, -1, -1)
            target = y[:, start : start + EVALUATION_BATCH].expand(n_trials, -1)
            logits, activations = self.forward(part, epoch=0, training=False)
            if self.plan.method.counts_evaluation:
                self._count_coactivations(activations)
            loss += F.cross_entropy(logits.mT, target, reduction="none").double().sum(1)
            correct += (logits.argmax(-1) == target).sum(1)
        return Sums(loss, correct)

    @torch.no_grad()
    def update_masks(
        self, epoch: int, progress: float, drop_scale: float, stopped: Tensor
    ) -> tuple[list[MaskUpdate], Tensor]:
        """One mask update of every layer.

        Args:
            stopped: (trials,) True for trials whose masks stay as they are.

        Returns: the update of each layer; and (trials,) True for a trial that rules="legacy_2019" ends here.
        """
        updates, method = [], self.plan.method
        failed = torch.zeros(len(self.plan.seeds), dtype=torch.bool, device=self.plan.device)
        for i, (weight, mask) in enumerate(zip(self.weights, self.masks, strict=True)):
            layer = Layer(
                weight=weight,
                mask=mask,
                target=self._wanted(i, progress) if method.surplus else self.targets[i],
                prune_noise=self._noise(Purpose.PRUNE, i, epoch),
                grow_noise=self._noise(Purpose.GROW, i, epoch),
                drop_scale=drop_scale,
                coactivation=self.coactivation[i] if self.coactivation else None,
                gradient=self.gradient[i] if self.gradient else None,
                gradient_momentum=self.gradient_momentum[i] if self.gradient_momentum else None,
            )
            if method.fails is not None:
                failed |= method.fails(layer) & ~stopped
            update = update_mask(method, layer)
            stays = stopped[:, None, None]
            update = update._replace(
                mask=torch.where(stays, mask, update.mask),
                kept=torch.where(stays, mask, update.kept),
                grown=update.grown & ~stays,
                target=torch.where(stopped, masks.count(mask), update.target),
            )
            # Weights that stay keep their value; new ones are zero already.
            weight.mul_(update.mask)
            if not method.moves_inactive:
                for state in self.optimizer[i].values():
                    state.mul_(update.mask & mask)
            self.masks[i] = update.mask
            self._active[i] = update.mask.float()
            updates.append(update)
        return updates, failed

    def end_epoch(self) -> None:
        """What happens once an epoch: boosting fades, and coactivations are counted anew."""
        for total in self.coactivation or []:
            total.zero_()
        if self.plan.network.kwinners is not None:
            self.boost *= torch.as_tensor(self.plan.network.kwinners.boost_factor).to(self.boost)

    def state_dict(self) -> dict[str, Any]:
        """All that a later engine of the same plan needs to continue, after an epoch, bit for bit."""
        return {name: getattr(self, name) for name in self.STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        for name in self.STATE:
            setattr(self, name, _on_device(state[name], self.plan.device))
        self._active = [mask.float() for mask in self.masks]


def _on_device(value: Any, device: str) -> Any:
    """A copy of tensors nested in lists and dicts, on a device."""
    if isinstance(value, Tensor):
        return value.to(device, copy=True)
    if isinstance(value, list):
        return [_on_device(each, device) for each in value]
    if isinstance(value, dict):
        return {name: _on_device(each, device) for name, each in value.items()}
    return value
