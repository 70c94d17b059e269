"""Magnitude and Hebbian pruning combined."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.methods.base import Method, Prune, at_random, highest, lowest, or_zero
from dynsparse.methods.legacy_2019 import mixed_heb_2019
from dynsparse.methods.settings import MethodSettings
from dynsparse.methods.signwise import smallest_of_each_sign
from dynsparse.ops.scores import Layer, Score, coactivation


def mixed_heb(config: MethodSettings) -> Method:
    """Prune weights that both the magnitude rule and the coactivation rule select; grow by coactivation or at random.

    Prune: the intersection of two sets. The magnitude rule selects as in `SET`, with weight_prune_perc. The
    coactivation rule selects the round(hebbian_prune_perc * s * n) active weights with the lowest coactivation. If one
    of the fractions is 0 or None, the other rule decides alone. Coactivation is the number of training examples of the
    epoch for which both units of a connection are positive.
    Grow: as many inactive positions; with hebbian_grow those with the highest coactivation, else drawn uniformly.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that the magnitude rule selects, in [0, 1], or None.
        hebbian_prune_perc: share of the active weights that the coactivation rule selects, in [0, 1], or None.
        hebbian_grow: True grows by coactivation, False at random.
        rules: "fixed" for the rules above, "legacy_2019" for `mixed_heb_2019`.

    Reference:
        There is no paper. The method is from numenta/nupic.research, https://github.com/numenta/nupic.research
    """
    if config.rules == "legacy_2019":
        return mixed_heb_2019(config)
    # In a pack whose trials differ in hebbian_grow, it is a tensor.
    return Method(
        config.on_perc,
        drop_selected_by_both(config.weight_prune_perc, config.hebbian_prune_perc),
        at_random if config.hebbian_grow is False else highest(coactivation_or_chance(config.hebbian_grow)),
        prune_ignores_position=True,
        needs=frozenset({"coactivation"}),
    )


def coactivation_or_chance(hebbian_grow: bool | Tensor) -> Score:
    """Return the score that is the coactivation for trials with `hebbian_grow`, and 0 for the others."""

    def score(layer: Layer) -> Tensor:
        by_coactivation = torch.as_tensor(hebbian_grow, device=layer.weight.device)
        return coactivation(layer) * by_coactivation[..., None, None]

    return score


def drop_selected_by_both(weight_prune_perc: float | Tensor | None, hebbian_prune_perc: float | Tensor | None) -> Prune:
    """Return the rule that drops what both rules select, or what the only rule in use selects."""
    by_magnitude = smallest_of_each_sign(weight_prune_perc)
    by_coactivation = lowest(coactivation, hebbian_prune_perc)

    def prune(layer: Layer) -> Tensor:
        small, seldom = by_magnitude(layer), by_coactivation(layer)
        # Not an `if`, because the trials of a pack may differ in which fraction is 0. A rule with fraction 0 selects
        # nothing, so `|` gives the selection of the other rule.
        alone = is_zero(weight_prune_perc, layer) | is_zero(hebbian_prune_perc, layer)
        return torch.where(alone, small | seldom, small & seldom)

    return prune


def is_zero(fraction: float | Tensor | None, layer: Layer) -> Tensor:
    """Return True for trials whose fraction is 0. Shapes: (..., 1, 1), bool."""
    return torch.as_tensor(or_zero(fraction) == 0, device=layer.weight.device)[..., None, None]
