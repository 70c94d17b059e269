"""Text for a terminal: what was read from files may hold sequences that a terminal obeys."""

from __future__ import annotations

import re
import sys

# Colours, movements of the cursor and the like; titles and links, with the text that they hide; a lone escape.
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|[ -/]*[0-Z\\^-~])?")


def printable(text: str) -> str:
    """Return a text without control sequences and without characters that cannot be seen, except tab and line break.

    A terminal would obey some of them: clear the screen, set its title, type into it, or write from right to left.
    """
    if text.isprintable():
        return text
    return "".join(each for each in SEQUENCE.sub("", text) if each.isprintable() or each in "\n\t")


def say(text: str) -> None:
    """Print a text to standard error, without control sequences."""
    print(printable(text), file=sys.stderr)
