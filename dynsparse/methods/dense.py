"""The baseline: all weights are active."""

from __future__ import annotations

from dynsparse.methods.base import Method
from dynsparse.methods.settings import MethodSettings


def dense(config: MethodSettings) -> Method:
    """Train a dense network. Nothing is pruned and nothing grows; no key is read."""
    return Method(density=1.0)
