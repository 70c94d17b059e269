"""The engine that supports every option of multilayer perceptrons: dense arithmetic in torch, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse import random
from dynsparse.engines.base import draw_per_seed
from dynsparse.engines.dense import DenseEngine
from dynsparse.nn.functional import batch_norm, k_winners, linear, updated_duty
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream
from dynsparse.studies import Parameters


class TorchEngine(DenseEngine):
    """The multilayer perceptrons of a pack. A saved state has the attributes in `STATE`."""

    STATE = (
        "weights", "biases", "masks", "targets", "gains", "shifts", "means", "variances", "duty", "boost",
        "gradient_momentum", "optimizer", "n_steps", "n_seen",
    )  # fmt: skip
    EVALUATION_BATCH = 1000

    def __init__(self, plan: Plan, parameters: Parameters | None = None) -> None:
        super().__init__(plan, parameters)
        n_trials, device = len(plan.seeds), torch.device(plan.device)
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
        self.init_optimizer()

    def parameters(self) -> list[Tensor]:
        """Return the parameters that are trained, the weights of the layers first."""
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
        n_examples, n_units = x.shape[1:]
        stream = {"epoch": epoch, "layer": layer, "step": self.n_steps}
        numbers = draw_per_seed(
            self.plan,
            lambda seed: random.dropout_numbers(n_examples, n_units, Stream(seed, Purpose.DROPOUT, **stream)),
        )
        return x * (numbers >= random.dropout_limit(probability)) / (1 - probability)

    def differentiate(self, x: Tensor, y: Tensor, *, epoch: int) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Compute logits, losses, and the gradient of each parameter for the mean loss; count coactivations.

        Shapes: x (trials, batch, inputs), y (trials, batch); logits (trials, batch, classes), losses (trials, batch).
        """
        parameters = self.parameters()
        for parameter in parameters:
            parameter.requires_grad_(True)
        logits, activations = self.forward(x, epoch=epoch, training=True)
        losses = self.losses(logits, y)
        # The sum of each trial's mean. A mean over trials would divide gradients by the width of the pack.
        gradients = torch.autograd.grad(losses.mean(1).sum(), parameters)
        for parameter in parameters:
            parameter.requires_grad_(False)
        self._count_coactivations(activations)
        return logits.detach(), losses.detach(), gradients

    def predict(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute logits, and for each hidden layer which units are positive for any example, without training.

        Shapes: x (trials, batch, inputs); logits (trials, batch, classes); units (trials, units), bool.
        """
        logits, activations = self.forward(x, epoch=0, training=False)
        if self.plan.method.counts_evaluation:
            self._count_coactivations(activations)
        return logits, [(a > 0).any(1) for a in activations[1:-1]]

    def _count_coactivations(self, activations: list[Tensor]) -> None:
        """Count, for each connection, the examples for which both of its units are positive."""
        if self.coactivation is None:
            return
        active = [(a > 0).float() for a in activations]
        for layer, total in enumerate(self.coactivation):
            total.baddbmm_(active[layer + 1].mT, active[layer])

    def end_epoch(self) -> None:
        """Decay the boost strength, and reset the coactivation counts if they are those of an epoch."""
        super().end_epoch()
        if self.plan.network.kwinners is not None:
            self.boost *= torch.as_tensor(self.plan.network.kwinners.boost_factor).to(self.boost)
