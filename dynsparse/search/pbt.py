"""Population-based training (PBT): bad trials of a population are replaced by mutated copies of good ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dynsparse.config import Config
from dynsparse.results.trial_folder import identity
from dynsparse.search.hyperband import ROUNDING
from dynsparse.search.mutation import chance_of, mutated_copy


@dataclass(frozen=True)
class Copy:
    """A trial that begins as a copy of another one, in the place of a third."""

    replaced: Config
    parent: Config
    child: Config
    epoch: int

    @property
    def reason(self) -> str:
        """The reason for which the replaced trial stops."""
        return f"replaced by a copy of trial {identity(self.parent)} at epoch {self.epoch}: {identity(self.child)}"


@dataclass
class Generations:
    """The members of a population, and how it came to them.

    Args:
        members: the trials that train, or have arrived at the end. Those that have failed are not among them.
        copies: all copies that were made, in order.
        next_epoch: the epoch until which the members train before the next decision; None if all have arrived.
    """

    members: list[Config]
    copies: list[Copy] = field(default_factory=list)
    next_epoch: int | None = None


class Pbt:
    """Decides which trials of a population are replaced, and by what.

    All members train until an exchange. Then the worst of them, one in `factor` and at most half, but at least one if
    there are two, are each replaced by a copy of one of equally many best ones. A copy continues the training of its
    parent with mutated settings. Exchanges follow each `grace` epochs before the end.

    Decisions follow from the values and `search_seed` alone. Values that are not finite are worst, and are never
    copied. If two are equal, the identities decide. A trial without a value at an exchange has failed, and leaves.

    Differences from the paper and from Ray's `PopulationBasedTraining`: all members wait for each other, and a copy is
    a trial of its own, so that the trial that it replaces keeps its rows.

    Args:
        grace: epochs before the first exchange, and between two; at least 1.
        factor: of the members, one in `factor` is replaced; larger than 1.
        epochs: of a whole training.
        search_seed: other seeds give other parents and mutations.
        domains: key to domain, for the drawn keys that have one.
    """

    def __init__(self, grace: int, factor: float, epochs: int, search_seed: int, domains: Mapping[str, Any]) -> None:
        self._factor, self.epochs, self._search_seed, self._domains = factor, epochs, search_seed, domains
        self.exchanges = range(grace, epochs, grace)

    def parents(self, values: Mapping[str, float], epoch: int) -> dict[str, str]:
        """Return the parent of the copy that replaces each of the worst trials, by their names; the worst is first.

        Args:
            values: of each trial at the exchange; higher is better.
            epoch: of the exchange.

        Example:
            >>> from dynsparse.search import Pbt
            >>> rule = Pbt(grace=5, factor=4, epochs=20, search_seed=0, domains={})
            >>> rule.parents({"a": 0.5, "b": 0.9, "c": 0.1, "d": 0.7}, epoch=5)
            {'c': 'b'}
        """
        ranked = sorted(values, key=lambda trial: (*_worst_last(values[trial]), trial))
        n = min(max(1, math.floor(len(ranked) / self._factor + ROUNDING)), len(ranked) // 2)
        best = [trial for trial in ranked[:n] if math.isfinite(values[trial])]
        if not best:
            return {}
        return {
            trial: best[int(chance_of(self._search_seed, trial, epoch)("parent") * len(best))]
            for trial in reversed(ranked[len(ranked) - n :])
        }

    def generations(
        self,
        population: Sequence[Config],
        values_of: Callable[[Config], Sequence[float]],
        failed: Callable[[Config], bool],
        taken: set[str],
    ) -> Generations:
        """Return what has become of a population, from the values of its trials.

        Args:
            population: its first members.
            values_of: returns the values of a trial after each of its epochs; higher is better. It is asked about
                copies, too, whose first values are those of their parents.
            failed: returns True for a trial that does not train any more, although it has not arrived.
            taken: identities of all trials that there are. Those of the copies are added.

        Raises: SamplingError.
        """
        now = Generations(list(population))
        for epoch in (*self.exchanges, self.epochs):
            arrived = [each for each in now.members if len(values_of(each)) >= epoch]
            if any(not failed(each) for each in now.members if each not in arrived):
                now.members = [each for each in now.members if each in arrived or not failed(each)]
                now.next_epoch = epoch
                return now
            now.members = arrived
            if epoch < self.epochs:
                values = {identity(each): values_of(each)[epoch - 1] for each in arrived}
                copies = self._copies(arrived, values, epoch, taken)
                now.copies += copies
                children = {copy.replaced: copy.child for copy in copies}
                now.members = [children.get(each, each) for each in now.members]
        return now

    def _copies(
        self, members: Sequence[Config], values: Mapping[str, float], epoch: int, taken: set[str]
    ) -> list[Copy]:
        by_name = {identity(each): each for each in members}
        copies = []
        for replaced, parent in self.parents(values, epoch).items():
            chance = partial(chance_of, self._search_seed, replaced, epoch)
            child = mutated_copy(by_name[parent], epoch, self._domains, chance, taken)
            # Otherwise no other settings were found, and the trial goes on as it is.
            if child is not None:
                taken.add(identity(child))
                copies.append(Copy(by_name[replaced], by_name[parent], child, epoch))
        return copies


def _worst_last(value: float) -> tuple[bool, float]:
    return (False, -value) if math.isfinite(value) else (True, 0.0)
