"""What a value of a configuration may be. `read` returns the value in its final type, or says what is wrong."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from numbers import Integral, Real
from pkgutil import resolve_name
from typing import Any, Protocol

from dynsparse.config.suggest import near_matches


@cache
def resolve(path: str) -> Any:
    """Return the object that "package.module:name" names; the module is imported on first use."""
    return resolve_name(path)


class Check(Protocol):
    """Reads one value. Raises: ValueError whose text follows the key's name: "must be in (0, 1], got 1.5"."""

    def read(self, value: Any) -> Any:
        """The value, in the type that the library uses."""


@dataclass(frozen=True)
class Number:
    """A finite number between two bounds; a `high` of None is no bound."""

    low: float
    high: float | None = None
    low_open: bool = False
    high_open: bool = False

    def read(self, value: Any) -> float:
        """The value as a float."""
        if isinstance(value, bool) or not isinstance(value, Real) or not abs(value) <= sys.float_info.max:  # type: ignore[operator]
            raise ValueError(f"must be a number {self}, got {value!r}")
        number = float(value)
        below = number < self.low or (self.low_open and number == self.low)
        above = self.high is not None and (number > self.high or (self.high_open and number == self.high))
        if below or above:
            raise ValueError(f"must be {self}, got {value!r}")
        return number

    def __str__(self) -> str:
        if self.high is None:
            return f"above {self.low}" if self.low_open else f"at least {self.low}"
        return f"in {'(' if self.low_open else '['}{self.low}, {self.high}{')' if self.high_open else ']'}"


@dataclass(frozen=True)
class Whole:
    """An integer of at least `low`."""

    low: int

    def read(self, value: Any) -> int:
        """The value as an int; 3.0 is 3."""
        if isinstance(value, Integral) and not isinstance(value, bool):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and value >= 2**63:
            raise ValueError(f"must be below 2**63, got {value!r}")
        if isinstance(value, bool) or not isinstance(value, int) or value < self.low:
            raise ValueError(f"must be {self}, got {value!r}")
        return value

    def __str__(self) -> str:
        return f"an integer of at least {self.low}"


@dataclass(frozen=True)
class Flag:
    """True or False, and nothing that merely looks like it."""

    def read(self, value: Any) -> bool:
        """The value."""
        if not isinstance(value, bool):
            raise ValueError(f"must be {self}, got {value!r}")
        return value

    def __str__(self) -> str:
        return "True or False"


@dataclass(frozen=True)
class Text:
    """Any text but the empty one."""

    def read(self, value: Any) -> str:
        """The value; a path becomes text."""
        if hasattr(value, "__fspath__"):
            value = str(value)
        if not isinstance(value, str) or not value:
            raise ValueError(f"must be {self}, got {value!r}")
        return value

    def __str__(self) -> str:
        return "text"


@dataclass(frozen=True)
class Device:
    """A device as torch names it."""

    def read(self, value: Any) -> str:
        """The name."""
        if not isinstance(value, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", value):
            raise ValueError(f"must be {self}, got {value!r}")
        return value

    def __str__(self) -> str:
        return "cpu, cuda or cuda:<index>"


@dataclass(frozen=True)
class Choice:
    """A name in a table. `older` has former spellings, which are still read.

    The table may be given as "package.module:name", which is imported when the first value is read: a table in a room
    that itself needs this one, and that a program may have added rows to.
    """

    table: Collection[str] | str
    older: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> Collection[str]:
        """Return the names that are allowed."""
        table: Collection[str] = resolve(self.table) if isinstance(self.table, str) else self.table
        return table

    def read(self, value: Any) -> str:
        """Return the name in its present spelling."""
        if isinstance(value, str) and value in self.older:
            return self.older[value]
        if isinstance(value, str) and value in self.names():
            return value
        near = near_matches(value, self.names())
        raise ValueError(f"{value!r} is unknown; choose from {self}" + (f" ({near[0]}?)" if near else ""))

    def __str__(self) -> str:
        return ", ".join(self.names())


@dataclass(frozen=True)
class Sizes:
    """Sizes of layers, each at least 1; an empty sequence is no hidden layer."""

    def read(self, value: Any) -> tuple[int, ...]:
        """The sizes as a tuple of int."""
        try:
            return tuple(Whole(1).read(size) for size in value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"must be {self}, got {value!r}") from error

    def __str__(self) -> str:
        return "a list of integers of at least 1"


@dataclass(frozen=True)
class Several:
    """At least one value that another check takes, each once."""

    check: Check

    def read(self, value: Any) -> tuple[Any, ...]:
        """The values as a tuple."""
        if isinstance(value, str | bytes):
            raise ValueError(f"must be {self}, got the text {value!r}; in a list, texts stand in quotes: ['a', 'b']")
        try:
            values = tuple(self.check.read(each) for each in value)
        except TypeError as error:
            raise ValueError(f"must be {self}, got {value!r}") from error
        if not values or len(set(values)) < len(values):
            raise ValueError(f"must be {self}, got {value!r}")
        return values

    def __str__(self) -> str:
        return f"a list, each value once: {self.check}"


@dataclass(frozen=True)
class Optional:
    """None, or what another check takes."""

    check: Check

    def read(self, value: Any) -> Any:
        """None, or the other check's value."""
        return None if value is None else self.check.read(value)

    def __str__(self) -> str:
        return f"None, or {self.check}"
