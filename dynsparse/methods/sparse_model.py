"""A static sparse network: the mask is drawn once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynsparse.methods.base import Method

if TYPE_CHECKING:
    from dynsparse.config import Config


def sparse_model(config: Config) -> Method:
    """A random mask that never changes."""
    return Method(density=config.on_perc)
