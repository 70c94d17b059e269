"""The error message for a name that does not exist: near matches and available names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near_matches(name: object, known: Iterable[str]) -> list[str]:
    """Return up to three known names that a misspelt one may stand for, nearest first. Case does not matter."""
    lower = {each.lower(): each for each in known}
    return [lower[each] for each in difflib.get_close_matches(str(name).lower(), list(lower), n=3)]


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that is in no table, with its near matches."""
    near = near_matches(name, known)
    return f"unknown {what} {str(name)!r}" + (f" (did you mean {', '.join(near)}?)" if near else "")
