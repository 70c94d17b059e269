"""Words of messages, and texts of any origin that can be shown."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.frame.values import is_missing

# Colours, movements of the cursor and the like; titles and links, with the text that they hide; a lone escape.
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|[ -/]*[0-Z\\^-~])?")


def plural(n: int, noun: str) -> str:
    """Return a number and its noun: "1 trial", "3 trials"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def joined(parts: Sequence[str], last: str = "and") -> str:
    """Return texts as a list in a sentence: "a", "a and b", "a, b and c".

    Example:
        >>> from analysis.frame.words import joined
        >>> joined(["RigL", "SET", "GMP"], last="or")
        'RigL, SET or GMP'
    """
    return f" {last} ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def value_text(value: Any) -> str:
    """Return the value of a hyperparameter for a sentence; "None", as `select` takes it, if it is missing."""
    return "None" if is_missing(value) else str(value)


def setting_text(names: Sequence[str], values: Mapping[Any, Any]) -> str:
    """Return the values of some hyperparameters for a sentence. A text says what it is; other values need their name.

    Example:
        >>> from analysis.frame.words import setting_text
        >>> setting_text(["dataset_name", "retrain_epochs"], {"dataset_name": "digits", "retrain_epochs": 0})
        'digits, retrain_epochs=0'
    """
    return ", ".join(
        values[name] if isinstance(values[name], str) else f"{name}={value_text(values[name])}" for name in names
    )


def printable(text: str) -> str:
    """Return a text without control sequences and without characters that cannot be seen, except tab and line break.

    A terminal would obey some of them: clear the screen, set its title, type into it, or write from right to left.
    """
    if text.isprintable():
        return text
    return "".join(each for each in SEQUENCE.sub("", text) if each.isprintable() or each in "\n\t")


def unsigned_zero(text: str) -> str:
    """Return the text of a number, without its sign if it shows zero: "-0.00" becomes "0.00"."""
    return text if text.strip("+-0.") else text.lstrip("+-")
