"""Magnitude pruning with Hebbian growth."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import coactivation, magnitude


def heb(config: MethodSettings) -> Method:
    """Prune the smallest weights; grow where the units at both ends are most often active together.

    Prune: the round(weight_prune_perc * s * n) active weights with the smallest |w|.
    Grow: as many inactive positions, those with the highest coactivation. Coactivation is the number of training
    examples of the epoch for which both units of a connection are positive; with `pruning_interval_steps`, of the
    examples since the previous mask update.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        selection_temperature: at least 0. Above 0, the weights that stay, and those that grow, are drawn by score.

    Reference:
        There is no paper. The method is from numenta/nupic.research, https://github.com/numenta/nupic.research
    """
    return Method(
        config.on_perc,
        lowest(magnitude, config.weight_prune_perc, config.selection_temperature),
        highest(coactivation, config.selection_temperature),
        prune_ignores_position=True,
        needs=frozenset({"coactivation"}),
    )
