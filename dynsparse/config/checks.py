"""Checks of configuration values. `read` returns a value in its final type, or raises an error that names the key."""

from __future__ import annotations

import math
import re
import struct
import sys
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from dynsparse.config.functions import FORMS, function_text, in_folder, load_function
from dynsparse.config.suggest import near_matches, unknown


@cache
def resolve(path: str) -> Any:
    """Return the object that "package.module:name" names; the module is imported on first use."""
    return resolve_name(path)


class Check(Protocol):
    """A check that decides which values are allowed. Its `str` describes them: "in (0, 1]"."""

    def read(self, name: str, value: Any) -> Any:
        """Return the value in the type that the library uses.

        Raises:
            ValueError: If the value is not allowed, with a full sentence: "on_perc must be in (0, 1], got 1.5."
        """


# A value of `Weights`.
BALANCED = "balanced"
# The smallest positive number that float32 holds with all its digits.
SMALLEST_SINGLE = 2.0**-126


def _hint(value: Any) -> str:
    """Return how to give several values, if these are several."""
    return " Use tune.grid_search([...]) for several." if isinstance(value, list | tuple) else ""


def _list_hint(name: str, value: Any) -> str:
    """Return how to give a list instead of a single value, in Python and on the command line."""
    # Without brackets, a comma separates the values of an axis of the grid.
    python, option = f"[{value!r}] or [{value!r}, ...]", f'"{name}=({value!r},)" or "{name}=({value!r},...)"'
    return f" Write a list: {python}; with --set, {option}."


def _in_order(value: Any) -> Any:
    """Return a list or another series. Raises: TypeError for what has no order, and for bytes."""
    if isinstance(value, Mapping | Set | bytes | bytearray):
        raise TypeError
    return value


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class Number:
    """A finite number between two bounds. A `high` of None means no upper bound.

    A trial computes with a `single` number in float32, which must hold it. The value itself keeps all its digits.
    """

    low: float
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    single: bool = False

    def read(self, name: str, value: Any) -> float:
        """Return the value as a float."""
        # isinstance(value, Real) is slow, so the common types are compared first.
        is_number = type(value) in (float, int) or (isinstance(value, Real) and not isinstance(value, bool))
        if not is_number or not abs(value) <= sys.float_info.max:
            raise ValueError(f"{name} must be a number {self}, got {value!r}.{_hint(value)}")
        # -0.0 is the same trial as 0.0.
        number = float(value) + 0.0
        below = number < self.low or (self.low_open and number == self.low)
        above = self.high is not None and (number > self.high or (self.high_open and number == self.high))
        if below or above:
            raise ValueError(f"{name} must be {self}, got {value!r}.")
        if self.single:
            self._check_single(name, number)
        return number

    def _check_single(self, name: str, number: float) -> None:
        rounded = _in_single(number)
        if abs(rounded) == math.inf or (number != 0 and abs(rounded) < SMALLEST_SINGLE):
            raise ValueError(
                f"{name} must be {self} and a number that float32 holds, 0 or from 1.2e-38 to 3.4e+38, got {number!r}."
            )
        if self.high_open and rounded == self.high:
            raise ValueError(
                f"{name} must be {self} in float32 too, which rounds numbers above 0.99999997 to 1, got {number!r}."
            )

    def __str__(self) -> str:
        if self.high is None:
            return f"above {self.low}" if self.low_open else f"at least {self.low}"
        return f"in {'(' if self.low_open else '['}{self.low}, {self.high}{')' if self.high_open else ']'}"


