"""Error messages for unknown names, with near matches."""

from collections.abc import Sequence
from difflib import get_close_matches

# A trial has some hundred columns: all of them would hide the hint.
SHOWN = 20


def unknown(kind: str, name: object, choices: Sequence[str]) -> str:
    """Return the message for an unknown name, as in `no column 'on_prec'; choose from ... (on_perc?)`."""
    near = get_close_matches(str(name), choices, n=3)
    hint = f" ({', '.join(near)}?)" if near else ""
    shown = ", ".join(choices[:SHOWN]) + (f", ... ({len(choices) - SHOWN} more)" if len(choices) > SHOWN else "")
    return f"no {kind} {name!r}; choose from {shown or 'nothing'}{hint}"
