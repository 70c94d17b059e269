"""The engine for many trials on one GPU, whose time is that of starting kernels: few, and wide, and recorded once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from dynsparse.data import Images
from dynsparse.engines.base import Sums, When, initial, products_in, updated
from dynsparse.engines.packed.backprop import Blocks, Forward, backward_, cross_entropy, forward, relu
from dynsparse.engines.packed.cuda_graph import recorder
from dynsparse.engines.packed.flat_params import Rows
from dynsparse.engines.packed.matmul import add_counts_, of_trials
from dynsparse.methods import MaskUpdate
from dynsparse.ops import masks
from dynsparse.planning.plan import Plan
from dynsparse.studies import Parameters

# Numbers that a test may hold of its widest layer at a time, for all trials together: 256 MB.
EVALUATED_AT_ONCE = 2**26
# Numbers of the longest vectors, 64 bytes.
VECTOR = 16


def why_not(plan: Plan) -> str | None:
    """What this engine cannot do of a plan; None if it can do it."""
    method = plan.method
    cannot = {
        "batch_norm": plan.network.batch_norm,
        "dropout": plan.network.has_dropout,
        "rules='legacy_2019'": bool(method.fails or method.counts_evaluation or method.moves_inactive),
    }
    return ", ".join(what for what, is_asked in cannot.items() if is_asked) or None


class WideEngine:
    """The networks of a pack: see `TorchEngine`, whose saved states this engine reads and writes.

    What a training step reads and changes is made once and then changed in place: a recorded step knows where it is.
    Nothing is read back but the sums of a pass. It is fastest where all trials have one seed; where there are several,
    those of one seed should stand together, equally many of each.

    A trial has the same bits in any place of packs of one width, whatever the others do, and those of another width but
    for rounding. (On a CPU the place counts too where a layer has an odd number of units, as in the torch engine.)
    """

    def __init__(self, plan: Plan, parameters: Parameters | None = None) -> None:
        self.plan = plan
        self._device = device = torch.device(plan.device)
        n_trials, shapes = len(plan.seeds), plan.network.shapes
        rest = [*shapes[1:], *((n_out,) for n_out, _ in shapes)]
        # Weights of the first layer have rows of their own: so they stand below each other as one wide layer. The
        # others begin where a vector does, in each trial: products are faster so, and round alike in all places.
        self._rows = [
            Rows(n_trials, shapes[:1], plan.optimizer, device),
            Rows(n_trials, rest, plan.optimizer, device, pad_to=VECTOR),
        ]
        self.weights, self.biases = self._split(self._views("values"))
        self._gradients, self._bias_gradients = self._split(self._views("gradient"))
        self._active, _ = self._split(self._views("active"))
        weights, biases, active = parameters or initial(plan)
        _copy(self.weights, weights)
        _copy(self.biases, biases)
        _copy(self._active, active)
        self.masks = [mask.clone() for mask in active]
        self.targets = [masks.count(mask) for mask in self.masks]

        self._kwinners = kwinners = plan.network.kwinners
        hidden = [n_out for n_out, _ in shapes[:-1]]
        self.duty = [torch.zeros(n_trials, n, device=device) for n in hidden] if kwinners else []
        self.boost = torch.zeros(n_trials, device=device)
        self._winners: dict[bool, list[Tensor]] = {}
        if kwinners:
            self.boost += torch.as_tensor(kwinners.boost_strength).to(self.boost)
            for training in (True, False):
                counts = [kwinners.winners(n, training=training) for n in hidden]
                self._winners[training] = [torch.tensor(k, device=device)[:, None] for k in counts]

        needs = plan.method.needs if plan.updates else frozenset()
        self._coactivation = [torch.zeros_like(w) for w in weights] if "coactivation" in needs else []
        self._gradient_momentum = [torch.zeros_like(w) for w in weights] if "gradient_momentum" in needs else []
        self._needs_gradient = "gradient" in needs
        self._smoothing = torch.as_tensor(plan.method.smoothing).to(self.boost).view(-1, 1, 1)

        # On the device, so that a recorded step counts as well.
        self._n_steps = torch.zeros((), dtype=torch.float64, device=device)
        self._n_seen = torch.zeros((), dtype=torch.int64, device=device)
        self._loss = torch.zeros(n_trials, dtype=torch.float64, device=device)
        self._correct = torch.zeros(n_trials, dtype=torch.int64, device=device)

        self._seeds = list(dict.fromkeys(plan.seeds))
        lengths = {len(list(trials)) for _, trials in groupby(plan.seeds)}
        run = lengths.pop() if len(lengths) == 1 else 1
        # The first trial of each run, and the place of its seed: see products.py.
        self._firsts = torch.arange(0, n_trials, run)
        self._seed_of_run = torch.tensor([self._seeds.index(plan.seeds[i]) for i in self._firsts], device=device)
        self._trained_on: Tensor | None = None

    def _views(self, name: str) -> list[Tensor]:
        """Of each parameter: of the weights of each layer, then of the biases."""
        return [view for rows in self._rows for view in rows.views(getattr(rows, name))]

    def _split(self, views: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        n_layers = len(self.plan.network.shapes)
        return views[:n_layers], views[n_layers:]

    def hold(self, parts: Sequence[Images], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels on the device, one part for each different seed, or one for all.

        Shapes: labels (parts, examples).
        """
        if len(parts) > 1:
            firsts = [self.plan.seeds.index(seed) for seed in self._seeds]
            parts, labels = [parts[i] for i in firsts], labels[firsts]
        x = torch.stack([part.normalised for part in parts]) if len(parts) > 1 else parts[0].normalised[None]
        return x.to(self._device), labels.to(self._device)

    def train_epoch(self, held: tuple[Tensor, Tensor], order: Tensor, *, epoch: int) -> Sums:
        """One pass over the examples, one step for each batch.

        Shapes: order (trials or 1, examples), which examples come one after the other; `held` has one part.
        """
        (x,), (y,) = held
        if self._trained_on is not held[0]:
            self._trained_on, self._run = held[0], recorder(self._device)
        step = partial(self._train_batch, x, y)
        of_runs = order[self._firsts] if len(order) > 1 else order
        with products_in(self.plan.precision):
            for index in of_runs.to(self._device).split(self.plan.batch_size, dim=1):
                self._run(step, index)
        sums = Sums(self._loss.clone(), self._correct.clone())
        self._loss.zero_()
        self._correct.zero_()
        return sums

    def _train_batch(self, x: Tensor, y: Tensor, index: Tensor) -> None:
        """One step of the optimiser. Shapes: index (runs, batch), which of the examples in x and y."""
        self._n_steps.add_(1)
        self._n_seen.add_(index.shape[1])
        pass_ = forward(x[index], self.weights, self.biases, self._blocks(training=True))
        loss = cross_entropy(pass_.logits, of_trials(y[index], len(self.boost)))
        self._loss.add_(loss.losses.double().sum(1))
        self._correct.add_(loss.correct.sum(1))
        self._count_winners(pass_)
        self._count_coactivations(pass_)
        backward_(loss.gradient, pass_, self.weights, self._gradients, self._bias_gradients)
        for mean, gradient in zip(self._gradient_momentum, self._gradients, strict=False):
            mean.mul_(self._smoothing).add_(gradient * (1 - self._smoothing))
        for rows in self._rows:
            rows.step_(self._n_steps)

    def _blocks(self, *, training: bool) -> Blocks:
        return partial(self._losers, self._winners[training]) if self._kwinners else relu

    def _losers(self, winners: list[Tensor], layer: int, sums: Tensor) -> Tensor:
        """All units but the k with the largest x * exp(boost * (k / units - duty)): see `networks.k_winners`."""
        boosted = sums * torch.exp(-self.boost[:, None] * self.duty[layer])[:, None]
        return ~masks.select_highest(boosted, winners[layer])

    def _count_winners(self, pass_: Forward) -> None:
        """Move the duty cycles as `networks.updated_duty` does, by a count of examples that is on the device."""
        if self._kwinners is None:
            return
        n_batch = pass_.logits.shape[1]
        length = self._n_seen.clamp(max=self._kwinners.period).clamp(min=n_batch)
        for duty, hidden in zip(self.duty, pass_.inputs[1:], strict=True):
            duty.mul_(length - n_batch).add_((hidden > 0).sum(1)).div_(length)

    def _count_coactivations(self, pass_: Forward) -> None:
        """Add, for each connection, the examples for which both of its units are positive."""
        if not self._coactivation:
            return
        active = [(each > 0).float() for each in (*pass_.inputs, pass_.logits)]
        # Exact all the same: the factors are 0 and 1, and sums are float32.
        with products_in("tf32"):
            for total, of_inputs, of_units in zip(self._coactivation, active, active[1:], strict=False):
                add_counts_(total, of_units, of_inputs)

    def evaluate(self, x: Tensor, y: Tensor) -> Sums:
        """A pass without training, over what `hold` returned, so many examples at a time as EVALUATED_AT_ONCE allows.

        Shapes: x (seeds or 1, examples, inputs), y (seeds or 1, examples).
        """
        n_trials, blocks = len(self.boost), self._blocks(training=False)
        loss, correct = torch.zeros_like(self._loss), torch.zeros_like(self._correct)
        # The images themselves are shared by all, or by the trials of a seed.
        n_at_once = max(EVALUATED_AT_ONCE // (n_trials * max(self.plan.network.sizes[1:])), 1)
        with products_in(self.plan.precision):
            for images, labels in zip(x.split(n_at_once, dim=1), y.split(n_at_once, dim=1), strict=True):
                if len(x) > 1:
                    images, labels = images[self._seed_of_run], labels[self._seed_of_run]
                logits = forward(images, self.weights, self.biases, blocks).logits
                found = cross_entropy(logits, of_trials(labels, n_trials))
                loss += found.losses.double().sum(1)
                correct += found.correct.sum(1)
        return Sums(loss, correct)

    def update_masks(self, when: When) -> tuple[list[MaskUpdate], Tensor]:
        """One mask update of every layer: see `TorchEngine`."""
        found = {
            "coactivation": self._coactivation,
            "gradient": self._gradients if self._needs_gradient else [],
            "gradient_momentum": self._gradient_momentum,
        }
        statistics = {name: layers for name, layers in found.items() if layers}
        updates, failed = updated(self.plan, when, self.weights, self.masks, self.targets, statistics)
        for layer, update in enumerate(updates):
            # What comes new has neither weight nor past; what stays keeps both.
            self.weights[layer].mul_(update.mask)
            for state in self._optimizer()[layer].values():
                state.mul_(update.mask & self.masks[layer])
            self.masks[layer] = update.mask
            self._active[layer].copy_(update.mask)
        return updates, failed

    def _optimizer(self) -> list[dict[str, Tensor]]:
        """The optimiser's state of each parameter."""
        names = self._rows[0].state
        by_name = {name: [v for rows in self._rows for v in rows.views(rows.state[name])] for name in names}
        return [dict(zip(by_name, each, strict=True)) for each in zip(*by_name.values(), strict=True)]

    def end_epoch(self) -> None:
        """What happens once an epoch: boosting fades, and coactivations are counted anew."""
        for total in self._coactivation:
            total.zero_()
        if self._kwinners is not None:
            self.boost *= torch.as_tensor(self._kwinners.boost_factor).to(self.boost)

    def state_dict(self) -> dict[str, Any]:
        """All that a later engine of the same plan needs to continue, after an epoch, as `TorchEngine` has it."""
        tensors = {**self._tensors(), "masks": self.masks, "targets": self.targets}
        none: dict[str, Any] = {name: [] for name in ("gains", "shifts", "means", "variances")}
        return {**_clone(tensors), **none, "n_steps": int(self._n_steps), "n_seen": int(self._n_seen)}

    def _tensors(self) -> dict[str, Any]:
        """What of a state stays where it is."""
        return {
            "weights": self.weights,
            "biases": self.biases,
            "duty": self.duty,
            "boost": self.boost,
            "gradient_momentum": self._gradient_momentum,
            "optimizer": self._optimizer(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`, of this engine or another."""
        for name, ours in self._tensors().items():
            _copy(ours, state[name])
        self.masks = [mask.to(self._device, copy=True) for mask in state["masks"]]
        self.targets = [target.to(self._device, copy=True) for target in state["targets"]]
        _copy(self._active, self.masks)
        self._n_steps.fill_(state["n_steps"])
        self._n_seen.fill_(state["n_seen"])


def _copy(ours: Any, theirs: Any) -> None:
    """Copy tensors nested in lists and dicts into others, nested alike."""
    if isinstance(ours, Tensor):
        ours.copy_(theirs)
        return
    for name in ours if isinstance(ours, dict) else range(len(ours)):
        _copy(ours[name], theirs[name])


def _clone(value: Any) -> Any:
    """A copy of tensors nested in lists and dicts."""
    if isinstance(value, Tensor):
        return value.clone(memory_format=torch.contiguous_format)
    if isinstance(value, dict):
        return {name: _clone(each) for name, each in value.items()}
    return [_clone(each) for each in value]
