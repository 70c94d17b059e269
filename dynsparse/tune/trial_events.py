"""The events of trials, for callbacks of Tune, which see each trial as a trial of Tune, also if it is in a pack."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.callback import CallbackList
from ray.tune.experiment import Trial

from dynsparse.config import Config
from dynsparse.experiment import axes
from dynsparse.io.storage import Folder, LocalFolder
from dynsparse.io.terminal import say
from dynsparse.tune.callbacks import is_lost_to_ray, must_be_split
from dynsparse.tune.compat import error_text
from dynsparse.tune.interrupts import Interrupts
from dynsparse.tune.param_space import INDICES
from dynsparse.tune.reported_trial import ReportedTrial
from dynsparse.tune.reports import PackReport, TrialReport
from dynsparse.tune.trackers import TrackerThread
from dynsparse.tune.trial_group import map_in_threads

# How long a run waits for each tracker at its end: servers may be slow. A run that is stopped must end soon.
SECONDS_FOR_TRACKERS, SECONDS_IF_STOPPED = 300.0, 10.0


class TrialEvents:
    """Tells callbacks what happens to the trials of a run: starts, rows, retries and ends.

    Each row is told once, also if a trial repeats epochs after a checkpoint. A trial that has not ended when the run
    ends is told as completed, with the status PAUSED, so that callbacks can close what they have opened for it.

    Args:
        callbacks: callbacks of Tune, which are called at once. Their errors end the run.
        trackers: callbacks of Tune, which are called in threads of their own. Their errors do not end the run.
        configs: all trials of the run.
        folder: the experiment's folder.
        interrupts: the signals that may stop the run.
    """

    def __init__(
        self,
        callbacks: Sequence[tune.Callback],
        trackers: Sequence[TrackerThread],
        configs: Sequence[Config],
        folder: Folder,
        interrupts: Interrupts,
    ) -> None:
        self._callbacks, self._trackers = CallbackList(list(callbacks)), trackers
        self._interrupts = interrupts
        self.has_listeners = bool(callbacks or trackers)
        self._folder, self._is_local = folder, isinstance(folder, LocalFolder)
        self._files = Path(folder.path)
        self._n_trials, self._axis_names = len(configs), tuple(axes(configs)) if self.has_listeners else ()
        self._iteration = 0
        # Like Tune's, the list that callbacks get holds the trials that have started.
        self._trials: list[ReportedTrial] = []
        self._by_config: dict[Config, ReportedTrial] = {}

    def __enter__(self) -> TrialEvents:
        """Set up the callbacks. Raises: ExperimentError from a tracker."""
        if self.has_listeners:
            about = {"stop": None, "num_samples": 1, "total_num_samples": self._n_trials}
            for tracker in self._trackers:
                tracker.setup(**about)
            self._callbacks.setup(**about)
            # The last step: nothing would delete the folder if another one raised an error.
            if not self._is_local:
                self._files = Path(tempfile.mkdtemp(prefix="dynsparse-"))
        return self

    def __exit__(self, *error: object) -> None:
        """Tell that the run has ended, and wait for the trackers."""
        if not self.has_listeners:
            return
        try:
            for trial in self._trials:
                if trial.status == Trial.RUNNING:
                    trial.mark(Trial.PAUSED)
                    self._tell("on_trial_complete", trial=trial)
            self._tell_all("on_experiment_end", trials=self._trials)
        finally:
            seconds = SECONDS_IF_STOPPED if self._interrupts.received() is not None else SECONDS_FOR_TRACKERS
            for tracker in self._trackers:
                tracker.close(seconds)
            if not self._is_local:
                self._upload_files()

    def step_begins(self) -> None:
        """Tell that the next step of the run begins."""
        self._callbacks.on_step_begin(iteration=self._iteration, trials=self._trials)

    def step_ends(self) -> None:
        """Tell that a step of the run has ended."""
        self._iteration += 1
        self._callbacks.on_step_end(iteration=self._iteration, trials=self._trials)

    def start(self, config: Config) -> None:
        """Tell that a trial starts, or resumes after its process died."""
        if not self.has_listeners:
            return
        trial = self._trial(config)
        # A pack that is resumed also holds the trials that have ended.
        if not trial.has_ended:
            trial.mark(Trial.RUNNING)
            self._tell("on_trial_start", trial=trial)

    def report(self, config: Config, report: TrialReport) -> None:
        """Tell the row of a trial and, if it has ended, how."""
        if not self.has_listeners:
            return
        trial = self._trial(config)
        if trial.has_ended:
            return
        if report.row and report.n_rows > trial.n_rows:
            trial.n_rows = report.n_rows
            result = {**report.row, "done": report.done and not report.paused}
            self._tell("on_trial_result", trial=trial, result={**result, "config": trial.config})
            trial.add_row(result)
        error = report.unwritten_error or report.error
        if error is not None:
            self.fail(config, error)
        elif report.interruption is not None or report.paused:
            # It may resume in this run, or in a later one.
            return
        elif report.done:
            self._complete(trial)

    def stop(self, config: Config) -> None:
        """Tell that a trial that was paused was stopped early."""
        trial = self._by_config.get(config)
        # A trial that an earlier run has trained is unknown to the callbacks of this one.
        if trial is not None and not trial.has_ended:
            self._complete(trial)

    def recover(self, config: Config) -> None:
        """Tell that the process of a trial died, and the trial will resume."""
        trial = self._trial(config)
        if not trial.has_ended:
            self._tell("on_trial_recover", trial=trial)

    def fail(self, config: Config, text: str) -> None:
        """Tell that a trial has failed."""
        trial = self._trial(config)
        if not trial.has_ended:
            trial.fail(text)
            self._tell("on_trial_error", trial=trial)

    def _complete(self, trial: ReportedTrial) -> None:
        trial.mark(Trial.TERMINATED)
        self._tell("on_trial_complete", trial=trial)

    def _trial(self, config: Config) -> ReportedTrial:
        if config not in self._by_config:
            trial = ReportedTrial(config, self._axis_names, self._folder, self._files)
            self._by_config[config] = trial
            self._trials.append(trial)
        return self._by_config[config]

    def _tell(self, event: str, **about: Any) -> None:
        self._tell_all(event, iteration=self._iteration, trials=self._trials, **about)

    def _tell_all(self, event: str, **about: Any) -> None:
        for tracker in self._trackers:
            tracker.tell(event, **about)
        getattr(self._callbacks, event)(**about)

    def _upload_files(self) -> None:
        """Copy what callbacks have written into folders of trials to the storage."""

        def upload(path: Path) -> None:
            *parents, name = path.relative_to(self._files).parts
            folder = self._folder
            for parent in parents:
                folder = folder.sub(parent)
            folder.replace(name, path.read_bytes())

        try:
            map_in_threads(upload, [path for path in self._files.rglob("*") if path.is_file()])
        except OSError as error:
            # They are copies: the run succeeds without them.
            say(f"warning: files of callbacks remain in {self._files}, which could not be copied: {error}")
            return
        shutil.rmtree(self._files, ignore_errors=True)


class TellOfTrials(tune.Callback):
    """Turns what Tune tells about packs into events of their trials.

    Args:
        events: takes the events.
        configs: the trials by which the packs are numbered.
        max_failures: how often a trial may die and resume before it has failed.
    """

    def __init__(self, events: TrialEvents, configs: Sequence[Config], max_failures: int) -> None:
        self._events, self._configs, self._max_failures = events, configs, max_failures

    def _trials(self, trial: Any) -> list[Config]:
        return [self._configs[index] for index in trial.config[INDICES]]

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tell of the step."""
        self._events.step_begins()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tell of the step."""
        self._events.step_ends()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Start the trials of the pack."""
        for config in self._trials(trial):
            self._events.start(config)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Report the trials that took part in the step."""
        for index, report in PackReport.from_result(result).trials.items():
            self._events.report(self._configs[index], report)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that the process of the pack died."""
        for config in self._trials(trial):
            self._events.recover(config)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Let the trials of the pack fail, unless they run again."""
        if not is_lost_to_ray(trial, self._max_failures) and not must_be_split(trial):
            text = error_text(trial)
            for config in self._trials(trial):
                self._events.fail(config, text)

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles its callbacks, and those of users may hold what cannot be pickled."""
        return {}
