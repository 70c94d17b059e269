"""A static sparse network."""

from __future__ import annotations

from dynsparse.methods.base import Method
from dynsparse.methods.settings import MethodSettings


def sparse_model(config: MethodSettings) -> Method:
    """Train a sparse network whose random mask is drawn once and never changes.

    Keys:
        on_perc: density, in (0, 1].
    """
    return Method(density=config.on_perc)
