"""The control: masks that change without reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynsparse.methods.base import Method, highest, lowest
from dynsparse.ops.scores import chance

if TYPE_CHECKING:
    from dynsparse.config import Config


def random_prune(config: Config) -> Method:
    """Drop at random, grow at random."""
    return Method(config.on_perc, lowest(chance, config.weight_prune_perc), highest(chance))
