"""Tensors nested in lists and dicts, as in the saved state of an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply a function to each tensor. Other values are returned unchanged."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list):
        return [map_tensors(function, each) for each in value]
    if isinstance(value, dict):
        return {name: map_tensors(function, each) for name, each in value.items()}
    return value


def copy_(target: Any, source: Any) -> None:
    """Copy tensors into other tensors. Both are nested in the same way."""
    if isinstance(target, Tensor):
        target.copy_(source)
        return
    for name in target if isinstance(target, dict) else range(len(target)):
        copy_(target[name], source[name])
