"""A pack of trials, most often of one, as Ray Tune's class API wants it.

Each trial continues what its folder holds, and writes there what it does.
"""

from __future__ import annotations

import errno
import gc
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from ray import tune

from dynsparse.data import DataError
from dynsparse.training.trainer import Trainer, TrialError
from dynsparse.tune.packed_trial import CUT_OFF_BY, DAMAGE, ENDED_BY, ROW, Job, Member, Report, cut_off, not_seen
from dynsparse.tune.param_space import PLACES, trials_of
from dynsparse.tune.trial_group import Group, at_once, grouped

# What a step of a pack of several tells the driver: of each trial its place in the list, and what is told of one that
# is trained alone; and why the pack goes on as two.
MEMBERS, SPLIT_BY = "trials_of_pack", "split_by"
# Of a row the driver wants no more.
TOLD = ("val_acc", "train_loss", "done", ROW, ENDED_BY, CUT_OFF_BY, DAMAGE)


class DeviceLostError(RuntimeError):
    """The device gives no more answers to this process; another may get them."""


class SparseTrial(tune.Trainable):
    """Trains the trials that stand in some places of the list. A step is one of their study's: an epoch, most often."""

    def setup(self, config: dict[str, Any], job: Job) -> None:  # type: ignore[override]  # by tune.with_parameters
        """Continue the trials from their folders. Raises: ConfigError, DataError, TrialError, OSError."""
        # Ray sets OMP_NUM_THREADS for this too, but not where the user's environment sets another.
        torch.set_num_threads(max(1, int(self.trial_resources.head_cpus) if self.trial_resources else 1))
        trials = trials_of(config, job.varying)
        members = at_once(lambda trial: Member(trial, job), trials.values())
        self._job, self._places = job, dict(zip(members, trials, strict=True))
        self._is_blind = not all(at_once(Member.has_begun, members))
        if self._is_blind:
            # A machine that has joined since all were looked at. Tune would try again, and here: this one is idle.
            self._groups = []
            return
        if len(members) > 1:
            failed = at_once(Member.has_failed, members)
            members = [member for member, has_failed in zip(members, failed, strict=True) if not has_failed]
        self._groups = grouped(members, job)
        if len(self._places) == 1:
            # What goes wrong here is for Tune to tell. In a pack it is that of one trial: see `step`.
            self._groups[0].start()

    @property
    def trainer(self) -> Trainer:
        """The Trainer that takes the next step."""
        return self._groups[0].start()

    def step(self) -> dict[str, Any]:
        """One step of the first group that is not done; of each of its trials the folder gets the row.

        A trial that cannot go on ends here: trying again would change nothing. Where the training of several raises
        something, they go on as two groups from their last checkpoints, and so on, until it is known whose fault it
        is: that trial has failed, and the others go on.

        Raises: OSError where the storage fails, a full disk excepted; DataError; DeviceLostError; of a trial that has
        no pack whatever else goes wrong. Tune then tries again from `setup`.
        """
        reports, split_by = dict[Member, Report](), None
        if self._is_blind:
            reports = {member: cut_off(not_seen(self._job), 0) for member in self._places}
        try:
            if self._groups:
                reports, split_by = self._tried(self._groups[0])
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # Tune would try again in new processes, for minutes, and then take the trials for failed.
            what = f"the disk is full: {error}"
            reports = {member: cut_off(what, group.n_rows) for group in self._groups for member in group.members}
            self._groups = []
        self._groups = [group for group in self._groups if group.members]
        if len(self._places) == 1:
            return reports.popitem()[1]
        told = [{PLACES: self._places[member], **only(report, TOLD)} for member, report in reports.items()]
        return {MEMBERS: told, "done": not self._groups, **({SPLIT_BY: split_by} if split_by else {})}

    def _tried(self, group: Group) -> tuple[dict[Member, Report], str | None]:
        """A step of a group: what to tell of its members, and why the group is split if it is."""
        try:
            return group.step(), None
        except (OSError, DataError):
            # No trial's own fault.
            raise
        except Exception as error:
            own = isinstance(error, TrialError)
            if len(self._places) == 1 and not own:
                raise
            what = f"{type(error).__name__}: {error}"
            text = what if own else traceback.format_exc()
        # Out of the handler the traceback has gone, and with it what kept the Trainer in memory.
        members, group.members, group.trainer = group.members, [], None
        free(members[0].config.device)
        if len(members) == 1:
            return {members[0]: members[0].fail(text, group.n_rows)}, None
        half = len(members) // 2
        halves = [each for some in (members[:half], members[half:]) for each in grouped(some, self._job)]
        self._groups = [*halves, *self._groups[1:]]
        return {}, what.splitlines()[0]

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: each trial's own folder has its checkpoints."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: `setup` has continued the trials."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another pack: the process, torch and the data set stay, all else is built anew."""
        # What it holds goes first: two at once would take a fifth more memory.
        self._groups = []
        self.setup(new_config)  # type: ignore[call-arg]  # Tune adds `job`, as it does for a fresh one
        return True


def free(device: str) -> None:
    """Give back what a Trainer held that has gone. Raises: DeviceLostError where the device can no more be used."""
    gc.collect()
    if device == "cpu":
        return
    try:
        torch.cuda.empty_cache()
        torch.ones(1, device=device).item()
    except RuntimeError as error:
        # Some errors leave a process without its device, and all trials would seem to fail.
        raise DeviceLostError(f"{device} gives no more answers to this process: {error}") from error


def only(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A copy of a dict that has no other keys."""
    return {name: values[name] for name in names if name in values}
