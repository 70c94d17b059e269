"""Hyperparameters as settings: equal values that were written differently become one."""

import ast
import re
from typing import Any

from analysis.frame.values import LONGEST_LIST

# In the text of a function or another object, the place in memory where it lay: "<function f at 0x7f3a>".
ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+\b")
# In the text that names a function in a file, the folder: "/home/me/" in "/home/me/nets.py:lenet".
FOLDER = re.compile(r"^.*[/\\](?=[^/\\:]+\.py:\w+$)")


def setting(value: Any) -> Any:
    """Return a value of a config without what says only how it was written; the same object if there is nothing.

    Texts lose the addresses of objects, which differ after each restart, and the folders of functions in files, which
    differ between machines. The text of a set gets the order of its values.

    Example:
        >>> from analysis.frame.settings import setting
        >>> setting("<function reward at 0x7f3a50>"), setting("{'b', 'a'}"), setting(0.1)
        ('<function reward>', "{'a', 'b'}", 0.1)
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple):
        found = tuple(map(setting, value))
        return value if all(new is old for new, old in zip(found, value, strict=True)) else found
    return value


def _text(text: str) -> str:
    if text[:1] == "{" and len(text) <= LONGEST_LIST:
        try:
            found = ast.literal_eval(text)
            # `repr` raises a ValueError for a number of thousands of digits.
            ordered = f"{{{', '.join(sorted(map(repr, found)))}}}" if isinstance(found, set) else text
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            ordered = text
        text = text if text == ordered else ordered
    text = FOLDER.sub("", text) if ".py:" in text else text
    return ADDRESS.sub("", text) if "<" in text else text
