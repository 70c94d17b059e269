"""Magnitude weighted by coactivation."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import chance, weighted_magnitude


def weighted_mag(config: MethodSettings) -> Method:
    """Drop the weights of the smallest magnitude times coactivation; grow at random."""
    return Method(
        config.on_perc,
        lowest(weighted_magnitude, config.weight_prune_perc),
        highest(chance),
        needs=frozenset({"coactivation"}),
    )
