"""RigL, the rigged lottery."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import gradient, magnitude


def rigl(config: MethodSettings) -> Method:
    """Drop the smallest weights; grow where the gradient of the loss on the last batch is largest.

    The paper decays the drop fraction (prune_decay="cosine"), ends at three quarters of the training
    (pruning_end=0.75), and lets a weight that was just dropped grow again; here it may not.

    Reference: Evci et al., Rigging the Lottery: Making All Tickets Winners, 2020, https://arxiv.org/abs/1911.11134
    """
    return Method(
        config.on_perc,
        lowest(magnitude, config.weight_prune_perc),
        highest(gradient),
        needs=frozenset({"gradient"}),
    )
