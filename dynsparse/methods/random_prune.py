"""The control: masks that change without reason."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops.scores import chance


def random_prune(config: MethodSettings) -> Method:
    """Drop at random, grow at random."""
    return Method(config.on_perc, lowest(chance, config.weight_prune_perc), highest(chance))
