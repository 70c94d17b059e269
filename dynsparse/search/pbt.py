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
        """The reason for which the replaced trial stops, as its stopped.json has it."""
        return f"replaced by a copy of trial {identity(self.parent)} at epoch {self.epoch}: {identity(self.child)}"


@dataclass
class Population:
    """A population after the exchanges so far.

    Args:
        members: the trials that train, or have trained to the end. Failed and replaced trials are not among them.
        copies: all copies that follow from the exchanges so far, in order.
        next_epoch: the epoch of the next exchange or, after the last one, the number of epochs; None if all members
            have trained to the end.
    """

    members: list[Config]
    copies: list[Copy] = field(default_factory=list)
    next_epoch: int | None = None


class Pbt:
    """Population-based training: decides which trials of a population are replaced, and by which copies.

    All members train until the epoch of an exchange. Then the worst members are replaced: one in `factor`, at least one
    and at most half of them. Each is replaced by a copy of one of the best members, of which there are as many. A copy
    continues the training of its parent with mutated settings. There is an exchange every `grace` epochs, but none at
    the end.

    Decisions follow from the values and `search_seed` alone. Trials whose value is NaN or infinite are worst, and are
    never copied. Between equal values the identities decide. A trial that fails leaves its population.

    Differences from the paper and from Ray's `PopulationBasedTraining`: all members wait for each other, and a copy is
    a trial of its own, so that the trial that it replaces keeps its rows.

    Args:
        grace: epochs before the first exchange, and from one exchange to the next; at least 1.
        factor: one in `factor` members is replaced; larger than 1.
        epochs: the number of epochs of a whole training.
        search_seed: other seeds give other parents and mutations.
        domains: key to domain, for the drawn keys that have one.

    Reference:
        Max Jaderberg, Valentin Dalibard, Simon Osindero, Wojciech M. Czarnecki, Jeff Donahue, Ali Razavi, Oriol
        Vinyals, Tim Green, Iain Dunning, Karen Simonyan, Chrisantha Fernando and Koray Kavukcuoglu, Population Based
        Training of Neural Networks, 2017, https://arxiv.org/abs/1711.09846
    """

    def __init__(self, grace: int, factor: float, epochs: int, search_seed: int, domains: Mapping[str, Any]) -> None:
        self._factor, self.epochs, self._search_seed, self._domains = factor, epochs, search_seed, domains
        self.exchanges = range(grace, epochs, grace)

    def parents(self, values: Mapping[str, float], epoch: int) -> dict[str, str]:
        """Return the trials that are replaced, the worst first, each with the parent of its copy.

        Args:
            values: the value of each trial at the exchange, by its identity; higher is better.
            epoch: the epoch of the exchange.

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

    def replay(
        self,
        first_members: Sequence[Config],
        values_of: Callable[[Config], Sequence[float]],
        has_failed: Callable[[Config], bool],
        taken: set[str],
    ) -> Population:
        """Replay the exchanges of a population, as far as the values of its trials go.

        Args:
            first_members: the trials with which the population begins.
            values_of: returns the values of a trial, one for each epoch so far; higher is better. It is also called for
                copies, whose first values are those of their parents.
            has_failed: returns True for a trial that will not train any further.
            taken: identities of all trials of the experiment. Those of the copies are added.

        Returns: the population before the first exchange for which a value is missing, or at the end.

        Raises: SamplingError.
        """
        population = Population(list(first_members))
        for epoch in (*self.exchanges, self.epochs):
            # A trial that fails later still takes part in this exchange.
            members = [each for each in population.members if len(values_of(each)) >= epoch or not has_failed(each)]
            population.members = members
            if any(len(values_of(each)) < epoch for each in members):
                population.next_epoch = epoch
                return population
            if epoch < self.epochs:
                values = {identity(each): values_of(each)[epoch - 1] for each in members}
                copies = self._copies(members, values, epoch, taken)
                population.copies += copies
                children = {copy.replaced: copy.child for copy in copies}
                population.members = [children.get(each, each) for each in members]
        return population

    def _copies(
        self, members: Sequence[Config], values: Mapping[str, float], epoch: int, taken: set[str]
    ) -> list[Copy]:
        by_name = {identity(each): each for each in members}
        copies = []
        for replaced, parent in self.parents(values, epoch).items():
            chance = partial(chance_of, self._search_seed, replaced, epoch)
            child = mutated_copy(by_name[parent], epoch, self._domains, chance, taken)
            # None: no new settings were found, and the trial continues unchanged.
            if child is not None:
                taken.add(identity(child))
                copies.append(Copy(by_name[replaced], by_name[parent], child, epoch))
        return copies


def _worst_last(value: float) -> tuple[bool, float]:
    return (False, -value) if math.isfinite(value) else (True, 0.0)
