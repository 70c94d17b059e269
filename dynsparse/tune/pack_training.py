"""`PackTraining`: trains the trials of a pack, often of a single one, in this process.

Each trial resumes from its own folder and writes its results there.
"""

from __future__ import annotations

import errno
import gc
import traceback
from collections.abc import Mapping

import torch

from dynsparse.config import Config
from dynsparse.data import DataChangedError, DataError
from dynsparse.results.lock import LockLostError
from dynsparse.search import SchedulerError
from dynsparse.training.trainer import Trainer, TrialError
from dynsparse.tune.packed_trial import PackedTrial, WorkerOptions, missing_storage
from dynsparse.tune.reports import PackReport, TrialReport
from dynsparse.tune.trial_group import TrialGroup, group_trials, map_in_threads

# Errors of a storage that retries do not cure: it is full, or read-only.
LASTING_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class DeviceLostError(RuntimeError):
    """The device no longer works in this process; a new process may be able to use it."""


class PackTraining:
    """Trains the trials of one pack. A step is one step of their study, usually an epoch.

    Args:
        configs: the trials by their index in the run.
        options: the options of the run.

    Raises: OSError if the folders of the trials cannot be read.
    """

    def __init__(self, configs: Mapping[int, Config], options: WorkerOptions) -> None:
        trials = map_in_threads(lambda each: PackedTrial(each, options), configs.values())
        self._options, self._indices = options, dict(zip(trials, configs, strict=True))
        self._sees_storage = all(map_in_threads(PackedTrial.exists, trials))
        self._groups: list[TrialGroup] = []
        if not self._sees_storage:
            # The node joined after the nodes were checked. An exception would make Tune retry on this same idle node.
            return
        if len(trials) > 1:
            failed = map_in_threads(PackedTrial.has_failed, trials)
            trials = [trial for trial, has_failed in zip(trials, failed, strict=True) if not has_failed]
        self._groups = group_trials(trials, options)

    @property
    def trainer(self) -> Trainer:
        """The Trainer that takes the next step."""
        return self._groups[0].start()

    @property
    def _is_single(self) -> bool:
        return len(self._indices) == 1

    def step(self) -> PackReport:
        """Train one step of the first group of trials, and write the row of each trial to its folder.

        A trial that cannot continue fails here, because a retry would raise the same error. If training several trials
        raises an error, the group is split into halves that resume from the last checkpoints. This repeats until the
        failing trial is alone: it fails, and the others continue.

        Raises:
            OSError, DataError, DeviceLostError: If the storage fails (unless it is full or read-only), the data or the
                device. Tune then retries from `setup`.
            MemoryError, torch.OutOfMemoryError: If a single trial finds too little memory, which others may take.
        """
        reports, split_reason = dict[PackedTrial, TrialReport](), None
        if not self._sees_storage:
            reports = self._interrupt(list(self._indices), 0, missing_storage(self._options.path))
        try:
            if self._groups:
                reports, split_reason = self._step_group(self._groups[0])
        except (LockLostError, SchedulerError) as error:
            reports = self._end_all(str(error))
        except OSError as error:
            if error.errno not in LASTING_ERRORS:
                raise
            # Tune would retry in new processes for minutes, and then mark the trials as failed.
            reports = self._end_all(f"the storage cannot be written: {error}")
        self._groups = [group for group in self._groups if group.trials]
        by_index = {self._indices[trial]: report for trial, report in reports.items()}
        return PackReport(by_index, not self._groups, split_reason)

    def _end_all(self, reason: str) -> dict[PackedTrial, TrialReport]:
        """End the trials of all groups, and with them the run, for a reason that holds for every trial."""
        groups, self._groups = self._groups, []
        return {
            trial: TrialReport(group.n_rows, done=True, interruption=reason, ends_run=True)
            for group in groups
            for trial in group.trials
        }

    def _interrupt(self, trials: list[PackedTrial], n_rows: int, reason: str) -> dict[PackedTrial, TrialReport]:
        return {trial: TrialReport(n_rows, done=True, interruption=reason) for trial in trials}

    def _step_group(self, group: TrialGroup) -> tuple[dict[PackedTrial, TrialReport], str | None]:
        """Train one step of a group. Return the reports of its trials, and why the group is split, if it is."""
        try:
            return group.step(), None
        except DataChangedError as error:
            # A retry would find the same data. Another machine, or a later run, may have those of the trials.
            trials, group.trials = group.trials, []
            return self._interrupt(trials, group.n_rows, str(error)), None
        except (OSError, DataError, LockLostError, SchedulerError):
            # Not the fault of any trial.
            raise
        except Exception as error:
            if self._is_single and isinstance(error, MemoryError | torch.OutOfMemoryError):
                raise
            summary = f"{type(error).__name__}: {error}"
            text = summary if isinstance(error, TrialError) else traceback.format_exc()
        # Outside the handler the traceback is gone, and the Trainer that it held in memory can be freed.
        trials, group.trials, group.trainer = group.trials, [], None
        free_memory(trials[0].config.device)
        if len(trials) == 1:
            return {trials[0]: trials[0].fail(text, group.n_rows)}, None
        half = len(trials) // 2
        halves = [each for part in (trials[:half], trials[half:]) for each in group_trials(part, self._options)]
        self._groups = [*halves, *self._groups[1:]]
        return {}, summary.splitlines()[0]


def free_memory(device: str) -> None:
    """Free the memory of Trainers that were deleted. Raises: DeviceLostError if the device no longer works."""
    gc.collect()
    if device == "cpu":
        return
    try:
        torch.cuda.empty_cache()
        torch.ones(1, device=device).item()
    except RuntimeError as error:
        # After some errors, every further use of the device fails, and all trials would seem to fail.
        raise DeviceLostError(f"{device} no longer works in this process: {error}") from error
