"""Magnitude weighted by coactivation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.ops.scores import chance, weighted_magnitude

if TYPE_CHECKING:
    from dynsparse.config import Config


def weighted_mag(config: Config) -> Method:
    """Drop the weights of the smallest magnitude times coactivation; grow at random."""
    return Method(
        config.on_perc,
        lowest(weighted_magnitude, config.weight_prune_perc),
        highest(chance),
        needs=frozenset({"coactivation"}),
    )
