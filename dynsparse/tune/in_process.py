"""Train the trials of a run one after another in this process, without Ray."""

from __future__ import annotations

import threading
import traceback

import torch

from dynsparse.config import Config
from dynsparse.data import DataError
from dynsparse.io.terminal import say
from dynsparse.results.fence import fenced
from dynsparse.results.trial_folder import TrialFolder, folder_name
from dynsparse.search import Judge, SchedulerError, packs_of
from dynsparse.tune.callbacks import ShowProgress
from dynsparse.tune.interrupts import Interrupts
from dynsparse.tune.pack_training import DeviceLostError, PackTraining
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.preflight import CheckedRun
from dynsparse.tune.reports import PackReport, TrialReport
from dynsparse.tune.rounds import Round
from dynsparse.tune.trial_events import TrialEvents


class InProcessRunner:
    """Trains trials in this process.

    Args:
        run: the run.
        token: the token of the run's lock.
        interrupts: the signals to look for after each step.
        is_lost: set if another run has taken the lock.
        events: tells callbacks of the trials.
    """

    def __init__(
        self, run: CheckedRun, token: str, interrupts: Interrupts, is_lost: threading.Event, events: TrialEvents
    ) -> None:
        self._run, self._token, self._interrupts, self._is_lost = run, token, interrupts, is_lost
        self.events = events
        self._bests: dict[str, float] = {}  # the best value of each trial, for the display of progress

    def train(self, round_: Round, pack_size: int) -> None:
        """Train the trials of a round until all have ended or the run is interrupted.

        An error of the data, the storage or the device ends the run, because the next trial would meet it too. The
        trials that it interrupts stay unfinished.

        Args:
            round_: the trials to train; their folders exist.
            pack_size: largest number of trials in a pack.
        """
        torch.set_num_threads(max(1, int(self._run.cpus)))
        trials, stopping = round_.trials, self._run.options.stopping
        progress = ShowProgress(self._run.folder, round_, self._bests, quiet=self._run.options.quiet)
        packs, judge = packs_of(trials, pack_size, stopping), None
        try:
            if stopping is not None and not round_.pauses:
                judge = Judge(stopping, self._run.configs, self._run.folder).judge
            options = WorkerOptions.of_round(self._run, self._token, round_, judge)
            for pack in packs:
                progress.start(pack)
                if not self._train_pack({index: trials[index] for index in pack}, options, progress):
                    return
        except (OSError, DataError, DeviceLostError, SchedulerError) as error:
            say(f"\nthe run ends: {error}. Written results are kept.")
        finally:
            progress.end()

    def _train_pack(self, configs: dict[int, Config], options: WorkerOptions, progress: ShowProgress) -> bool:
        """Train the trials of a pack to their end. Return False if the run must end."""
        pack: PackTraining | None = None
        for config in configs.values():
            self.events.start(config)
        while True:
            self.events.step_begins()
            try:
                pack = pack or PackTraining(configs, options)
                report = pack.step()
            except (OSError, DataError, DeviceLostError):
                raise
            except Exception:
                # In a process of its own, such a trial would end alone.
                report = self._fail(configs, traceback.format_exc())
            progress.show(report)
            for index, of_trial in report.trials.items():
                self.events.report(configs[index], of_trial)
            self.events.step_ends()
            if report.ends_run or self._interrupts.received() is not None or self._is_lost.is_set():
                return False
            if report.done:
                return True

    def _fail(self, configs: dict[int, Config], text: str) -> PackReport:
        folder = fenced(self._run.folder, self._token)
        for config in configs.values():
            TrialFolder(folder.sub(folder_name(config))).fail(text)
        error = text.strip().splitlines()[-1]
        return PackReport({index: TrialReport(0, done=True, error=error) for index in configs}, done=True)
