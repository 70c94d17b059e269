"""Callbacks of Tune see each trial of a pack as a trial of its own. No Ray runs here."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.logger import TBXLoggerCallback
from support.event_files import scalars
from support.packed_trials import SMALL

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import folder_name, identity
from dynsparse.tune.interrupts import Interrupts
from dynsparse.tune.param_space import INDICES
from dynsparse.tune.reports import PackReport, TrialReport
from dynsparse.tune.trial_events import TellOfTrials, TrialEvents

CONFIGS = [Config.of(dict(SMALL, seed=seed)) for seed in range(4)]
NAMES = [folder_name(config) for config in CONFIGS]
DIED = "The actor died unexpectedly before finishing this task."


class Notes(Callback):
    """Notes each event: its name, the seed of the trial, and the epoch of a result."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.trials: dict[int, Any] = {}  # by seed
        self.ends: list[str] = []  # the status of each trial at its end
        self.n_listed: list[int] = []

    def setup(self, *args: Any, **info: Any) -> None:
        self.events.append(("setup", info["total_num_samples"]))

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._note("start", trials, trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._note("result", trials, trial, result["training_iteration"], result["done"])
        assert (result["trial_id"], result["config"]) == (trial.trial_id, trial.config)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._note("complete", trials, trial, trial.status)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._note("recover", trials, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._note("error", trials, trial, trial.get_error())

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.events.append(("end", len(trials)))

    def _note(self, event: str, trials: list[Any], trial: Any, *about: Any) -> None:
        seed = trial.config["seed"]
        # One object for each trial, as Tune has: trackers keep their runs by it.
        assert self.trials.setdefault(seed, trial) is trial and trial in trials
        self.events.append((event, seed, *about))

    def since(self, number: int) -> list[tuple[Any, ...]]:
        return self.events[number:]


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def events(tmp_path: Path, notes: Notes) -> Iterator[TrialEvents]:
    with TrialEvents([notes], [], CONFIGS, open_folder(str(tmp_path)), Interrupts()) as events:
        yield events


def row(index: int, n_rows: int, **values: Any) -> TrialReport:
    """Return the report of a trial of 5 epochs."""
    done = n_rows == 5
    numbers = {"val_acc": 0.1 * n_rows + index, "noise_acc@0.1": 0.5, "done": done, "training_iteration": n_rows}
    values = {"done": done, **values}
    return TrialReport(n_rows, row={**numbers, "trial_id": identity(CONFIGS[index])}, **values)


def pack_of(*indices: int, error: str = "", folder: Path | None = None) -> Trial:
    """Return what Tune knows of a pack: one trial."""
    pack = Trial("pack", config={INDICES: list(indices)}, stub=True, _setup_default_resource=False)
    if folder is not None:

        class Failed(Trial):
            error_file = str(folder / "error_of_pack.txt")

        Path(Failed.error_file).write_text(f"Failure # 1 (occurred at noon)\n{error}\n")
        pack.__class__ = Failed
    return pack


class Tune:
    """Passes events on as Tune does: a result is a dict that has gone through the object store."""

    def __init__(self, callback: Callback) -> None:
        self.callback = callback

    def start(self, pack: Trial) -> None:
        self.callback.on_trial_start(iteration=0, trials=[pack], trial=pack)

    def result(self, pack: Trial, reports: dict[int, TrialReport], split_reason: str | None = None) -> None:
        done = bool(reports) and all(report.done for report in reports.values())
        is_single = len(pack.config[INDICES]) == 1
        sent = PackReport(reports, done, split_reason).to_result(is_single=is_single)
        # Tune replaces the id of the trial by that of the pack, and adds keys of its own.
        result = {**pickle.loads(pickle.dumps(sent)), "trial_id": pack.trial_id, "config": pack.config}
        self.callback.on_trial_result(iteration=0, trials=[pack], trial=pack, result=result)

    def error(self, pack: Trial) -> None:
        self.callback.on_trial_error(iteration=0, trials=[pack], trial=pack)

    def recover(self, pack: Trial) -> None:
        self.callback.on_trial_recover(iteration=0, trials=[pack], trial=pack)


@pytest.fixture
def ray_tune(events: TrialEvents) -> Tune:
    return Tune(TellOfTrials(events, CONFIGS, max_failures=1))


def test_each_trial_of_a_pack_is_a_trial_of_its_own(tmp_path: Path, notes: Notes) -> None:
    with TrialEvents([notes], [], CONFIGS, open_folder(str(tmp_path)), Interrupts()) as events:
        tune, pack = Tune(TellOfTrials(events, CONFIGS, max_failures=1)), pack_of(0, 2)
        tune.start(pack)
        tune.result(pack, {0: row(0, 1), 2: row(2, 1)})
        tune.result(pack, {0: row(0, 5), 2: row(2, 5)})
    assert notes.events == [
        ("setup", 4),
        ("start", 0), ("start", 2),
        ("result", 0, 1, False), ("result", 2, 1, False),
        ("result", 0, 5, True), ("complete", 0, "TERMINATED"),
        ("result", 2, 5, True), ("complete", 2, "TERMINATED"),
        ("end", 2),
    ]  # fmt: skip
    trial = notes.trials[2]
    assert (trial.trial_id, str(trial)) == (identity(CONFIGS[2]), NAMES[2])
    assert trial.config == CONFIGS[2].values() and trial.evaluated_params == {"seed": 2}
    assert trial.experiment_tag == "seed=2"
    assert trial.local_path == trial.path == str(tmp_path / NAMES[2])
    assert (trial.experiment_dir_name, trial.local_experiment_path) == (tmp_path.name, str(tmp_path))
    assert trial.last_result["val_acc"] == 2.5 and trial.get_error() is None and trial.error_file is None


def test_a_single_trial_takes_the_same_path(ray_tune: Tune, notes: Notes) -> None:
    pack = pack_of(3)
    ray_tune.start(pack)
    ray_tune.result(pack, {3: row(3, 5)})
    assert notes.since(1) == [("start", 3), ("result", 3, 5, True), ("complete", 3, "TERMINATED")]


def test_a_trial_that_fails_leaves_the_others(ray_tune: Tune, notes: Notes, tmp_path: Path) -> None:
    pack = pack_of(0, 1, 2)
    ray_tune.start(pack)
    (tmp_path / NAMES[1]).mkdir()
    (tmp_path / NAMES[1] / "error.txt").write_text("Traceback\nTrialError: bad\n")
    failed = TrialReport(1, done=True, error="TrialError: bad")
    ray_tune.result(pack, {0: row(0, 2), 1: failed, 2: TrialReport(0, done=True, unwritten_error="ConfigError: no")})
    ray_tune.result(pack, {0: row(0, 3)})
    assert notes.since(4) == [
        ("result", 0, 2, False), ("error", 1, "TrialError: bad"), ("error", 2, "ConfigError: no"),
        ("result", 0, 3, False),
    ]  # fmt: skip
    assert notes.trials[1].status == Trial.ERROR
    assert Path(notes.trials[1].error_file).read_text().startswith("Traceback")
    assert notes.trials[2].error_file is None


def test_a_trial_that_a_rule_has_stopped_is_complete_with_its_last_row(ray_tune: Tune, notes: Notes) -> None:
    ray_tune.start(pack_of(0, 1))
    ray_tune.result(pack_of(0, 1), {0: row(0, 2, done=True, stopped="asha: ..."), 1: row(1, 2)})
    assert notes.since(3) == [("result", 0, 2, True), ("complete", 0, "TERMINATED"), ("result", 1, 2, False)]


def test_a_pack_that_dies_resumes_and_no_row_is_told_twice(ray_tune: Tune, notes: Notes) -> None:
    pack = pack_of(0, 1, 2)
    ray_tune.start(pack)
    ray_tune.result(pack, {0: row(0, 2), 1: row(1, 2), 2: TrialReport(1, done=True, error="TrialError: bad")})
    ray_tune.recover(pack)
    ray_tune.start(pack)
    # From the checkpoint after the first epoch. The one that has failed is no longer trained.
    ray_tune.result(pack, {0: row(0, 2), 1: row(1, 2)})
    ray_tune.result(pack, {0: row(0, 3), 1: row(1, 3)})
    assert notes.since(7) == [
        ("recover", 0), ("recover", 1), ("start", 0), ("start", 1), ("result", 0, 3, False), ("result", 1, 3, False)
    ]  # fmt: skip


def test_a_process_that_died_before_the_mark_of_completion_tells_the_end_once(ray_tune: Tune, notes: Notes) -> None:
    last = row(0, 5)
    ray_tune.start(pack_of(0))
    ray_tune.result(pack_of(0), {0: row(0, 5, done=False)})
    ray_tune.recover(pack_of(0))
    ray_tune.start(pack_of(0))
    ray_tune.result(pack_of(0), {0: last})
    ray_tune.result(pack_of(0), {0: last})
    assert notes.since(2) == [
        ("result", 0, 5, False), ("recover", 0), ("start", 0), ("complete", 0, "TERMINATED")
    ]  # fmt: skip


def test_a_pack_that_is_split_is_no_event(ray_tune: Tune, notes: Notes) -> None:
    pack = pack_of(0, 1)
    ray_tune.start(pack)
    ray_tune.result(pack, {0: row(0, 1), 1: row(1, 1)})
    ray_tune.result(pack, {}, split_reason="too little memory")
    # The halves start from their checkpoints, one after the other.
    ray_tune.result(pack, {0: row(0, 1)})
    ray_tune.result(pack, {0: row(0, 2)})
    ray_tune.result(pack, {1: row(1, 1)})
    ray_tune.result(pack, {1: row(1, 2)})
    assert notes.since(3) == [(*("result", 0, 1), False), ("result", 1, 1, False), ("result", 0, 2, False),
                              ("result", 1, 2, False)]  # fmt: skip


def test_a_pack_whose_process_dies_too_often_continues_in_smaller_ones_and_a_single_trial_fails(
    events: TrialEvents, notes: Notes, tmp_path: Path
) -> None:
    tune, pack = Tune(TellOfTrials(events, CONFIGS, max_failures=0)), pack_of(0, 1, error=DIED, folder=tmp_path)
    tune.start(pack)
    tune.result(pack, {0: row(0, 1), 1: row(1, 1)})
    tune.error(pack)
    # Tune runs again with the remaining trials, which get new numbers.
    again = Tune(TellOfTrials(events, [CONFIGS[1], CONFIGS[0]], max_failures=0))
    alone = pack_of(0, error=DIED, folder=tmp_path)
    again.start(alone)
    again.error(alone)
    assert notes.since(5) == [("start", 1), ("error", 1, f"Failure # 1 (occurred at noon)\n{DIED}")]


def test_a_pack_that_ray_lost_has_not_failed(ray_tune: Tune, notes: Notes, tmp_path: Path) -> None:
    pack = pack_of(0, 1, error="The actor died because its node has died.", folder=tmp_path)
    ray_tune.start(pack)
    ray_tune.error(pack)
    assert notes.since(1) == [("start", 0), ("start", 1)]


def test_what_has_not_ended_with_the_run_is_paused(tmp_path: Path, notes: Notes) -> None:
    with TrialEvents([notes], [], CONFIGS, open_folder(str(tmp_path)), Interrupts()) as events:
        tune, pack = Tune(TellOfTrials(events, CONFIGS, max_failures=1)), pack_of(0, 1, 2)
        tune.start(pack)
        tune.result(pack, {0: row(0, 5), 1: row(1, 1), 2: TrialReport(0, done=True, interruption="the disk is full")})
    assert notes.since(7) == [("complete", 1, "PAUSED"), ("complete", 2, "PAUSED"), ("end", 3)]


def test_the_end_is_also_told_if_a_callback_raises(tmp_path: Path, notes: Notes) -> None:
    class Raises(Callback):
        def on_trial_start(self, *args: Any, **info: Any) -> None:
            raise ArithmeticError("mine")

    with (
        pytest.raises(ArithmeticError, match="mine"),
        TrialEvents([notes, Raises()], [], CONFIGS, open_folder(str(tmp_path)), Interrupts()) as events,
    ):
        events.start(CONFIGS[0])
    assert notes.since(1) == [("start", 0), ("complete", 0, "PAUSED"), ("end", 1)]


def test_tune_can_pickle_it_whatever_the_callbacks_of_a_user_hold(events: TrialEvents, notes: Notes) -> None:
    notes.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        cloudpickle.dumps(notes)
    cloudpickle.dumps(TellOfTrials(events, CONFIGS, max_failures=1))


def test_rays_own_callback_writes_event_files_into_the_folder_of_each_trial(tmp_path: Path) -> None:
    with TrialEvents([TBXLoggerCallback()], [], CONFIGS, open_folder(str(tmp_path)), Interrupts()) as events:
        tune, pack = Tune(TellOfTrials(events, CONFIGS, max_failures=1)), pack_of(0, 1)
        tune.start(pack)
        tune.result(pack, {0: row(0, 5), 1: row(1, 5)})
    assert sorted(path.parent.name for path in tmp_path.rglob("events.out.tfevents.*")) == sorted(NAMES[:2])


def test_the_files_of_callbacks_are_copied_to_a_remote_storage(tmp_path: Path, notes: Notes) -> None:
    (tmp_path / NAMES[0]).mkdir()
    # Of a URI, as an object store is; that of a disk needs no server.
    storage = open_folder(f"file://{tmp_path}")
    with TrialEvents([TBXLoggerCallback(), notes], [], CONFIGS, storage, Interrupts()) as events:
        tune, pack = Tune(TellOfTrials(events, CONFIGS, max_failures=1)), pack_of(0)
        tune.start(pack)
        tune.result(pack, {0: row(0, 5)})
        trial = notes.trials[0]
        assert (trial.path, trial.experiment_dir_name) == (f"file://{tmp_path}/{NAMES[0]}", tmp_path.name)
        assert Path(trial.local_path).is_dir() and tmp_path not in Path(trial.local_path).parents
        assert not list(tmp_path.rglob("events.out.tfevents.*"))
    [file] = tmp_path.glob(f"{NAMES[0]}/events.out.tfevents.*")
    assert scalars(file, "ray/tune/val_acc") == {5: 0.5}
    assert not Path(trial.local_experiment_path).exists()


def test_without_callbacks_nothing_is_kept(tmp_path: Path) -> None:
    with TrialEvents([], [], CONFIGS, open_folder(str(tmp_path)), Interrupts()) as events:
        tune = Tune(TellOfTrials(events, CONFIGS, max_failures=1))
        tune.start(pack_of(0, 1))
        tune.result(pack_of(0, 1), {0: row(0, 5), 1: row(1, 5)})
    assert events._trials == []
