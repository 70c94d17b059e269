"""Magnitude pruning with Hebbian growth."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import coactivation, magnitude


def heb(config: MethodSettings) -> Method:
    """Drop the smallest weights; grow where the units at both ends are active together most often."""
    return Method(
        config.on_perc,
        lowest(magnitude, config.weight_prune_perc),
        highest(coactivation),
        needs=frozenset({"coactivation"}),
    )
