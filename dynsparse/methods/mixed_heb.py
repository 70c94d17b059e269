"""Magnitude and Hebbian pruning together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dynsparse.methods.method import Method, highest, lowest, or_zero
from dynsparse.methods.mixed_heb_2019 import mixed_heb_2019
from dynsparse.methods.signwise import smallest_of_each_sign
from dynsparse.scores import Layer, chance, coactivation

if TYPE_CHECKING:
    from dynsparse.config import Config


def mixed_heb(config: Config) -> Method:
    """Drop what both the magnitude rule and the coactivation rule would drop; grow by coactivation or at random.

    A rule whose fraction is 0 or None takes no part: the other one decides alone.
    """
    if config.rules == "legacy_2019":
        return mixed_heb_2019(config)
    by_magnitude = smallest_of_each_sign(config.weight_prune_perc)
    by_coactivation = lowest(coactivation, config.hebbian_prune_perc)

    def prune(layer: Layer) -> Tensor:
        # Trials of a pack may have either fraction at 0, so this is no `if`.
        without_magnitude = is_zero(config.weight_prune_perc, layer)
        without_coactivation = is_zero(config.hebbian_prune_perc, layer)
        small = by_magnitude(layer)
        seldom = by_coactivation(layer)
        # A rule without a part has dropped nothing, so that `|` leaves the other's choice.
        return torch.where(without_magnitude | without_coactivation, small | seldom, small & seldom)

    return Method(
        config.on_perc,
        prune,
        highest(coactivation if config.hebbian_grow else chance),
        needs=frozenset({"coactivation"}),
    )


def is_zero(fraction: float | None, layer: Layer) -> Tensor:
    """Where a trial's fraction is 0. Shapes: (..., 1, 1), bool."""
    return torch.as_tensor(or_zero(fraction) == 0, device=layer.weight.device)[..., None, None]
