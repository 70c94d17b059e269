"""`run_grid`: train the trials of a grid on Ray Tune."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any

import ray
import torch

from dynsparse.config import Config
from dynsparse.experiment import Experiment
from dynsparse.io.storage import Folder
from dynsparse.io.terminal import say
from dynsparse.results.experiment_file import write_experiment
from dynsparse.results.fence import fenced
from dynsparse.results.grid_status import Failure, GridStatus, facts_about, scan
from dynsparse.results.lock import Lock, LockedError, Owner, check_unlocked
from dynsparse.results.progress import plural
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.search import PBT
from dynsparse.tune import node_checks, preflight
from dynsparse.tune.compat import TUNE_FILES, stop_tune
from dynsparse.tune.in_process import InProcessRunner
from dynsparse.tune.interrupts import Interrupts
from dynsparse.tune.options import RunOptions
from dynsparse.tune.pack_size import even_pack_size
from dynsparse.tune.pbt_rounds import PbtRounds
from dynsparse.tune.preflight import CheckedRun, check_run
from dynsparse.tune.ray_session import quiet_tune, ray_session
from dynsparse.tune.rounds import HyperBandRounds, Round
from dynsparse.tune.trackers import trackers_of
from dynsparse.tune.trial_events import TrialEvents
from dynsparse.tune.trial_group import map_in_threads
from dynsparse.tune.tuner import PACKS_FOLDER, PackRunner


@dataclass(frozen=True)
class Outcome:
    """The result of a run, for all trials of the grid, including those of earlier runs.

    Args:
        path: path or URI of the experiment's folder.
        n_complete: number of complete trials.
        n_unfinished: number of trials that are neither complete nor failed, because the run was stopped.
        failures: the failed trials.
        seconds: duration of the run.
        stopped_by: number of the signal that stopped the run, or None.
        n_stopped: number of trials that a rule of early stopping has ended.
        best: of a search, the best setting, or all that no other one beats in every objective: the values of the drawn
            keys, and those of the objectives.
        copies: the trials beyond the grid that begin as copies of others, with scheduler="pbt".
    """

    path: str
    n_complete: int
    n_unfinished: int
    failures: list[Failure]
    seconds: float
    stopped_by: int | None = None
    n_stopped: int = 0
    best: Sequence[tuple[dict[str, Any], dict[str, float]]] = ()
    copies: Sequence[Config] = ()

    def __repr__(self) -> str:
        """Return the fields, with the number of the copies only: the configuration of each is long."""
        shown = {each.name: repr(getattr(self, each.name)) for each in fields(self)}
        shown["copies"] = f"<{plural(len(self.copies), 'trial')}>"
        return f"Outcome({', '.join(f'{name}={text}' for name, text in shown.items())})"


def run_grid(
    experiment: Experiment, configs: Sequence[Config], options: RunOptions, overridden: Collection[str] = ()
) -> Outcome:
    """Train trials of an experiment, as `run` does, given the configs of its grid.

    Args:
        experiment: the experiment.
        configs: the trials.
        options: the options of the run.
        overridden: keys whose values replace those of the experiment's space.

    Raises: what `run` raises.
    """
    checked = check_run(experiment, configs, options, overridden)
    # A mistake in the options is reported before anything is written.
    trials = trials_of(checked)
    started = time.monotonic()
    status, interrupts = None, Interrupts()
    try:
        with interrupts:
            status = scan(checked.folder, trials)
            if not options.quiet:
                say(status.summary(**options.rerun_states))
            if todo := _to_train(checked, status):
                _launch(checked, status, todo, interrupts)
            elif status.has_damage():
                _repair(checked.folder, status)
    except KeyboardInterrupt:
        # Raised by `interrupts`; any other one is not ours.
        if interrupts.received() is None:
            raise
    except SystemExit as end:
        # Raised by Ray's own handler for SIGTERM while Ray starts.
        if end.code != signal.SIGTERM or interrupts.received() is None:
            raise
    trials = trials_of(checked)
    status = scan(checked.folder, trials, previous=status)
    n_complete, failures = len(status.in_state(State.COMPLETE)), status.failures()
    n_stopped = 0 if options.scheduler is None else len(status.in_state(State.STOPPED))
    n_unfinished = len(status.trials) - n_complete - n_stopped - len(failures)
    seconds = time.monotonic() - started
    return Outcome(
        checked.folder.path,
        n_complete,
        n_unfinished,
        failures,
        seconds,
        interrupts.received(),
        n_stopped,
        copies=trials[len(checked.configs) :],
    )


def trials_of(run: CheckedRun) -> list[Config]:
    """Return the trials of the grid and, with scheduler="pbt", the copies that follow from the rows.

    Raises: ExperimentError, OSError.
    """
    return pbt_rounds_of(run).trials(run.folder) if run.options.scheduler == PBT else run.configs


def rounds_of(run: CheckedRun, status: GridStatus) -> HyperBandRounds | PbtRounds:
    """Return the planner of the rounds of a run that trains in rounds. Raises: ExperimentError."""
    return pbt_rounds_of(run) if run.options.scheduler == PBT else HyperBandRounds(run, status)


def pbt_rounds_of(run: CheckedRun) -> PbtRounds:
    """Return the planner of the rounds of population-based training. Raises: ExperimentError."""
    return PbtRounds(run.experiment, run.configs, run.options, run.overridden)


def _to_train(run: CheckedRun, status: GridStatus) -> list[Config]:
    """Return the trials that a run trains, as far as the rows in the folder say. Raises: ExperimentError, OSError."""
    if run.options.trains_in_rounds:
        return rounds_of(run, status).unfinished(run.folder, status)
    todo = status.todo(**run.options.rerun_states)
    preflight.check_starts(run.folder, todo)
    return todo


def _launch(run: CheckedRun, status: GridStatus, trials: Sequence[Config], interrupts: Interrupts) -> None:
    """Start Ray and train the trials that are not complete.

    Args:
        run: the run.
        status: the status of the grid.
        trials: the trials to train.
        interrupts: the signals to look for.

    Raises: ExperimentError, DataError, LockedError, LockLostError.
    """
    options, folder = run.options, run.folder
    # It may compile for a minute.
    with interrupts.ending_at_once():
        preflight.check_metric(options, preflight.check_first_trial(trials))
    explanations = (
        preflight.explain_missing_updates(trials),
        preflight.explain_slow_engine(trials),
        preflight.explain_packs_of_modules(trials, run.largest_pack),
    )
    for explanation in explanations:
        if explanation:
            say(explanation)
    interrupts.check()
    # The lock is taken when all checks have passed. Looking at it now spares the user the start of Ray.
    dead = check_unlocked(folder)
    events = TrialEvents(options.callbacks, trackers_of(options, run.name), run.configs, folder, interrupts)
    if options.in_process:
        is_lost = threading.Event()
        with _locked(folder, dead, is_lost.set) as lock, events:
            alone = InProcessRunner(run, lock.token, interrupts, is_lost, events)
            _train(run, status, alone, lock.token, interrupts, n_gpus=torch.cuda.device_count())
        return
    with ray_session(options.address), quiet_tune():
        # Ray has set a handler for SIGTERM that would end the process at once.
        interrupts.listen()
        interrupts.check()
        node_checks.check_resources(run.cpus, run.gpus, options.address)
        node_checks.check_nodes(folder, run.configs)
        with _locked(folder, dead, stop_tune) as lock, events:
            runner = PackRunner(run, lock.token, interrupts, events)
            _train(run, status, runner, lock.token, interrupts, n_gpus=ray.cluster_resources().get("GPU", 0))


@contextmanager
def _locked(folder: Folder, dead: Owner | None, on_loss: Callable[[], object]) -> Iterator[Lock]:
    """Hold the lock of a run. Raises: ExperimentError if the folder cannot be written; what `Lock` raises."""
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(Lock(folder, dead, on_loss=on_loss))
        except OSError as error:
            raise preflight.write_error(folder, error) from error
        yield lock


def _train(
    run: CheckedRun,
    status: GridStatus,
    runner: PackRunner | InProcessRunner,
    token: str,
    interrupts: Interrupts,
    *,
    n_gpus: float,
) -> None:
    """Train the trials that are not complete, with the lock held.

    Args:
        run: the run.
        status: the status of the grid before the lock was taken.
        runner: what trains them.
        token: the token of the lock.
        interrupts: the signals to look for between two rounds.
        n_gpus: number of GPUs that there are.
    """
    folder = fenced(run.folder, token)
    # Another run may have ended since the first scan.
    status = scan(folder, trials_of(run), previous=status)
    if status.set_aside(folder):
        status = scan(folder, trials_of(run))
    status.repair(folder)

    def train(round_: Round) -> None:
        _begin(folder, run.experiment, round_.trials)
        pack_size = run.largest_pack
        if run.options.pack == "auto":
            pack_size = even_pack_size(len(round_.trials), n_gpus, run.gpus, run.largest_pack)
        runner.train(round_, pack_size)

    if run.options.trains_in_rounds:
        _train_in_rounds(run, folder, status, train, runner.events, interrupts)
    else:
        train(Round.to_the_end(status.todo(**run.options.rerun_states), status))


def _train_in_rounds(
    run: CheckedRun,
    folder: Folder,
    status: GridStatus,
    train: Callable[[Round], None],
    events: TrialEvents,
    interrupts: Interrupts,
) -> None:
    """Train round after round until all trials have ended, or a round could not be finished."""
    rounds, trained_until = rounds_of(run, status), 0
    while True:
        try:
            round_ = rounds.next_round(folder, status, events.stop)
        except OSError as error:
            say(f"\nthe run ends: {error}. Written results are kept.")
            return
        # If trials of a round were interrupted, the next one would be the same.
        if round_ is None or (round_.last_row or 0) <= trained_until:
            return
        interrupts.check()
        trained_until = round_.last_row or 0
        if not run.options.quiet:
            say(f"training {plural(len(round_.trials), 'trial')} until epoch {trained_until}")
        train(round_)
        status = scan(folder, trials_of(run), previous=status)


def _begin(folder: Folder, experiment: Experiment, configs: Sequence[Config]) -> None:
    """Create the folders of the trials, so that a trial that never starts is visible. Raises: ExperimentError."""

    def begin(config: Config) -> None:
        trial = TrialFolder(folder.sub(folder_name(config)))
        trial.create(config, facts_about(config))
        trial.clear_end()

    try:
        write_experiment(folder, experiment)
        map_in_threads(begin, configs)
        for name in TUNE_FILES:
            folder.delete(name)
            folder.sub(PACKS_FOLDER).delete(name)
    except OSError as error:
        raise preflight.write_error(folder, error) from error


def _repair(folder: Folder, status: GridStatus) -> None:
    """Repair complete trials when there is nothing to run; if that fails, the run still succeeds."""
    try:
        with Lock(folder):
            status.repair(folder)
    except (OSError, LockedError) as error:
        say(f"damaged files were not repaired: {error}")
