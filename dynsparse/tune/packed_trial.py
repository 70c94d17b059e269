"""One trial of a pack: its folder, its rows, its training time and how it ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import ray

from dynsparse.config import Config, n_rows_copied, unknown
from dynsparse.engines import choose_for_config
from dynsparse.experiment import axes
from dynsparse.io.storage import Folder, open_folder
from dynsparse.planning.plan import steps
from dynsparse.results.fence import fenced
from dynsparse.results.grid_status import version
from dynsparse.results.trial_folder import TrialFolder, folder_name, identity, state_check
from dynsparse.search import Measurement, SchedulerError, metric_of
from dynsparse.training.trainer import Row
from dynsparse.tune.param_space import experiment_tag
from dynsparse.tune.preflight import CheckedRun
from dynsparse.tune.reports import TrialReport
from dynsparse.tune.rounds import Round

# Returns the trials that stop, by their identity, with the reason. See `Judge.judge`.
JudgeTrials = Callable[[Mapping[str, Measurement]], dict[str, str]]


@dataclass(frozen=True)
class WorkerOptions:
    """The options that all trials of a run share.

    Args:
        path: path or URI of the experiment's folder.
        token: the token of the run's lock; None: writes are not checked against the lock.
        checkpoint_epochs: number of rows between two checkpoints of a trial.
        epoch_seconds: a step that takes longer is considered hung, and its process is killed; None: no limit.
        trial_seconds: a trial that takes longer fails; None: no limit.
        axis_names: the keys in which the trials of the run differ.
        experiment_file: path of the file that defines the experiment, for messages; None if it is not known.
        judge: decides after each step which trials stop early; None: none.
        metric: the metric by which the judge decides; None: val_acc, or val_r2.
        last_row: number of the row after which the trials pause until a later round; None: they train to their end.
    """

    path: str
    token: str | None = None
    checkpoint_epochs: int = 5
    epoch_seconds: float | None = None
    trial_seconds: float | None = None
    axis_names: Sequence[str] = ()
    experiment_file: str | None = None
    judge: JudgeTrials | None = None
    metric: str | None = None
    last_row: int | None = None

    @classmethod
    def of_round(cls, run: CheckedRun, token: str, round_: Round, judge: JudgeTrials | None) -> WorkerOptions:
        """Return the options of the trials of a round."""
        return cls(
            path=run.folder.path,
            token=token,
            checkpoint_epochs=run.options.checkpoint_epochs,
            epoch_seconds=run.options.epoch_seconds,
            trial_seconds=run.options.trial_seconds,
            axis_names=tuple(axes(round_.trials)),
            experiment_file=run.experiment.file,
            judge=judge,
            metric=run.options.stopping.own_metric if run.options.stopping else None,
            last_row=round_.last_row,
        )


class PackedTrial:
    """Reads and writes the folder of one trial.

    Every method raises OSError if the storage fails. Those that write raise LockLostError if the run has lost its lock.

    Times are shares: `time_this_iter_s` is the time of the pack's step divided by the number of its trials. The sum
    over all trials is the time of the worker.
    """

    def __init__(self, config: Config, options: WorkerOptions) -> None:
        self.config, self._options = config, options
        self.name = folder_name(config)
        self.identity, self._tag = identity(config), experiment_tag(config, options.axis_names) or self.name
        self._folder = TrialFolder(_experiment_folder(options.path, options.token).sub(self.name))
        self.rows = self._folder.rows_to_continue(config)
        self.n_steps = len(steps(config))
        seconds = self.rows[-1].get("time_total_s") if self.rows else None
        self._seconds = seconds if isinstance(seconds, int | float) else 0.0

    def exists(self) -> bool:
        """Return True if the trial folder exists; the driver creates it before the run."""
        return self._folder.exists()

    def has_failed(self) -> bool:
        """Return True if the trial has failed in this run, before its pack was retried."""
        return self._folder.error() is not None

    @property
    def n_rows_copied(self) -> int:
        """The number of rows that the trial has from another one. It cannot be resumed from an earlier row."""
        return n_rows_copied(self.config.starts_from)

    def load_checkpoint(self, n_rows: int | None = None) -> dict[str, Any] | None:
        """Return the newest checkpoint of at most `n_rows` rows, or None if no such checkpoint exists.

        Args:
            n_rows: number of rows; None: all rows of the trial.
        """
        return self._folder.load_checkpoint(len(self.rows) if n_rows is None else n_rows, state_check(self.config))

    def advance(self, numbers: Row, n_rows: int, seconds: float, state: Mapping[str, Any] | None) -> TrialReport:
        """Write the row of a step and return the trial's report. Rows written before a resume are not rewritten.

        Args:
            numbers: the metrics of the step.
            n_rows: number of the row, from 1.
            seconds: the trial's share of the time of the step.
            state: the checkpoint to save after the row; None: no checkpoint is due.
        """
        if n_rows > len(self.rows):
            self._write_row(numbers, seconds)
        if state is not None:
            self._folder.save_checkpoint(n_rows, {"trial_id": self.identity, **state})
            self._folder.write_csv(self.rows)
        if n_rows == self.n_steps:
            return self.complete()
        limit = self._options.trial_seconds
        if limit is not None and self._seconds > limit:
            return self.fail(f"TrialError: The trial took {self._seconds:.0f} s; its limit is {limit:g} s.", n_rows - 1)
        if self.pauses_after(n_rows):
            return self.pause(n_rows)
        return self._report(n_rows)

    def pauses_after(self, n_rows: int) -> bool:
        """Return True if the trial pauses after a row until a later round."""
        return self._options.last_row is not None and n_rows >= self._options.last_row

    def pause(self, n_rows: int) -> TrialReport:
        """Return the report of a trial that trains no more in this round. It has a checkpoint of the row."""
        # The next round is planned from result.json, which may have lost rows that progress.csv still had.
        self._folder.restore_rows()
        return replace(self._report(n_rows), done=True, paused=True)

    def complete(self) -> TrialReport:
        """Mark the trial as complete and return its report."""
        if not self._folder.exists():
            # Somebody has deleted the folder while the trial ran.
            self._folder.create(self.config, {"version": version(), "engine": choose_for_config(self.config).name})
        self._folder.complete()
        return self._report(self.n_steps)

    def newest_value(self, n_rows: int) -> Measurement | None:
        """Return the value by which the trial is judged after a row; None if it has newer rows from before a resume.

        Raises: SchedulerError if the row does not have the metric.
        """
        if n_rows < len(self.rows):
            return None
        metric, row = self._options.metric or metric_of(self.config), self.rows[-1]
        if not isinstance(row.get(metric), int | float):
            numbers = [name for name, value in row.items() if isinstance(value, int | float)]
            raise SchedulerError(
                f"The metric of the scheduler must be a column of the trials. {unknown('column', metric, numbers)}"
            )
        return Measurement(n_rows, float(row[metric]))

    def stop(self, reason: str, state: Mapping[str, Any]) -> TrialReport:
        """Mark the trial as stopped early, with a checkpoint to resume it from, and return its report."""
        n_rows = len(self.rows)
        self._folder.save_checkpoint(n_rows, {"trial_id": self.identity, **state})
        self._folder.write_csv(self.rows)
        self._folder.stop(reason)
        return replace(self._report(n_rows), done=True, stopped=reason)

    def fail(self, text: str, n_rows: int) -> TrialReport:
        """Write why the trial failed and return its report.

        Args:
            text: the error; its last line is the summary.
            n_rows: number of rows that the trial has.
        """
        self._folder.fail(text)
        return TrialReport(n_rows, done=True, error=text.strip().splitlines()[-1])

    def _report(self, n_rows: int) -> TrialReport:
        damage, self._folder.damage = list(dict.fromkeys(self._folder.damage)), []
        row = self.rows[n_rows - 1]
        return TrialReport(n_rows, n_rows == self.n_steps, row, damage=damage)

    def _write_row(self, numbers: Row, seconds: float) -> None:
        now = datetime.now()
        self._seconds += seconds
        n_rows = len(self.rows) + 1
        row = {
            **numbers,
            "done": n_rows == self.n_steps,
            "training_iteration": n_rows,
            "trial_id": self.identity,
            "experiment_tag": self._tag,
            "date": now.strftime("%Y-%m-%d_%H-%M-%S"),
            "timestamp": int(now.timestamp()),
            "time_this_iter_s": seconds,
            "time_total_s": self._seconds,
            "pid": os.getpid(),
            **_host(),
        }
        self._folder.append(row)
        self.rows.append(row)


def missing_storage(path: str) -> str:
    """Return the message for trials on a node that does not see the experiment's folder."""
    host = _host()
    return (
        f"The node {host['node_ip']} ({host['hostname']}) does not see the storage {path}. Remove the node, mount the "
        "storage on it, or pass a --storage that all nodes share, such as s3://bucket/folder."
    )


@cache
def _experiment_folder(path: str, token: str | None) -> Folder:
    """Return the folder in which this process writes the trials of a run, which share one fence."""
    return fenced(open_folder(path), token)


@cache
def _host() -> dict[str, str]:
    return {"hostname": socket.gethostname(), "node_ip": ray.util.get_node_ip_address()}
