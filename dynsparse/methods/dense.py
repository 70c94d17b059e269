"""The baseline: every weight is active."""

from __future__ import annotations

from dynsparse.methods.base import Method
from dynsparse.methods.settings import MethodSettings


def dense(config: MethodSettings) -> Method:
    """All weights active, always."""
    return Method(density=1.0)
