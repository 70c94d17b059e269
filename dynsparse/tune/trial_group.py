"""Members of a pack that have come equally far, trained together by one Trainer."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dynsparse.planning.packs import fill_width, join_trials, select_trials, to_device
from dynsparse.training.trainer import Trainer
from dynsparse.tune.packed_trial import Job, Member, Report

# Each write waits for the disk, or for the store, which does many at once.
WRITES_AT_ONCE = 32

Given = TypeVar("Given")
Got = TypeVar("Got")


class Group:
    """A Trainer and the members that it trains. It is built when the first step is due.

    The Trainer is as wide as `fill_width` says: beside the members it has copies, and the rows of members that have
    left. Nobody looks at these. Where a smaller width will do, the others move into it.

    Args:
        n_rows: how far the members are; states: their checkpoints, None where `n_rows` is 0.
    """

    def __init__(
        self, members: Sequence[Member], n_rows: int, states: Sequence[dict[str, Any] | None], job: Job
    ) -> None:
        self.members = list(members)  # that have not ended
        self.n_rows = n_rows
        self._states, self._job = states, job
        self.trainer: Trainer | None = None
        self._places: list[int] = []  # of the members, among the Trainer's trials

    def start(self) -> Trainer:
        """The Trainer, no wider than need be. Raises: TrialError, DataError, and whatever else the building does."""
        filling = fill_width([member.config.seed for member in self.members])
        if self.trainer is None:
            state = join_trials([self._states[i] for i in filling]) if self.n_rows else None
            self.trainer, self._states = self._built(filling, state), []
        elif len(filling) < len(self.trainer.errors):
            state = select_trials(self.trainer.state_dict(), [self._places[i] for i in filling])
            # It goes before the next one comes.
            self.trainer = None
            self.trainer = self._built(filling, state)
        return self.trainer

    def _built(self, filling: list[int], state: dict[str, Any] | None) -> Trainer:
        trainer = Trainer([self.members[i].config for i in filling])
        if state is not None:
            trainer.load_state_dict(state)
        self._places = [filling.index(i) for i in range(len(self.members))]
        return trainer

    def step(self) -> dict[Member, Report]:
        """One step of the study, written to the members' folders, and what to tell of each.

        Raises: OSError where the storage fails; whatever the training raises.
        """
        members = self.members
        if self.n_rows == members[0].n_steps:
            # They were ended between the last row and the mark.
            self.members = []
            return dict(zip(members, at_once(Member.complete, members), strict=True))
        trainer, started = self.start(), time.monotonic()
        if self._job.epoch_seconds is not None:
            # From a thread in C: it also ends a process that holds the interpreter.
            faulthandler.dump_traceback_later(self._job.epoch_seconds, exit=True)
        try:
            rows = trainer.step()
        finally:
            faulthandler.cancel_dump_traceback_later()
        share = (time.monotonic() - started) / len(members)
        self.n_rows = trainer.n_rows
        is_due = trainer.is_done or self.n_rows % self._job.checkpoint_epochs == 0
        state = to_device(trainer.state_dict(), "cpu") if is_due else None

        def advance(number: int) -> Report:
            member, place = members[number], self._places[number]
            numbers = rows[place]
            if numbers is None:
                return member.fail(f"TrialError: {trainer.errors[place]}", self.n_rows - 1)
            return member.advance(numbers, self.n_rows, share, None if state is None else select_trials(state, [place]))

        reports = dict(zip(members, at_once(advance, range(len(members))), strict=True))
        self._go_on_without({member for member, report in reports.items() if report["done"]})
        return reports

    def _go_on_without(self, ended: set[Member]) -> None:
        stay = [i for i, member in enumerate(self.members) if member not in ended]
        self.members, self._places = [self.members[i] for i in stay], [self._places[i] for i in stay]
        if not stay:
            self.trainer = None


def grouped(members: Sequence[Member], job: Job) -> list[Group]:
    """The groups of members, by how far their checkpoints are; the farthest first.

    Where some have written one checkpoint more than others, the process was ended while it wrote them: these go back to
    the one before, and all go on as one group.
    """
    states = dict(zip(members, at_once(Member.checkpoint, members), strict=True))
    n_rows = {member: state["n_rows"] if state else 0 for member, state in states.items()}
    unfinished = {n for member, n in n_rows.items() if n < member.n_steps}
    if len(unfinished) == 2 and max(unfinished) - min(unfinished) <= job.checkpoint_epochs:
        behind, ahead = sorted(unfinished)
        for member in [member for member, n in n_rows.items() if n == ahead]:
            state = member.checkpoint(behind)
            if behind == 0 or (state is not None and state["n_rows"] == behind):
                states[member], n_rows[member] = state, behind
    groups = []
    for n in sorted(set(n_rows.values()), reverse=True):
        some = [member for member in members if n_rows[member] == n]
        groups.append(Group(some, n, [states[member] for member in some], job))
    return groups


def at_once(action: Callable[[Given], Got], what: Iterable[Given]) -> list[Got]:
    """What an action gives for each, in their order. Raises: what the first of them raised, when all have ended."""
    with ThreadPoolExecutor(WRITES_AT_ONCE) as threads:
        return list(threads.map(action, what))
