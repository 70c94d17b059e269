"""The options of a search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral

from dynsparse.config import unknown

SEARCHERS = ("optuna",)


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search.

    Args:
        searcher: "optuna".
        repeats: number of seeds, from 0, that each setting is trained with; the objectives are means over them.
        objectives: columns such as val_acc_max; or one of them; several are traded off against each other.
            Empty: the usual one.

    Raises: ValueError for values that are not allowed, with all problems.
    """

    searcher: str
    repeats: int = 1
    objectives: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.objectives, str):
            object.__setattr__(self, "objectives", (self.objectives,))
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))
        object.__setattr__(self, "objectives", tuple(self.objectives))

    def _problems(self) -> Iterator[str]:
        if self.searcher not in SEARCHERS:
            yield f"{unknown('searcher', self.searcher, SEARCHERS)} For random search, leave it out."
        if not isinstance(self.repeats, Integral) or isinstance(self.repeats, bool) or self.repeats < 1:
            yield f"repeats must be a whole number of at least 1, got {self.repeats!r}."
        names = self.objectives
        if not isinstance(names, list | tuple) or not all(isinstance(each, str) and each for each in names):
            yield f"objectives must be names of columns, such as ['val_acc_max'], got {names!r}."
        elif len(set(names)) < len(names):
            yield f"objectives must be different columns, got {list(names)}."
