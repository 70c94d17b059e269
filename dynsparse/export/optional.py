"""Packages that only exporting needs: each is imported when a file of its kind is written or read."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(name: str) -> Any:
    """The package. Raises: ImportError that says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f'this needs {name.split(".")[0]} ({error}): pip install "dynsparse[export]"') from error
