"""Optional packages for export, imported when a file of their format is written or read."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(name: str) -> Any:
    """Import a package. Raises: ImportError that says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.split(".")[0]
        raise ImportError(
            f'The package {package} cannot be imported ({error}). Install it: pip install "dynsparse[export]".'
        ) from error
