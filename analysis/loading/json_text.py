"""JSON of any origin: what Python can hold, compare and write, and nothing else."""

import json
from typing import Any

import orjson

from analysis.frame.values import MOST_LEVELS, check_depth, whole_number

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
        check_depth(found)
    return found


def _has_many(text: bytes, bracket: bytes) -> bool:
    # Faster than counting all, because it ends soon.
    place, n = text.find(bracket), 0
    while place >= 0 and n < FEW:
        place, n = text.find(bracket, place + 1), n + 1
    return place >= 0


def _parse_in_python(text: str) -> Any:
    try:
        # A number must not depend on what else is in the text, such as NaN, for which orjson cannot read it.
        found = json.loads(text, parse_int=whole_number)
    except RecursionError as error:
        raise ValueError(f"nested more than {MOST_LEVELS} levels deep") from error
    check_depth(found)
    return _without_surrogates(found) if "\\u" in text else found


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
