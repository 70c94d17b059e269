"""One trial of a pack: its folder, its rows, its time and its end. What it computes is its group's."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import ray

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.planning.plan import steps
from dynsparse.results.trial_folder import TrialFolder, folder_name, identity
from dynsparse.training.trainer import Row
from dynsparse.tune.param_space import tag

# What the driver is told of a step beside the row: its number in the trial, and why the trial ended if it failed.
ROW, ENDED_BY = "row_of_trial", "ended_by"
# Why a trial ended that has not failed: the same command continues it.
CUT_OFF_BY = "cut_off_by"
# What was found damaged in the trial's folder when it was continued.
DAMAGE = "damage"

Report = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What all trials of a run share."""

    path: str  # of the experiment's folder
    checkpoint_epochs: int = 5  # from one checkpoint to the next
    epoch_seconds: float | None = None  # an epoch that takes longer is taken to hang, and its process is ended
    trial_seconds: float | None = None  # a trial that takes longer fails
    varying: Sequence[str] = ()  # the keys in which they differ


class Member:
    """Reads and writes the folder of its trial. Raises: OSError where the storage fails.

    Its times are shares: `time_this_iter_s` is the time of the pack's epoch by the number of trials in it, so that
    the sum over all trials is the time that the machine took.
    """

    def __init__(self, config: Config, job: Job) -> None:
        self.config, self._job = config, job
        self.name = folder_name(config)
        self._identity, self._tag = identity(config), tag(config, job.varying) or self.name
        self._folder = TrialFolder(open_folder(job.path).sub(self.name))
        self.rows = self._folder.rows()
        self.n_steps = len(steps(config))
        self._seconds = self.rows[-1]["time_total_s"] if self.rows else 0.0

    def has_begun(self) -> bool:
        """Whether its folder is there, which the driver has begun."""
        return self._folder.has_begun()

    def has_failed(self) -> bool:
        """Whether its folder says so: it has then failed in this run, before its pack was continued."""
        return self._folder.error() is not None

    def checkpoint(self, n_rows: int | None = None) -> dict[str, Any] | None:
        """The newest state after at most so many rows, or after those that are written; None: it begins anew."""
        return self._folder.load_checkpoint(len(self.rows) if n_rows is None else n_rows)

    def advance(self, numbers: Row, n_rows: int, seconds: float, state: Mapping[str, Any] | None) -> Report:
        """Write what a step of the study gave, and tell of it.

        A row that has been written before, ere the trial was continued, stays as it is.

        Args:
            n_rows: the number of the row, from 1.
            seconds: its share of the time that the step took.
            state: to be kept after the row; None: no checkpoint is due.
        """
        if n_rows > len(self.rows):
            self._write(numbers, seconds)
        if state is not None:
            self._folder.save_checkpoint(n_rows, state)
            self._folder.write_csv(self.rows)
        if n_rows == self.n_steps:
            return self.complete()
        limit = self._job.trial_seconds
        if limit is not None and self._seconds > limit:
            what = f"TrialError: it took {self._seconds:.0f} s; the limit of a trial is {limit:g} s"
            return self.fail(what, n_rows - 1)
        return self._report(n_rows)

    def complete(self) -> Report:
        """Mark it as complete: also where it was ended between its last row and the mark."""
        self._folder.complete(len(self.rows))
        return self._report(self.n_steps)

    def fail(self, text: str, n_rows: int) -> Report:
        """Write why it cannot go on after so many rows; trying again would change nothing."""
        self._folder.fail(text)
        return {"done": True, ENDED_BY: text.strip().splitlines()[-1], ROW: n_rows}

    def _report(self, n_rows: int) -> Report:
        damage, self._folder.damage = list(dict.fromkeys(self._folder.damage)), []
        # Tune has a count of its own, which starts anew when a trial is continued.
        return {**self.rows[n_rows - 1], ROW: n_rows, **({DAMAGE: damage} if damage else {})}

    def _write(self, numbers: Row, seconds: float) -> None:
        now = datetime.now()
        self._seconds += seconds
        n_rows = len(self.rows) + 1
        row = {
            **numbers,
            "done": n_rows == self.n_steps,
            "training_iteration": n_rows,
            "trial_id": self._identity,
            "experiment_tag": self._tag,
            "date": now.strftime("%Y-%m-%d_%H-%M-%S"),
            "timestamp": int(now.timestamp()),
            "time_this_iter_s": seconds,
            "time_total_s": self._seconds,
            "pid": os.getpid(),
            **_machine(),
        }
        self._folder.append(row, rows_before=len(self.rows))
        self.rows.append(row)


def not_seen(job: Job) -> str:
    """What is told of trials whose folders are not seen from this machine."""
    machine = _machine()
    return (
        f"the node {machine['node_ip']} ({machine['hostname']}) does not see the storage {job.path}; take it away, let "
        "it see that, or give a --storage that all nodes share, such as s3://..."
    )


@cache
def _machine() -> dict[str, str]:
    return {"hostname": socket.gethostname(), "node_ip": ray.util.get_node_ip_address()}


def cut_off(reason: str, n_rows: int) -> Report:
    """What is told of a trial that has not failed, but cannot write."""
    return {"done": True, ENDED_BY: reason, CUT_OFF_BY: reason, ROW: n_rows}
