"""JSON objects of any origin: those that Python can compare and write."""

from __future__ import annotations

import json
from typing import Any

# Values that are nested deeper would exceed Python's limit where they are compared or written.
MOST_LEVELS = 50


def parse_object(content: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None if it is damaged, no object, or nested more than 50 levels deep."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if b"[" not in content and content.count(b"{") == 1:
        # Flat, as all rows of ours.
        return value
    level: list[Any] = [value]
    for _ in range(MOST_LEVELS):
        level = [item for each in level for item in _items(each) if isinstance(item, dict | list)]
        if not level:
            return value
    return None


def _items(value: dict[str, Any] | list[Any]) -> Any:
    return value.values() if isinstance(value, dict) else value
