"""What every engine does in the same way: how the networks of a pack begin, and how their masks are updated.

Random numbers are drawn on the CPU, so that a trial is the same on every device; trials of one seed share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from dynsparse import random
from dynsparse.data import Images
from dynsparse.methods import MaskUpdate, update_mask
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer
from dynsparse.planning.plan import Plan
from dynsparse.random import Purpose, Stream
from dynsparse.studies import Parameters

Held = tuple[Any, Tensor]


class Sums(NamedTuple):
    """Of a pass over a data set. Shapes: (trials,)."""

    loss: Tensor  # sum of the examples' cross-entropies, float64
    correct: Tensor  # number of examples, int64


class When(NamedTuple):
    """The place of a mask update in the training."""

    epoch: int
    progress: float  # of the mask updates, in [0, 1]
    drop_scale: float  # the drop fractions are multiplied by it
    stopped: Tensor  # (trials,) True for trials whose masks stay as they are


class Engine(Protocol):
    """What a Trainer asks of an engine; `Held` is a data set as the engine wants it."""

    masks: list[Tensor]  # of each layer, (trials, out, in), bool

    @property
    def weights(self) -> list[Tensor]:
        """Of each layer, zero where the mask is False. Shapes: (trials, out, in)."""

    @property
    def biases(self) -> list[Tensor]:
        """Of each layer. Shapes: (trials, out)."""

    def hold(self, parts: Sequence[Images], labels: Tensor) -> Held:
        """Images and labels, one part for each seed, or one for all. Shapes: labels (parts, examples)."""

    def train_epoch(self, held: Held, order: Tensor, *, epoch: int) -> Sums:
        """One pass over the examples in an order, (seeds or 1, examples), one step for each batch."""

    def evaluate(self, x: Any, y: Tensor) -> Sums:
        """A pass without training over what `hold` returned."""

    def update_masks(self, when: When) -> tuple[list[MaskUpdate], Tensor]:
        """One mask update of every layer; and (trials,) True for a trial that rules="legacy_2019" ends here."""

    def end_epoch(self) -> None:
        """What happens once an epoch, after the mask update if there is one."""

    def state_dict(self) -> dict[str, Any]:
        """All that a later engine of the same plan, of whatever kind, needs to continue after an epoch."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""


def per_seed(plan: Plan, draw: Callable[[int], Tensor]) -> Tensor:
    """What `draw` gives for each trial's seed. Shapes: (...) to (trials, ...)."""
    distinct = list(dict.fromkeys(plan.seeds))
    drawn = torch.stack([draw(seed) for seed in distinct]).to(plan.device)
    # Copies for each trial are made on the device: hundreds of trials share a seed.
    return drawn[torch.tensor([distinct.index(seed) for seed in plan.seeds], device=plan.device)]


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Compute matrix products on a CUDA device in "float32" or in "tf32"; afterwards as before."""
    products = torch.backends.cuda.matmul
    # Torch has renamed the setting, and refuses to read the old one once the new one has been used.
    is_new = hasattr(products, "fp32_precision")
    name = "fp32_precision" if is_new else "allow_tf32"
    values = {"float32": "ieee", "tf32": "tf32"} if is_new else {"float32": False, "tf32": True}
    before = getattr(products, name)
    setattr(products, name, values[precision])
    try:
        yield
    finally:
        setattr(products, name, before)


def initial(plan: Plan, number: int = 0) -> Parameters:
    """The networks as they begin. Each number has other weights and biases; 0 are those that a trial begins with.

    U(-b, b) with b = 1 / sqrt(n_in), torch's default for linear layers, for weights and biases.
    """
    layers = range(len(plan.network.shapes))
    active = [_initial_mask(plan, layer) for layer in layers]
    weights = [_drawn(plan, layer, Purpose.WEIGHT, number) * mask for layer, mask in zip(layers, active, strict=True)]
    return Parameters(weights, [_drawn(plan, layer, Purpose.BIAS, number) for layer in layers], active)


def _drawn(plan: Plan, layer: int, purpose: Purpose, number: int) -> Tensor:
    shape = plan.network.shapes[layer]
    bound = 1 / math.sqrt(shape[1])
    size = shape if purpose is Purpose.WEIGHT else shape[:1]
    stream = {"layer": layer, "epoch": number}
    return per_seed(plan, lambda seed: (random.uniform(size, Stream(seed, purpose, **stream)) * 2 - 1) * bound)


def _initial_mask(plan: Plan, layer: int) -> Tensor:
    """Shapes: (trials, out, in), bool."""
    return masks.DRAWS[plan.sparse_type](noise(plan, Purpose.MASK, layer, epoch=0), wanted(plan, layer, progress=0.0))


def noise(plan: Plan, purpose: Purpose, layer: int, epoch: int) -> Tensor:
    """What breaks ties between the weights of a layer. Shapes: (trials, out, in), int32."""
    shape = plan.network.shapes[layer]
    return per_seed(plan, lambda seed: random.noise(shape, Stream(seed, purpose, layer=layer, epoch=epoch)))


def wanted(plan: Plan, layer: int, progress: float) -> Tensor:
    """How many active weights the plan wants at `progress` of the mask updates. Shapes: (trials,), int64."""
    n = math.prod(plan.network.shapes[layer])
    surplus = plan.method.surplus(progress) if plan.method.surplus else 0.0
    final = [round(densities[layer] * n) for densities in plan.densities]
    return torch.tensor([each + round(surplus * (n - each)) for each in final], device=plan.device)


def updated(
    plan: Plan,
    when: When,
    weights: Sequence[Tensor],
    active: Sequence[Tensor],
    targets: Sequence[Tensor],
    statistics: Mapping[str, Sequence[Tensor]],
) -> tuple[list[MaskUpdate], Tensor]:
    """One prune and one grow of every layer.

    Args:
        active: the masks; targets: how many active weights each layer began with, (trials,).
        statistics: for each name in the method's `needs`, that of each layer.

    Returns: the update of each layer; and (trials,) True for a trial that rules="legacy_2019" ends here.
    """
    updates, method = [], plan.method
    failed = torch.zeros(len(plan.seeds), dtype=torch.bool, device=plan.device)
    for i, (weight, mask) in enumerate(zip(weights, active, strict=True)):
        layer = Layer(
            weight=weight,
            mask=mask,
            target=wanted(plan, i, when.progress) if method.surplus else targets[i],
            prune_noise=noise(plan, Purpose.PRUNE, i, when.epoch),
            grow_noise=noise(plan, Purpose.GROW, i, when.epoch),
            drop_scale=when.drop_scale,
            **{name: values[i] for name, values in statistics.items()},
        )
        if method.fails is not None:
            failed |= method.fails(layer) & ~when.stopped
        update = update_mask(method, layer)
        stays = when.stopped[:, None, None]
        update = update._replace(
            mask=torch.where(stays, mask, update.mask),
            kept=torch.where(stays, mask, update.kept),
            grown=update.grown & ~stays,
            target=torch.where(when.stopped, masks.count(mask), update.target),
        )
        updates.append(update)
    return updates, failed
