"""`Method`: its prune rule, its grow rule and the statistics that they need; and rules that several methods share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dynsparse.methods.initial_pruning import InitialPruning
from dynsparse.ops import masks
from dynsparse.ops.schedules import Schedule
from dynsparse.ops.scores import Layer, Score, chance

# A prune rule returns the active positions to drop. Shapes: (..., out, in), bool.
Prune = Callable[[Layer], Tensor]
# An ablation rule returns the units that get no inputs, (..., out), which the grow rule reads as `Layer.ablated`; and
# the positions that are left of those that the prune rule has kept.
Ablate = Callable[[Layer, Tensor], tuple[Tensor, Tensor]]
# A grow rule returns the positions to turn on, given the kept ones and the number to grow, (...).
Grow = Callable[[Layer, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Drift:
    """A motion of the active weights after each optimizer step: towards zero, and at random.

    With the learning rate r of the step, a weight of sign s changes by -r * l1 * s + sqrt(2 * r * temperature) * v. The
    number v is drawn from N(0, 1). The sign is that of the position, `Layer.sign`, whatever the weight has become.
    """

    l1: float | Tensor
    temperature: float | Tensor


@dataclass(frozen=True)
class Method:
    """A method as an engine sees it.

    The fields up to `initial_pruning` describe the method. The others differ from their defaults only for
    rules="legacy_2019". In a pack, a number may be a tensor of shape (trials,).
    """

    # In the first line of a comment with `#:`, Sphinx takes text before a colon for the type of the field.

    #: Density of the trial, in (0, 1]; with `surplus`, that at the last mask update.
    density: float | Tensor
    #: Prune rule, a function `(layer)` that returns the positions to drop. With None, the masks never change.
    prune: Prune | None = None
    #: Grow rule, a function `(layer, kept, n_grow)` that returns the positions to grow. With None, nothing grows, and
    #: the density must fall by `surplus`.
    grow: Grow | None = None
    #: Ablation rule, of `SRigL`. With None, units may have any number of inputs.
    ablate: Ablate | None = None
    #: Weights of units without a path from the inputs, or to the outputs, are dropped before anything grows. Only
    #: networks whose layers follow each other have such paths.
    drops_cut_off: bool = False
    #: The mask of a layer no longer changes after an update that grows a larger share than this at the positions that
    #: it has dropped. None: it always changes.
    overlap_limit: float | Tensor | None = None
    #: True if the prune rule reads `Layer.drop_scale`, that is, `prune_decay`.
    prune_decays: bool = True
    #: True if the prune rule reads values, statistics and noise of active weights, but not their rows and columns. An
    #: engine may then pass it the active weights alone, as one row.
    prune_ignores_position: bool = False
    #: The statistics that the rules read, some of "coactivation", "gradient", "active_gradient", "gradient_momentum"
    #: and "sign". The fields of the layer for the others are None.
    needs: frozenset[str] = frozenset()
    #: Smoothing of gradient_momentum, by mean = smoothing * mean + (1 - smoothing) * gradient.
    smoothing: float | Tensor = 0.0
    #: Share of the weights beyond `density`, of those at `initial_density`, that is active after a share, in [0, 1], of
    #: the mask updates; None: the density is constant.
    surplus: Schedule | None = None
    #: Density of the network before the first mask update, in (0, 1]; only with `surplus`.
    initial_density: float | Tensor = 1.0
    #: With it, the density falls over all layers together. A mask update leaves the largest weights of the network, but
    #: at least this density, and one weight, in each layer. None: each layer has a density of its own. Only with
    #: `surplus`.
    global_floor: float | Tensor | None = None
    #: The weights that an update prunes grow in the layers in proportion to the mean of this score over their active
    #: weights. None: each layer keeps its number of weights.
    redistribution: Score | None = None
    #: Motion of the active weights after each optimizer step.
    drift: Drift | None = None
    #: Inactive weights keep their values, and a mask update reads them, too. The largest of the initial weights are
    #: active. The optimizer trains the active weights and the largest others, together this share of the positions.
    #: None: inactive weights are 0.
    backward_density: float | Tensor | None = None
    #: Replaces the configuration's `sparse_type`.
    sparse_type: str | None = None
    #: With it, the dense network is pruned to `density` before training. With None, the initial masks are drawn.
    initial_pruning: InitialPruning | None = None

    # Deviations of the 2019 notebook.
    #: A function `(layer)` that returns True, (...), for trials in which the 2019 code would have crashed.
    fails: Callable[[Layer], Tensor] | None = None
    #: Coactivation counts test and noise images, too.
    counts_evaluation: bool = False
    #: A mask update follows the last epoch.
    updates_after_last_epoch: bool = False
    #: Momentum keeps integrating while a weight is inactive.
    moves_inactive: bool = False

    @property
    def acts_without_updates(self) -> bool:
        """True if training depends on more than the density of the method, even without mask updates."""
        return self.initial_pruning is not None or self.drift is not None or self.backward_density is not None


class MaskUpdate(NamedTuple):
    """The result of a mask update. Shapes: (..., out, in), bool, except `target`, (...).

    A position that is dropped and grown in the same update does not change: its weight stays.
    """

    #: Active after the update.
    mask: Tensor
    #: Active before, and not dropped.
    kept: Tensor
    #: Active after the update, but not before.
    grown: Tensor
    #: The planned number of active weights.
    target: Tensor


def update_mask(method: Method, layer: Layer) -> MaskUpdate:
    """Prune a layer, then grow it back to its target."""
    return grow_layer(method, *prune_layer(method, layer))


def prune_layer(method: Method, layer: Layer) -> tuple[Layer, Tensor]:
    """Return the layer with the units that the method ablates, and the positions that are kept."""
    assert method.prune is not None, "this method has no mask updates"
    kept = layer.mask & ~method.prune(layer)
    if method.ablate is not None:
        ablated, kept = method.ablate(layer, kept)
        layer = layer._replace(ablated=ablated)
    return layer, kept


def grow_layer(method: Method, layer: Layer, kept: Tensor) -> MaskUpdate:
    """Grow a layer, of which the pruning has left `kept`, back to its target."""
    mask = kept
    if method.grow is not None:
        mask = kept | method.grow(layer, kept, (layer.target - masks.count(kept)).clamp_min(0))
    # The rules in this package keep the pattern, and `methods.checks` checks those of a user.
    assert layer.pattern.misfit(mask) is None, "the rules of a method must keep mask_pattern"
    return MaskUpdate(mask, kept, mask & ~layer.mask, layer.target)


def lowest(score: Score, fraction: float | Tensor | None, temperature: float = 0.0) -> Prune:
    """Return the rule that drops the round(fraction * s * n) of n active weights with the lowest scores.

    With a temperature above 0, the weights that stay are drawn: see `soft`. A fraction of 0 or None drops nothing. In a
    pack it may be a tensor of shape (trials,).
    """

    def prune(layer: Layer) -> Tensor:
        n_drop = masks.round_share(or_zero(fraction) * layer.drop_scale, masks.count(layer.mask))
        keys = soft(layer.pattern.mean(score(layer)), temperature, layer.prune_noise)
        return layer.pattern.lowest(keys, n_drop, layer.prune_noise, layer.mask)

    return prune


def highest(score: Score, temperature: float = 0.0) -> Grow:
    """Return the rule that grows the inactive positions with the highest scores, up to the layer's target.

    With a temperature above 0, the positions are drawn: see `soft`. To grow at random, use `at_random`.

    Positions that have just been pruned are grown only if there are too few others, in a nearly dense layer.
    """

    def grow(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
        # Positions in `kept` have priority 0 even if they were inactive before the update: a rule of two parts adds
        # what its first part grows.
        priority = (~kept).to(torch.int8) * (2 - layer.mask.to(torch.int8))
        keys = soft(layer.pattern.mean(score(layer)), temperature, layer.grow_noise)
        return layer.pattern.highest(keys, kept, n_grow, layer.grow_noise, priority)

    return grow


def soft(score: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """Return scores whose k highest are drawn with probabilities proportional to score^(1 / temperature).

    A temperature of 0 returns the scores as they are, so that the highest are taken; the higher it is, the more the
    choice is left to chance. Shapes: score and noise (..., out, in).
    """
    # Keys must not be infinite in float32.
    return masks.drawn(score, min(1 / temperature, 1e30), noise) if temperature > 0 else score


def at_random(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
    """Grow inactive positions drawn uniformly: those with the lowest noise, as `highest(chance)` does.

    The sparse engine recognises this rule, and needs no scores and no stored noise of the inactive positions for it.
    """
    return highest(chance)(layer, kept, n_grow)


def or_zero(fraction: float | Tensor | None) -> float | Tensor:
    """Return the fraction, or 0 if it is None: in both cases the rule is not used."""
    return 0.0 if fraction is None else fraction
