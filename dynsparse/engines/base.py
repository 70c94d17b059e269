"""The engine protocol, and initial parameters, which all engines share.

Random numbers are drawn on the CPU, so that a trial is the same on every device. Trials with the same seed draw the
same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from dynsparse import random
from dynsparse.data import Images
from dynsparse.methods import MaskUpdate
from dynsparse.nn.init import centred_uniform, layer_gain
from dynsparse.ops.patterns import UNSTRUCTURED, draw
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream
from dynsparse.studies import Parameters

# Images, in the form that the engine reads, and labels.
EngineData = tuple[Any, Tensor]


class Sums(NamedTuple):
    """Loss and correct examples of each trial, summed over one pass over a data set. Shapes: (trials,)."""

    loss: Tensor  # sum of the examples' losses, float64
    correct: Tensor  # number of correctly classified examples, int64; 0 in a regression, as is the calibration


class Evaluation(NamedTuple):
    """Results of each trial over one pass over a data set, without training. Its first fields are those of `Sums`."""

    loss: Tensor  # sum of the examples' losses, float64. Shapes: (trials,)
    correct: Tensor  # number of correctly classified examples, int64. Shapes: (trials,)
    # For each interval of confidence, the sum of 1 - confidence over its correctly classified examples, and of
    # -confidence over the others: see `calibration_gaps`. Shapes: (trials, 15), float64
    calibration: Tensor
    active: list[Tensor]  # for each hidden layer (trials, units), bool: True for units positive for any example


class WeightSums(NamedTuple):
    """Sums over the weights of a layer. Shapes: (trials,), float64."""

    total: Tensor  # sum of the weights
    squares: Tensor  # sum of their squares
    n_nonzero: Tensor  # number of weights that are not 0

    @classmethod
    def of(cls, weight: Tensor) -> WeightSums:
        """Compute the sums of each trial. Shapes: weight (trials, ...)."""
        values = weight.flatten(1)
        squares = torch.linalg.vector_norm(values, dim=1, dtype=torch.float64).square()
        return cls(values.sum(1, dtype=torch.float64), squares, values.count_nonzero(1).double())


class UpdateContext(NamedTuple):
    """The time of a mask update, and the trials that it skips."""

    epoch: int
    share_done: float  # share of the mask updates that are done with this one, in (0, 1]
    drop_scale: float  # factor of the drop fractions
    stopped: Tensor  # (trials,), bool: True for trials whose masks no longer change
    step: int = 0  # the update follows this step of the epoch, counted from 1; 0: it follows the epoch
    stopped_layers: Tensor | None = None  # (trials, layers), bool: True for further masks that no longer change

    def stays(self, layer: int) -> Tensor:
        """Return True for each trial whose mask of this layer does not change. Shapes: (trials,), bool."""
        return self.stopped if self.stopped_layers is None else self.stopped | self.stopped_layers[:, layer]


class Engine(Protocol):
    """The networks of a pack of trials, and the computations on them that a Trainer needs."""

    masks: list[Tensor]  # for each layer (trials, out, in), bool

    @property
    def weights(self) -> list[Tensor]:
        """Weights of each layer, zero where the mask is False. Shapes: (trials, out, in)."""

    @property
    def biases(self) -> list[Tensor]:
        """Biases of each layer. Shapes: (trials, out)."""

    def weight_sums(self) -> list[WeightSums]:
        """Return sums over the weights of each layer, the zeros of inactive ones included."""

    def prepare(self, parts: Sequence[Images], labels: Tensor) -> EngineData:
        """Convert images and labels for `train_epoch` and `evaluate`.

        Args:
            parts: The images of each trial, or one part that all trials share.
            labels: (parts, examples), classes; or (parts, examples, numbers), numbers to predict.
        """

    def train_epoch(
        self, data: EngineData, order: Tensor, *, epoch: int, rates: Tensor, class_weights: Tensor | None = None
    ) -> Sums:
        """Train for one pass over the examples, of an epoch or a part of it, with one optimizer step per batch.

        Args:
            data: From `prepare`, with a single part.
            order: (trials or 1, examples), the order of the examples; one row is shared by all trials.
            epoch: Counted from 1.
            rates: (batches, trials), the learning rate of each optimizer step; float64.
            class_weights: (trials or 1, classes), the factor of the loss of each class, the same in each call with
                these data; float32 on the CPU. None: all classes count alike.
        """

    def evaluate(self, x: Any, y: Tensor) -> Evaluation:
        """Compute loss, correct examples, calibration and active units on data from `prepare`, without training."""

    def update_masks(self, when: UpdateContext) -> tuple[list[MaskUpdate], Tensor]:
        """Prune and grow every layer, with the gradient of the last step.

        Returns:
            The update of each layer; and (trials,), bool, True for each trial that rules="legacy_2019" ends here with
            an error.
        """

    def end_epoch(self) -> None:
        """Finish an epoch, after the mask update at its end if there is one: decay boosting.

        It also resets the coactivation counts, unless mask updates are counted in steps: then they go on until the
        next update.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what any engine of the same plan needs to resume after an epoch."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict` of any engine."""


