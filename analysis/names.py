"""What an error says of a name that is not there."""

from collections.abc import Sequence
from difflib import get_close_matches


def unknown(kind: str, name: object, choices: Sequence[str]) -> str:
    """The name, the choices and the nearest ones, as in `no column 'on_prec'; choose from ... (on_perc?)`."""
    near = get_close_matches(str(name), choices, n=3)
    hint = f" ({', '.join(near)}?)" if near else ""
    return f"no {kind} {name!r}; choose from {', '.join(choices) or 'nothing'}{hint}"
