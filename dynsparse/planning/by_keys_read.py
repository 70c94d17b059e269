"""Remember what a function of a Config returned, by the values of the keys that it read."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cache, update_wrapper
from operator import attrgetter
from typing import Any, Generic, TypeVar

from dynsparse.config import Config, check_of, keys
from dynsparse.config.checks import Choice, Function, resolve
from dynsparse.planning.packs import RecordingConfig

Result = TypeVar("Result")
MAX_REMEMBERED = 100_000


class ByKeysRead(Generic[Result]):
    """A function of a Config that is called once for all configurations that agree in the keys that it reads.

    A grid may have 100,000 trials, and most of them differ only in keys that a function does not read, such as the
    seed. A function reads the same keys again if their values, and the rows that these name in tables, are the same.
    """

    def __init__(self, function: Callable[[RecordingConfig], Result]) -> None:
        self._function = function
        # Names of the keys that were read -> their values -> what the function returned.
        self._results: dict[tuple[str, ...], dict[Hashable, Result]] = {}
        update_wrapper(self, function)

    def __call__(self, config: Config) -> Result:
        """Return what the function returns for this configuration."""
        for names, results in self._results.items():
            values = _values(config, names)
            if values in results:
                return results[values]
        names_read: set[str] = set()
        result = self._function(RecordingConfig(config, names_read))
        names = tuple(sorted(names_read))
        results = self._results.setdefault(names, {})
        if len(results) == MAX_REMEMBERED:
            results.clear()
        results[_values(config, names)] = result
        return result


def _values(config: Config, names: tuple[str, ...]) -> Hashable:
    """Return the values of keys, and the rows of the tables that they name: a program may replace a row."""
    getter, rows = _getter(names)
    return getter(config), tuple([row(getattr(config, name)) for name, row in rows])


@cache
def _getter(names: tuple[str, ...]) -> tuple[attrgetter[Any], list[tuple[str, Callable[[Any], Any]]]]:
    """Return a function that reads the values of keys; and for those keys that have a table, how to read its row."""
    rows: list[tuple[str, Callable[[Any], Any]]] = []
    for name in names:
        check = check_of(keys()[name])
        table = resolve(check.table) if isinstance(check, Choice) and isinstance(check.table, str) else None
        if isinstance(table, Mapping):
            rows.append((name, table.get))
        if isinstance(check, Function):
            rows.append((name, check.row))
    return attrgetter(*names), rows