def draw_per_seed(plan: Plan, draw: Callable[[int], Tensor]) -> Tensor:
    """Call `draw` once per distinct seed and stack the results by trial. Shapes: (...) to (trials, ...)."""
    distinct = list(dict.fromkeys(plan.seeds))
    drawn = torch.stack([draw(seed) for seed in distinct]).to(plan.device)
    # Indexing on the device makes the copies there: hundreds of trials may share a seed.
    return drawn[torch.tensor([distinct.index(seed) for seed in plan.seeds], device=plan.device)]


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Compute CUDA matrix products of float32 in "tf32" or exactly, and restore the setting afterwards."""
    matmul = torch.backends.cuda.matmul
    # Newer versions of torch renamed the setting, and refuse to read the old one once the new one has been used.
    is_new = hasattr(matmul, "fp32_precision")
    name = "fp32_precision" if is_new else "allow_tf32"
    exact, fast = ("ieee", "tf32") if is_new else (False, True)
    before = getattr(matmul, name)
    setattr(matmul, name, fast if precision == "tf32" else exact)
    try:
        yield
    finally:
        setattr(matmul, name, before)


def select_examples(values: Tensor, index: Tensor) -> Tensor:
    """Return values[index], on a CPU in a quarter of the time. Shapes: values (examples, ...), index any; int64."""
    return values.index_select(0, index.flatten()).view(*index.shape, *values.shape[1:])


def initial_parameters(plan: Plan) -> Parameters:
    """Draw initial weights, biases and masks."""
    if plan.method.initial_pruning is not None:
        return draw_parameters(plan, everywhere(plan), number=0)
    if plan.method.backward_density is not None:
        return _largest(plan, draw_parameters(plan, everywhere(plan), number=0))
    layers = range(len(plan.network.shapes))
    return draw_parameters(plan, [_initial_mask(plan, layer) for layer in layers], number=0)


def everywhere(plan: Plan) -> list[Tensor]:
    """Return full masks. Shapes: (trials, out, in), bool, for each layer."""
    return [torch.ones(len(plan.seeds), *shape, dtype=torch.bool, device=plan.device) for shape in plan.network.shapes]


def _largest(plan: Plan, parameters: Parameters) -> Parameters:
    """Return parameters in which the largest weights of each layer are active, as many as the plan says."""
    active = []
    for layer, (weight, mask) in enumerate(zip(parameters.weights, parameters.masks, strict=True)):
        pattern, n_active = plan.patterns[layer], target_counts(plan, layer, share_done=0.0)
        noise = pattern.noise(tie_noise(plan, Purpose.MASK, layer, epoch=0))
        active.append(pattern.highest(pattern.mean(weight.abs()), ~mask, n_active, noise, mask))
    weights = [weight * mask for weight, mask in zip(parameters.weights, active, strict=True)]
    return Parameters(weights, parameters.biases, active)


def draw_parameters(plan: Plan, active: Sequence[Tensor], number: int) -> Parameters:
    """Draw weights, as `weight_init` says, and biases for given masks.

    Biases are U(-b, b) with b = 1 / sqrt(n_in), torch's default for a dense layer, for all initializations: so a unit
    without active inputs still differs from the others, and the signal of deep layers comes from the weights.

    Args:
        plan: The trials.
        active: The mask of each layer. Shapes: (trials, out, in), bool.
        number: The draw. Each number gives other weights and biases; trials start with draw 0.
    """
    weights, biases = [], []
    for layer, mask in enumerate(active):
        n_out, n_in = plan.network.shapes[layer]
        scale = plan.weight_init.scale(mask, layer_gain(plan.network, layer)).float()
        drawn = _draw(plan, (n_out, n_in), Purpose.WEIGHT, layer, number, plan.weight_init.draw)
        weights.append(drawn * scale * mask)
        biases.append(_draw(plan, (n_out,), Purpose.BIAS, layer, number, centred_uniform) * (1 / math.sqrt(n_in)))
    return Parameters(weights, biases, list(active))


def _draw(
    plan: Plan, shape: tuple[int, ...], purpose: Purpose, layer: int, number: int, draw: Callable[[Tensor], Tensor]
) -> Tensor:
    stream = {"layer": layer, "epoch": number}
    return draw_per_seed(plan, lambda seed: draw(random.uniform(shape, Stream(seed, purpose, **stream))))


def _initial_mask(plan: Plan, layer: int) -> Tensor:
    """Draw the mask of a layer. Shapes: (trials, out, in), bool."""
    n_active = target_counts(plan, layer, share_done=0.0)
    noise, pattern = tie_noise(plan, Purpose.MASK, layer, epoch=0), plan.patterns[layer]
    return plan.draw_mask(noise, n_active) if pattern == UNSTRUCTURED else draw(pattern, noise, n_active)


def tie_noise(plan: Plan, purpose: Purpose, layer: int, epoch: int, step: int = 0) -> Tensor:
    """Draw the noise that breaks ties between the weights of a layer. Shapes: (trials, out, in), int32."""
    shape, stream = plan.network.shapes[layer], {"layer": layer, "epoch": epoch, "step": step}
    return draw_per_seed(plan, lambda seed: random.noise(shape, Stream(seed, purpose, **stream)))


def counts_over_epochs(plan: Plan) -> bool:
    """Return True if coactivation is counted from one mask update to the next, not within epochs."""
    return plan.updates is not None and plan.updates.in_steps and "coactivation" in plan.method.needs


def target_counts(plan: Plan, layer: int, share_done: float) -> Tensor:
    """Return the planned number of active weights of a layer. Shapes: (trials,), int64.

    Args:
        plan: The trials.
        layer: Index of the layer.
        share_done: Share of the mask updates done so far, in [0, 1]; it matters only if the density falls.
    """
    shape = plan.network.shapes[layer]
    step = plan.patterns[layer].step(shape)
    n = math.prod(shape) // step
    surplus = plan.method.surplus(share_done) if plan.method.surplus else 0.0
    first, last = (
        [round(densities[layer] * n) for densities in of_trials]
        for of_trials in (plan.initial_densities, plan.densities)
    )
    counts = [(end + round(surplus * (start - end))) * step for start, end in zip(first, last, strict=True)]
    return torch.tensor(counts, device=plan.device)
