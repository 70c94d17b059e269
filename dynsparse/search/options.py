"""The options of a search."""

from __future__ import annotations

from dataclasses import dataclass

from dynsparse.config import unknown

SEARCHERS = ("optuna",)


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search.

    Args:
        searcher: "optuna".
        repeats: number of seeds, from 0, that each setting is trained with; the objectives are means over them.
        objectives: columns such as val_acc_max; several are traded off against each other. Empty: the usual one.

    Raises: ValueError for a value that is not allowed.
    """

    searcher: str
    repeats: int = 1
    objectives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.searcher not in SEARCHERS:
            raise ValueError(f"{unknown('searcher', self.searcher, SEARCHERS)} For random search, leave it out.")
        if not isinstance(self.repeats, int) or isinstance(self.repeats, bool) or self.repeats < 1:
            raise ValueError(f"repeats must be a whole number of at least 1, got {self.repeats!r}.")
        if not all(isinstance(each, str) for each in self.objectives):
            raise ValueError(f"objectives must be names of columns, got {list(self.objectives)}.")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives must be different columns, got {list(self.objectives)}.")
