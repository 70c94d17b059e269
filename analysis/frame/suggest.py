"""The error message for an unknown name: near matches and available names."""

from collections.abc import Sequence
from difflib import get_close_matches

# A trial has some hundred columns: all of them would hide the hint.
SHOWN = 20


def unknown(kind: str, name: object, choices: Sequence[str]) -> str:
    """Return the error message for an unknown name.

    Example:
        >>> from analysis.frame.suggest import unknown
        >>> unknown("column", "on_prec", ["model", "on_perc"])
        "Unknown column 'on_prec'. Did you mean 'on_perc'? Available: model, on_perc."
    """
    near = get_close_matches(str(name), choices, n=3)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    shown = ", ".join(choices[:SHOWN]) + (f", ... ({len(choices) - SHOWN} more)" if len(choices) > SHOWN else "")
    return f"Unknown {kind} {name!r}.{hint} Available: {shown or 'none'}."
