"""The baseline: every weight is active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynsparse.methods.base import Method

if TYPE_CHECKING:
    from dynsparse.config import Config


def dense(config: Config) -> Method:
    """All weights active, always."""
    return Method(density=1.0)
