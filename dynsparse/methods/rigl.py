"""RigL: the rigged lottery."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import gradient, magnitude


def rigl(config: MethodSettings) -> Method:
    """Prune the smallest weights; grow where the gradient of the loss is largest.

    Prune: the round(weight_prune_perc * s * n) active weights with the smallest |w|.
    Grow: as many inactive positions, those with the largest |dL/dw| on the last batch before the update.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        selection_temperature: at least 0. Above 0, the weights that stay, and those that grow, are drawn by score.

    Differences from the paper: the paper updates the masks every 100 steps (set pruning_interval_steps=100), decays the
    drop fraction (set prune_decay="cosine") and stops at three quarters of the training (set pruning_end=0.75). Its
    decay is 0 at that point; here it is 0 one interval after the last update, so that no update is wasted. There an
    update takes the place of an optimizer step; here it follows one, and uses the gradient of that step. The paper lets
    a weight grow again in the update that drops it; here it cannot, unless the layer is nearly dense.

    Reference:
        Utku Evci, Trevor Gale, Jacob Menick, Pablo Samuel Castro and Erich Elsen, Rigging the Lottery: Making All
        Tickets Winners, 2020, https://arxiv.org/abs/1911.11134
    """
    return Method(
        config.on_perc,
        lowest(magnitude, config.weight_prune_perc, config.selection_temperature),
        highest(gradient, config.selection_temperature),
        prune_ignores_position=True,
        needs=frozenset({"gradient"}),
    )
