"""One trial as Ray Tune's class API wants it. It continues what its folder holds, and writes there what it does."""

from __future__ import annotations

import errno
import faulthandler
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ray
import torch
from ray import tune

from dynsparse.config import Config
from dynsparse.storage import open_folder
from dynsparse.training import Row, Trainer, TrialError
from dynsparse.trial_folder import TrialFolder, folder_name, identity

# Where a trial stands in the list that Tune is given. It is no hyperparameter, and no file of the trial shows it.
PLACE = "place_in_list"
# What a step tells the driver beside the row: its number in the trial, and why it ended if it failed.
ROW, ENDED_BY = "row_of_trial", "ended_by"
# Why a trial ended that has not failed: the same command continues it.
CUT_OFF_BY = "cut_off_by"
# What was found damaged in the trial's folder when it was continued.
DAMAGE = "damage"


@dataclass(frozen=True)
class Job:
    """What all trials of a run share."""

    path: str  # of the experiment's folder
    checkpoint_epochs: int = 5  # from one checkpoint to the next
    epoch_seconds: float | None = None  # an epoch that takes longer is taken to hang, and its process is ended
    trial_seconds: float | None = None  # a trial that takes longer fails
    tags: Sequence[str] = ()  # what tells each trial from the others, in the order of the list


class SparseTrial(tune.Trainable):
    """A step is one of the study's: an epoch, most often."""

    def setup(self, config: dict[str, Any], job: Job) -> None:
        """Build the trial, and continue it from its folder. Raises: ConfigError, DataError, TrialError, OSError."""
        # Ray sets OMP_NUM_THREADS for this too, but not where the user's environment sets another.
        torch.set_num_threads(max(1, int(self.trial_resources.head_cpus) if self.trial_resources else 1))
        self._config, self._job = Config.of(without(config, PLACE)), job
        self._identity = identity(self._config)
        self._folder = TrialFolder(open_folder(job.path).sub(folder_name(self._config)))
        self._tag = job.tags[config[PLACE]] if job.tags else ""
        self._rows = self._folder.rows()
        self._seconds = self._rows[-1]["time_total_s"] if self._rows else 0.0
        self.trainer = Trainer([self._config])
        state = self._folder.load_checkpoint(len(self._rows))
        if state is not None:
            self.trainer.load_state_dict(state)

    def step(self) -> dict[str, Any]:
        """Train one epoch and write its row. A trial that cannot go on ends here: trying again would change nothing.

        Raises: OSError where the storage fails, a full disk excepted; whatever else goes wrong. Tune then tries again
        from `setup`.
        """
        try:
            row = self._epoch()
        except TrialError as error:
            self._folder.fail(f"{type(error).__name__}: {error}")
            return {"done": True, ENDED_BY: str(error), ROW: self.trainer.n_rows - 1}
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # Tune would try again in new processes, for minutes, and then take the trial for failed.
            reason = f"the disk is full: {error}"
            return {"done": True, ENDED_BY: reason, CUT_OFF_BY: reason, ROW: self.trainer.n_rows - 1}
        damage, self._folder.damage = self._folder.damage, []
        # Tune has a count of its own, which starts anew when a trial is continued.
        return {**row, ROW: self.trainer.n_rows, **({DAMAGE: damage} if damage else {})}

    def _epoch(self) -> dict[str, Any]:
        if self.trainer.is_done:
            # It was ended between its last row and the mark.
            self._folder.complete(len(self._rows))
            return self._rows[-1]
        started = time.monotonic()
        if self._job.epoch_seconds is not None:
            # From a thread in C: it also ends a process that holds the interpreter.
            faulthandler.dump_traceback_later(self._job.epoch_seconds, exit=True)
        try:
            [row] = self.trainer.step()
        finally:
            faulthandler.cancel_dump_traceback_later()
        if row is None:
            raise TrialError(self.trainer.errors[0])
        if self.trainer.n_rows > len(self._rows):
            self._write(row, time.monotonic() - started)
        self._keep()
        row = self._rows[self.trainer.n_rows - 1]
        if self._job.trial_seconds is not None and self._seconds > self._job.trial_seconds and not row["done"]:
            raise TrialError(f"it took {self._seconds:.0f} s; the limit of a trial is {self._job.trial_seconds:g} s")
        return row

    def _write(self, numbers: Row, seconds: float) -> None:
        """The row of an epoch that has none yet."""
        now = datetime.now()
        self._seconds += seconds
        row = {
            **numbers,
            "done": self.trainer.is_done,
            "training_iteration": self.trainer.n_rows,
            "trial_id": self._identity,
            "experiment_tag": self._tag or folder_name(self._config),
            "date": now.strftime("%Y-%m-%d_%H-%M-%S"),
            "timestamp": int(now.timestamp()),
            "time_this_iter_s": seconds,
            "time_total_s": self._seconds,
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "node_ip": ray.util.get_node_ip_address(),
        }
        self._folder.append(row, rows_before=len(self._rows))
        self._rows.append(row)

    def _keep(self) -> None:
        """After the row, now and then a checkpoint, and at the end the mark that says so.

        Also after an epoch that ran again and had its row: the trial may have been ended before its checkpoint.
        """
        n_rows, done = self.trainer.n_rows, self.trainer.is_done
        if done or n_rows % self._job.checkpoint_epochs == 0:
            self._folder.save_checkpoint(n_rows, self.trainer.state_dict())
            self._folder.write_csv(self._rows)
        if done:
            self._folder.complete(len(self._rows))

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the trial's own folder has its checkpoints."""

    def load_checkpoint(self, checkpoint: str) -> None:
        """Nothing: `setup` has continued the trial."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial: the process, torch and the data set stay, all else is built anew."""
        # What it holds goes first: two at once would take a fifth more memory.
        del self.trainer
        self.setup(new_config)  # type: ignore[call-arg]  # Tune adds `job`, as it does for a fresh one
        return True


def without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A copy of a dict that lacks one key."""
    return {key: value for key, value in values.items() if key != name}
