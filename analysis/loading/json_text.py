"""JSON of any origin: what Python can hold, compare and write, and nothing else."""

import json
from typing import Any

import orjson

from analysis.frame.values import NESTED

# Values that are nested deeper would exceed Python's limit where they are compared or written. No config is.
MOST_LEVELS = 50
FEW = MOST_LEVELS // 2


def parse_json(text: bytes) -> Any:
    r"""Parse a JSON text; also NaN and Infinity, which Tune writes and JSON does not have.

    Halves of surrogate pairs, which no file can hold, become their escapes: the character of "\ud800" becomes six.

    Raises:
        ValueError: if it is not JSON, or nested too deeply.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _parse_in_python(text.decode())
    # Few texts have a second bracket, and hardly any has enough brackets to be nested too deeply.
    if _has_many(text, b"{") or _has_many(text, b"["):
        _check_depth(found)
    return found


def _has_many(text: bytes, bracket: bytes) -> bool:
    # Faster than counting all, because it ends soon.
    place, n = text.find(bracket), 0
    while place >= 0 and n < FEW:
        place, n = text.find(bracket, place + 1), n + 1
    return place >= 0


def _parse_in_python(text: str) -> Any:
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested more than {MOST_LEVELS} levels deep") from error
    _check_depth(found)
    return _without_surrogates(found) if "\\u" in text else found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        inner = [each.values() if type(each) is dict else each for each in level if type(each) in NESTED]
        if not inner:
            return
        level = [item for items in inner for item in items if type(item) in NESTED]
    raise ValueError(f"nested more than {MOST_LEVELS} levels deep")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def without_surrogates(text: str) -> str:
    """Return a text with the escapes of halves of surrogate pairs, as in the name of a file that is not UTF-8."""
    return text.encode(errors="backslashreplace").decode()
