"""Values of a config or a row: conversion to numbers and to hashable values, and their order."""

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

# The types of JSON that contain other values.
NESTED = {dict, list}
# The text of a tensor with a single value: of torch, JAX, MLX and numpy; of TensorFlow; of Paddle; of MXNet.
ITEM = r"([^\s,()\[\]<>]+)"
TENSOR = re.compile(
    rf"(?:parameter containing:\s*)?(?:tensor|tf\.tensor|(?:device)?array|np\.\w+)\((?:{ITEM}|\[{ITEM}\])(?:,.*)?\)"
    rf"|<tf\.\w+:? .*numpy={ITEM}>"
    rf"|tensor\(shape=.*\s\[?{ITEM}\]?\)"
    rf"|\[{ITEM}\]\s*<ndarray .*>",
    re.DOTALL,
)
BOOLS = {"true": True, "false": False}
# Longer texts are no numbers, and no lists that anybody reads. Looking into them would take long.
LONGEST_NUMBER, LONGEST_LIST = 1_000, 100_000
# Values that are nested deeper would exceed Python's limit where they are compared or written. No config is.
MOST_LEVELS = 50


def as_number(value: object) -> float | int | None:
    """Return a logged value as a number; NaN if it is missing, None if it is not a number.

    Tune writes numpy's nan as the text "null" and a tensor as its text, "tensor(0.5000)". A bool is 0 or 1.
    """
    if isinstance(value, float):
        return value
    if value is None:
        return math.nan
    if isinstance(value, str):
        return _text_as_number(value.strip().lower())
    if isinstance(value, int):
        # Beyond 64 bits a pandas column would hold objects and no longer numbers.
        return int(value) if abs(value) < 2**63 else float(str(value))
    return None


def from_text(text: str) -> Any:
    """Return the value that a text in a row stands for: a bool, a number, a list as a tuple; else the text itself.

    A CSV file has all values as text, and Tune writes values that JSON does not have, such as tensors, as text. A list
    that JSON cannot hold, such as one of sets, stays a text.
    """
    stripped = text.strip()
    item = _item(stripped.lower())
    if item in BOOLS:
        return BOOLS[item]
    if item in ("", "none"):
        return text
    number = _text_as_number(item)
    if number is not None:
        return number
    if stripped[0] not in "[(" or len(stripped) > LONGEST_LIST:
        return text
    try:
        found = ast.literal_eval(stripped)
        return _as_json(found) if isinstance(found, (list, tuple)) else text
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text


def _as_json(values: list[Any] | tuple[Any, ...]) -> Any:
    """Return the list as it would be read from JSON, hashable.

    Raises: TypeError, ValueError or RecursionError if JSON cannot hold it.
    """
    text = json.dumps(values, ensure_ascii=False)
    text.encode()  # It fails for halves of surrogate pairs.
    found = json.loads(text, parse_int=whole_number)
    check_depth(found)
    return hashable(found)


def whole_number(digits: str) -> float | int:
    """Return a whole number of JSON. Beyond 64 bits it is a float, as orjson reads it, if a float can hold it."""
    number = int(digits)
    if -(2**63) <= number < 2**64:
        return number
    rounded = float(digits)
    return number if math.isinf(rounded) else rounded


def check_depth(value: Any) -> None:
    """Check that lists and dicts are not nested too deeply. Raises: ValueError."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        inner = [each.values() if type(each) is dict else each for each in level if type(each) in NESTED]
        if not inner:
            return
        level = [item for items in inner for item in items if type(item) in NESTED]
    raise ValueError(f"nested more than {MOST_LEVELS} levels deep")


def _item(text: str) -> str:
    """Return the text of the single value in the text of a tensor; other text as it is."""
    tensor = TENSOR.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    return next(item for item in tensor.groups() if item is not None) if tensor else text


def _text_as_number(text: str) -> float | int | None:
    text = _item(text)
    if text in ("", "null", "none"):
        return math.nan
    # Python would read 1_000 as a number; in a log it is a name.
    if "_" in text or len(text) > LONGEST_NUMBER:
        return None
    try:
        return as_number(int(text))
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def is_number(value: object) -> bool:
    """Return True for a logged number, NaN included; False for a missing value and a bool."""
    return value not in (None, "", "None") and not isinstance(value, bool) and as_number(value) is not None


def is_true(value: object) -> bool:
    """Return True if a logged value is true, in JSON or as the text of a CSV file."""
    return value is True or (isinstance(value, str) and from_text(value) is True)


def is_missing(value: Any) -> bool:
    """Return True for None, NaN, pandas.NA and NaT."""
    # Loading asks this for each value of each config: the frequent types come first.
    if isinstance(value, (str, int, tuple)):
        return False
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or bool(pd.api.types.is_scalar(value) and pd.isna(value))


def n_values(column: pd.Series) -> int:
    """Return the number of distinct values of a column; all missing ones, such as None and NaN, are one value."""
    return int(column.nunique()) + bool(column.isna().any())


def hashable(value: Any) -> Any:
    """Return a hashable value to group by: a list becomes a tuple, a dict its JSON text."""
    if isinstance(value, (list, tuple)):
        return tuple(hashable(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(_with_whole_numbers(value), sort_keys=True)
    return value


def _with_whole_numbers(value: Any) -> Any:
    """Return nested values with 1.0 as 1, so that equal dicts have the same text."""
    if isinstance(value, dict):
        return {key: _with_whole_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def flatten(nested: dict[str, Any]) -> dict[str, Any]:
    """Return the dict with inner dicts flattened, their keys joined by "/", and hashable values; itself if flat.

    Where a key that contains "/" gives the name of an inner key, the former is put in quotes: {"a/b": 1, "a": {"b": 2}}
    becomes {"'a/b'": 1, "a/b": 2}.
    """
    if NESTED.isdisjoint(map(type, nested.values())):
        return nested
    leaves = list(_leaves(nested, ()))
    flat = {"/".join(keys): value for keys, value in leaves}
    if len(flat) == len(leaves):
        return flat
    counts = Counter("/".join(keys) for keys, _ in leaves)
    return {"/".join(_quoted(keys) if counts["/".join(keys)] > 1 else keys): value for keys, value in leaves}


def _leaves(nested: dict[str, Any], outer: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the keys that lead to each value that is not a dict, and the value."""
    for key, value in nested.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*outer, key))
        else:
            yield (*outer, key), hashable(value) if isinstance(value, (list, dict)) else value


def _quoted(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"'{key}'" if "/" in key else key for key in keys)


def sort_key(value: Any) -> tuple[Any, ...]:
    """Return a key that sorts values of any type: numbers, texts, tuples, others, and missing values last."""
    if is_missing(value):
        return (4,)
    if isinstance(value, (bool, int, float)):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    if isinstance(value, tuple):
        return (2, tuple(sort_key(item) for item in value))
    # Numbers of numpy stand in columns of objects.
    return (0, value) if isinstance(value, np.integer | np.floating | np.bool_) else (3, str(value))
