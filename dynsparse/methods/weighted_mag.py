"""Pruning by magnitude times coactivation."""

from __future__ import annotations

from dynsparse.methods.base import Method, at_random, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import weighted_magnitude


def weighted_mag(config: MethodSettings) -> Method:
    """Prune the weights with the smallest magnitude times coactivation; grow at random.

    Prune: the round(weight_prune_perc * s * n) active weights with the smallest |w| * coactivation. Coactivation is the
    number of training examples of the epoch for which both units of a connection are positive; with
    `pruning_interval_steps`, of the examples since the previous mask update.
    Grow: as many inactive positions, drawn uniformly.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        selection_temperature: at least 0. Above 0, the weights that stay are drawn by score.

    Reference:
        There is no paper. The method is from numenta/nupic.research, https://github.com/numenta/nupic.research
    """
    return Method(
        config.on_perc,
        lowest(weighted_magnitude, config.weight_prune_perc, config.selection_temperature),
        at_random,
        prune_ignores_position=True,
        needs=frozenset({"coactivation"}),
    )
