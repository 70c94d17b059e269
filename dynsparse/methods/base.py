"""A method: what it prunes, what it grows, and the statistics that it needs; and the pieces that methods share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dynsparse.ops import masks
from dynsparse.ops.schedules import Schedule
from dynsparse.ops.scores import Layer, Score

# A prune rule: the active positions to drop. Shapes: (..., out, in), bool.
Prune = Callable[[Layer], Tensor]
# A grow rule: the positions to turn on, given those that were kept and how many are wanted, (...).
Grow = Callable[[Layer, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Method:
    """What an engine must know of a method.

    The fields up to `surplus` are the method; the rest has the values of every method under rules="fixed".
    """

    density: float | Tensor  # of the trial: where it starts, or ends when `surplus` falls
    prune: Prune | None = None  # None: the masks never change
    grow: Grow | None = None  # None: nothing grows
    prune_decays: bool = True  # the prune rule reads `drop_scale`
    needs: frozenset[str] = frozenset()  # fields of Layer: coactivation, gradient, gradient_momentum
    smoothing: float | Tensor = 0.0  # of gradient_momentum: what it keeps of itself at each step
    # Share of the weights beyond `density` that is still active at a progress in [0, 1]; None: the density is constant.
    surplus: Schedule | None = None

    # What the 2019 notebook did otherwise.
    sparse_type: str | None = None  # draws the initial mask so, whatever the configuration says
    fails: Callable[[Layer], Tensor] | None = None  # (...) True where its code would have died
    counts_evaluation: bool = False  # coactivation counts test and noise images as well
    updates_after_last_epoch: bool = False  # although nothing comes after it
    moves_inactive: bool = False  # momentum goes on integrating while a weight is inactive


class MaskUpdate(NamedTuple):
    """The result of one prune followed by one grow. Shapes: (..., out, in), bool, but for `target`, (...).

    A position that the prune rule drops and the grow rule takes back at once has not changed: its weight stays.
    """

    mask: Tensor  # active after the update
    kept: Tensor  # active before, and not dropped by the prune rule
    grown: Tensor  # active after, not before
    target: Tensor  # the number of active weights that was wanted


def update_mask(method: Method, layer: Layer) -> MaskUpdate:
    """One prune followed by one grow, back to the layer's target."""
    assert method.prune is not None, "this method has no mask updates"
    kept = layer.mask & ~method.prune(layer)
    mask = kept
    if method.grow is not None:
        mask = kept | method.grow(layer, kept, (layer.target - masks.count(kept)).clamp_min(0))
    return MaskUpdate(mask, kept, mask & ~layer.mask, layer.target)


def lowest(score: Score, fraction: float | Tensor | None) -> Prune:
    """Drop exactly round(fraction * active) of the active weights: those of the lowest score.

    A fraction of 0 or None drops nothing. Per trial, `fraction` may be a tensor of shape (trials,).
    """

    def prune(layer: Layer) -> Tensor:
        n_drop = masks.round_share(or_zero(fraction) * layer.drop_scale, masks.count(layer.mask))
        return masks.lowest(score(layer), n_drop, layer.prune_noise, among=layer.mask)

    return prune


def highest(score: Score) -> Grow:
    """Grow exactly as many as are wanted: the inactive positions of the highest score.

    Positions that were inactive before the update come first; only when there are too few of them, in a nearly dense
    layer, are just-pruned ones taken back.
    """

    def grow(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
        priority = (~kept).to(torch.int8) + (~layer.mask).to(torch.int8)
        return masks.highest(score(layer), n_grow, layer.grow_noise, among=priority)

    return grow


def or_zero(fraction: float | Tensor | None) -> float | Tensor:
    """A rule whose fraction is None takes no part, as with 0."""
    return 0.0 if fraction is None else fraction
