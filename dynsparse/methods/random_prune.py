"""The control: random mask updates."""

from __future__ import annotations

from dynsparse.methods.base import Method, at_random, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import chance


def random_prune(config: MethodSettings) -> Method:
    """Prune at random and grow at random, as a control for the other methods.

    Prune: round(weight_prune_perc * s * n) active weights, drawn uniformly.
    Grow: as many inactive positions, drawn uniformly.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
    """
    return Method(config.on_perc, lowest(chance, config.weight_prune_perc), at_random, prune_ignores_position=True)
