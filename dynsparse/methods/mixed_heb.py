"""Magnitude and Hebbian pruning together."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.methods.base import Method, Prune, highest, lowest, or_zero
from dynsparse.methods.legacy_2019 import mixed_heb_2019
from dynsparse.methods.settings import MethodSettings
from dynsparse.methods.signwise import smallest_of_each_sign
from dynsparse.ops.scores import Layer, Score, coactivation


def mixed_heb(config: MethodSettings) -> Method:
    """Drop what both the magnitude rule and the coactivation rule would drop; grow by coactivation or at random.

    A rule whose fraction is 0 or None takes no part: the other one decides alone.
    """
    if config.rules == "legacy_2019":
        return mixed_heb_2019(config)
    return Method(
        config.on_perc,
        both(config.weight_prune_perc, config.hebbian_prune_perc),
        highest(coactivation_where(config.hebbian_grow)),
        needs=frozenset({"coactivation"}),
    )


def coactivation_where(hebbian_grow: bool | Tensor) -> Score:
    """Coactivation; where it is not asked for the same for all positions, so that chance decides."""

    def score(layer: Layer) -> Tensor:
        asked_for = torch.as_tensor(hebbian_grow, device=layer.weight.device)
        return coactivation(layer) * asked_for[..., None, None]

    return score


def both(weight_prune_perc: float | Tensor | None, hebbian_prune_perc: float | Tensor | None) -> Prune:
    """Drop what both rules drop."""
    by_magnitude = smallest_of_each_sign(weight_prune_perc)
    by_coactivation = lowest(coactivation, hebbian_prune_perc)

    def prune(layer: Layer) -> Tensor:
        small, seldom = by_magnitude(layer), by_coactivation(layer)
        # Trials of a pack may have either fraction at 0, so this is no `if`. A rule without a part has dropped
        # nothing, so that `|` leaves the other's choice.
        alone = is_zero(weight_prune_perc, layer) | is_zero(hebbian_prune_perc, layer)
        return torch.where(alone, small | seldom, small & seldom)

    return prune


def is_zero(fraction: float | Tensor | None, layer: Layer) -> Tensor:
    """Where a trial's fraction is 0. Shapes: (..., 1, 1), bool."""
    return torch.as_tensor(or_zero(fraction) == 0, device=layer.weight.device)[..., None, None]