def _in_single(number: float) -> float:
    """Return a number rounded to float32; infinity if it is too large."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class Whole:
    """An integer of at least `low`."""

    low: int

    def read(self, name: str, value: Any) -> int:
        """Return the value as an int. A float such as 3.0 is accepted."""
        if type(value) is not int and isinstance(value, Integral) and not isinstance(value, bool):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and value >= 2**63:
            raise ValueError(f"{name} must be below 2**63, got {value!r}.")
        if isinstance(value, bool) or not isinstance(value, int) or value < self.low:
            raise ValueError(f"{name} must be {self}, got {value!r}.{_hint(value)}")
        return value

    def __str__(self) -> str:
        return f"an integer of at least {self.low}"


@dataclass(frozen=True)
class Flag:
    """True or False. Other values, such as 1 or "yes", are refused."""

    def read(self, name: str, value: Any) -> bool:
        """Return the value."""
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be {self}, got {value!r}.{_hint(value)}")
        return value

    def __str__(self) -> str:
        return "True or False"


@dataclass(frozen=True)
class Text:
    """A string that is not empty."""

    def read(self, name: str, value: Any) -> str:
        """Return the value. A path is converted to a string."""
        if hasattr(value, "__fspath__"):
            value = str(value)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be {self}, got {value!r}.")
        return value

    def __str__(self) -> str:
        return "a non-empty string"


@dataclass(frozen=True)
class TrialRow:
    """The identity of a trial and a number of rows, such as 1f2e3d4c5b6a@5."""

    def read(self, name: str, value: Any) -> str:
        """Return the value."""
        if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{12}@[1-9]\d{0,7}", value):
            raise ValueError(f"{name} must be {self}, got {value!r}.")
        return value

    def __str__(self) -> str:
        return "the identity of a trial and a number of rows, such as 1f2e3d4c5b6a@5"


@dataclass(frozen=True)
class Device:
    """A device in torch's notation."""

    def read(self, name: str, value: Any) -> str:
        """Return the device."""
        if not isinstance(value, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", value):
            raise ValueError(f"{name} must be {self}, got {value!r}.")
        return value

    def __str__(self) -> str:
        return "cpu, cuda or cuda:<index>"


@dataclass(frozen=True)
class Choice:
    """A name in a table. `older` maps former spellings, which are still accepted, to current ones.

    The table may be given as "package.module:name". It is then imported when the first value is read, because its
    module imports this package. A program may add rows to the table before that.
    """

    table: Collection[str] | str
    older: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> Collection[str]:
        """Return the names that are allowed."""
        table: Collection[str] = resolve(self.table) if isinstance(self.table, str) else self.table
        return table

    def read(self, name: str, value: Any) -> str:
        """Return the name in its current spelling."""
        if isinstance(value, str) and value in self.older:
            return self.older[value]
        if isinstance(value, str) and value in self.names():
            return value
        if isinstance(value, str):
            raise ValueError(unknown(name, value, self.names()))
        raise ValueError(f"{name} must be {self}, got {value!r}.{_hint(value)}")

    def __str__(self) -> str:
        return f"one of {', '.join(self.names())}"


@dataclass(frozen=True)
class Function:
    """A name in one of some tables, given as "package.module:name", or a function of the user's own.

    A function becomes the text that names it: see `dynsparse.config.functions`.
    """

    tables: tuple[str, ...]

    def names(self) -> list[str]:
        """Return the names in the tables."""
        return [name for table in self.tables for name in resolve(table)]

    def row(self, value: str) -> Any:
        """Return the row of a name, or the function that a text names."""
        for table in map(resolve, self.tables):
            if value in table:
                return table[value]
        return load_function(value)

    def read(self, name: str, value: Any) -> str:
        """Return the name, or a text that names the function in every process of this machine."""
        if callable(value):
            value = function_text(value)
        if not isinstance(value, str):
            raise ValueError(f"{name} must be {self}, got {value!r}.{_hint(value)}")
        if value in self.names():
            return value
        if ":" not in value:
            raise ValueError(f"{unknown(name, value, self.names())} For a function of your own, give {FORMS}.")
        text = in_folder(value, Path.cwd())
        load_function(text)
        return text

    def __str__(self) -> str:
        return f"one of {', '.join(self.names())}, a function, or {FORMS}"


@dataclass(frozen=True)
class ChoiceOrForm(Choice):
    """A name in a table, or a text in one of the forms of another table, whose rows have a regular expression `form`.

    The table of forms is given as "package.module:name", as for `Choice`. A function becomes the text that names it,
    as for `Function`; it is not loaded here.
    """

    forms: str = ""

    def read(self, name: str, value: Any) -> str:
        """Return the name in its current spelling, or the text."""
        forms: Mapping[str, Any] = resolve(self.forms)
        if callable(value):
            return function_text(value)
        # A path is converted to a string.
        text = str(value) if hasattr(value, "__fspath__") else value
        if isinstance(text, str) and text not in self.names():
            if any(re.fullmatch(each.form, text, re.IGNORECASE) for each in forms.values()):
                return in_folder(text, Path.cwd())
            if not near_matches(text, self.names()):
                raise ValueError(f"{unknown(name, text, self.names())} Or one of these forms: {', '.join(forms)}.")
        return super().read(name, text)

    def __str__(self) -> str:
        return f"{super().__str__()}, a function, or {', '.join(resolve(self.forms))}"


@dataclass(frozen=True)
class Sizes:
    """A list of layer sizes, each at least 1. An empty list means no hidden layer."""

    def read(self, name: str, value: Any) -> tuple[int, ...]:
        """Return the sizes as a tuple of int."""
        try:
            return tuple(Whole(1).read(name, size) for size in _in_order(value))
        except (ValueError, TypeError) as error:
            example = f" Write [{value}], or [{value}, 100] for two layers; with --set, ({value},) or ({value},100)."
            hint = example if _is_size(value) else ""
            raise ValueError(f"{name} must be {self}, got {value!r}.{hint}") from error

    def __str__(self) -> str:
        return "a list of integers of at least 1"


@dataclass(frozen=True)
class Several:
    """A list of at least `least` distinct values that another check accepts."""

    check: Check
    least: int = 1

    def read(self, name: str, value: Any) -> tuple[Any, ...]:
        """Return the values as a tuple."""
        if isinstance(value, str | bytes):
            raise ValueError(f"{name} must be {self}, got the string {value!r}.{_list_hint(name, value)}")
        try:
            values = tuple(self.check.read(name, each) for each in _in_order(value))
        except TypeError as error:
            hint = _list_hint(name, value) if isinstance(value, Real) else ""
            raise ValueError(f"{name} must be {self}, got {value!r}.{hint}") from error
        if len(values) < self.least or len(set(values)) < len(values):
            raise ValueError(f"{name} must be {self}, got {value!r}.")
        return values

    def __str__(self) -> str:
        return f"a list of distinct values, each {self.check}"


@dataclass(frozen=True)
class OneOrSeveral:
    """A value that another check accepts, or a list of distinct ones. A list of one is that value."""

    check: Check

    def read(self, name: str, value: Any) -> Any:
        """Return the value, or several as a tuple."""
        if not isinstance(value, list | tuple):
            return self.check.read(name, value)
        values = Several(self.check).read(name, value)
        return values[0] if len(values) == 1 else values

    def __str__(self) -> str:
        return f"{self.check}, or {Several(self.check)}"


@dataclass(frozen=True)
class Weights:
    """The word "balanced", or a list of numbers above 0."""

    def read(self, name: str, value: Any) -> str | tuple[float, ...]:
        """Return the word, or the numbers as a tuple."""
        if value == BALANCED:
            return BALANCED
        try:
            weights = tuple(Number(0, low_open=True, single=True).read(name, each) for each in _in_order(value))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name} must be {self}, got {value!r}.") from error
        return weights

    def __str__(self) -> str:
        return f"{BALANCED!r} or a list of numbers above 0"


@dataclass(frozen=True)
class MaskPattern:
    """A pattern of active weights: N of each M inputs, or blocks of outputs and inputs."""

    def read(self, name: str, value: Any) -> str:
        """Return the pattern, without spaces and leading zeros."""
        found = re.fullmatch(r"\s*(\d+)\s*([:x])\s*(\d+)\s*", value) if isinstance(value, str) else None
        if found is not None:
            first, kind, second = int(found[1]), found[2], int(found[3])
            is_pattern = 0 < first < second if kind == ":" else min(first, second) > 0 and first * second > 1
            if is_pattern:
                return f"{first}{kind}{second}"
        raise ValueError(f"{name} must be {self}, got {value!r}.{_hint(value)}")

    def __str__(self) -> str:
        return "N:M with 0 < N < M, such as 2:4, or BxC with at least two weights, such as 4x4"


@dataclass(frozen=True)
class Optional:
    """None, or a value that another check accepts."""

    check: Check

    def read(self, name: str, value: Any) -> Any:
        """Return None, or the value as returned by the other check."""
        return None if value is None else self.check.read(name, value)

    def __str__(self) -> str:
        return f"None or {self.check}"
