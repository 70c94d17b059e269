"""A static sparse network: the mask is drawn once."""

from __future__ import annotations

from dynsparse.methods.base import Method
from dynsparse.methods.settings import MethodSettings


def sparse_model(config: MethodSettings) -> Method:
    """A random mask that never changes."""
    return Method(density=config.on_perc)
