"""Packs on a real Ray: what a run leaves is what a run without packs does, also where its processes die."""

import json
import os
import signal

import pandas as pd
import pytest
import ray
from ray import tune as ray_tune
from support.packed_trials import LEGACY, SMALL, assert_as_alone

import analysis
from dynsparse import tune
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import TrialFolder
from dynsparse.tune import ray_session
from dynsparse.tune.preflight import with_absolute_data_dir

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def local_ray():
    """One Ray for the module; `run` uses the Ray that is there."""
    ray_session.start_ray("local")
    yield
    ray.shutdown()


# Packs of three kinds: 4 and 2, 2, and one by itself, which fails.
ARMS = [
    *(dict(model="SET", on_perc=on_perc, seed=seed) for on_perc in (0.2, 0.3, 0.4) for seed in (0, 1)),
    *(dict(model="RigL", on_perc=0.3, learning_rate=rate) for rate in (0.1, 0.05)),
    dict(LEGACY, on_perc=0.1, weight_prune_perc=0.9),
]
# Columns that depend on the machine and the time.
OF_THE_RUN = ["date", "timestamp", "time_this_iter_s", "time_total_s", "pid", "hostname", "node_ip"]


def mixed(name="mixed"):
    arms = [{**SMALL, **arm, "epochs": 4} for arm in ARMS]
    return Experiment(name, "?", dict(arm=ray_tune.grid_search(arms)))


def rows_of(path):
    """Return the rows of each trial, without the columns that depend on the run."""
    rows = {folder.name: TrialFolder(open_folder(str(folder))).rows() for folder in path.glob("trial_*")}
    return {
        name: [{k: v for k, v in row.items() if k not in OF_THE_RUN} for row in each] for name, each in rows.items()
    }


def test_a_run_in_packs_leaves_the_folders_of_a_run_without(local_ray, tmp_path, capsys):
    packed, apart = (tune.run(mixed(name), tmp_path, pack=pack) for name, pack in [("packed", 4), ("apart", "off")])
    said = capsys.readouterr().err
    assert "in 4 packs of up to 3 trials" in said
    assert said.count("8 of 9 trials done, 0 running, 1 failed") == 2
    for outcome in (packed, apart):
        assert (outcome.n_complete, outcome.n_unfinished, len(outcome.failures)) == (8, 0, 1)
    assert packed.failures == apart.failures
    for name in ("packed", "apart"):
        status = json.loads((tmp_path / name / "status.json").read_text())
        assert {key: status[key] for key in ("trials", "done", "failed", "trials_running")} == {
            "trials": 9, "done": 8, "failed": 1, "trials_running": 0,
        }  # fmt: skip
    # On a CPU trials of a pack are computed one after the other: nothing is rounded otherwise.
    assert repr(rows_of(tmp_path / "packed")) == repr(rows_of(tmp_path / "apart"))
    for folder in (tmp_path / "apart").glob("trial_*"):
        ours = {path.name for path in folder.iterdir()} - {"error.pkl"}
        assert {path.name for path in (tmp_path / "packed" / folder.name).iterdir()} == ours
        for name in ("params.json", "complete.json"):
            assert (folder / name).exists() == (tmp_path / "packed" / folder.name / name).exists()
        assert (folder / "params.json").read_bytes() == (tmp_path / "packed" / folder.name / "params.json").read_bytes()

    ours, theirs = (analysis.load(tmp_path / name) for name in ("packed", "apart"))
    other = ["experiment_file_name", "trial_time", "mean_epoch_time"]
    pd.testing.assert_frame_equal(ours.drop(columns=other), theirs.drop(columns=other))
    assert analysis.issues(ours).empty and len(ours) == 9
    # Again, and otherwise packed: there is nothing to do, and Tune's notes of packs are no trials.
    again = tune.run(mixed("packed"), tmp_path, pack=2)
    assert again.n_complete == 8 and "8 complete, 1 failed" in capsys.readouterr().err


class EndsProcesses(ray_tune.Callback):
    """Ends the process of a trial, as often as told, when its second row has come."""

    def __init__(self, times):
        self.times, self.ended = times, set()
        self.events = []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.events.append((trial.config["seed"], result["training_iteration"]))
        # The process has also sent the rows of the other trials of its pack.
        if len(self.ended) < self.times and result["training_iteration"] >= 2 and result["pid"] not in self.ended:
            self.ended.add(result["pid"])
            os.kill(result["pid"], signal.SIGKILL)

    def on_trial_recover(self, iteration, trials, trial, **info):
        self.events.append((trial.config["seed"], "recover"))

    def on_trial_complete(self, iteration, trials, trial, **info):
        self.events.append((trial.config["seed"], trial.status))


@pytest.mark.faults
def test_a_pack_whose_process_dies_goes_on_and_one_that_dies_too_often_in_halves(local_ray, tmp_path, capsys):
    experiment = Experiment("dies", "?", dict(SMALL, seed=ray_tune.grid_search([0, 1, 2, 3])), epochs=5)
    ends = EndsProcesses(times=2)
    outcome = tune.run(experiment, tmp_path, pack=4, max_failures=1, checkpoint_epochs=2, callbacks=[ends])
    said = capsys.readouterr().err
    assert "a pack of 4 trials died and resumes from its last checkpoint (retry 1)" in said
    assert "the process of a pack died too often" in said
    assert "the unfinished trials continue in packs of at most 2" in said
    assert (outcome.n_complete, outcome.failures) == (4, [])
    assert "4 of 4 trials done" in said
    # A callback is told of each row of each trial once, although two processes died.
    for seed in range(4):
        told = [what for told_seed, what in ends.events if told_seed == seed]
        assert [what for what in told if what != "recover"] == [1, 2, 3, 4, 5, "TERMINATED"]
        assert told.count("recover") == 1
    for config in experiment.configs():
        assert_as_alone(tmp_path / "dies", with_absolute_data_dir(config), 0)
    # Tune has noted that the pack died, where nobody takes it for a trial.
    assert list((tmp_path / "dies").glob(".packs/pack_*/error.txt"))
    df = analysis.load(outcome.path)
    assert len(df) == 4 and set(df["status"]) == {"complete"} and df["error"].isna().all()


@pytest.mark.faults
def test_a_group_whose_process_dies_too_often_goes_on_in_smaller_packs(local_ray, tmp_path, capsys):
    experiment = Experiment("group", "?", dict(SMALL, seed=ray_tune.grid_search([0, 1]), val_fraction=0.2), epochs=3)
    ends = EndsProcesses(times=2)
    outcome = tune.run(
        experiment, tmp_path, scheduler="median", group_by="seed", max_failures=1, checkpoint_epochs=2, callbacks=[ends]
    )
    assert (outcome.n_complete, len(ends.ended)) == (2, 2)
    assert "the unfinished trials continue in packs of at most 1" in capsys.readouterr().err


class Stops(ray_tune.Callback):
    """Stops the run, as TERM does, at a row."""

    def __init__(self):
        self.ends = []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        # Once: a second signal would end the run at once.
        if (trial.config["seed"], result["training_iteration"]) == (0, 3):
            os.kill(os.getpid(), signal.SIGTERM)

    def on_trial_complete(self, iteration, trials, trial, **info):
        self.ends.append((trial.config["seed"], trial.status))


@pytest.mark.faults
def test_a_run_in_packs_that_is_stopped_goes_on_without_packs(local_ray, tmp_path, capsys):
    experiment = Experiment("stops", "?", dict(SMALL, seed=ray_tune.grid_search([0, 1, 2])), epochs=30)
    stops = Stops()
    stopped = tune.run(experiment, tmp_path, pack=3, callbacks=[stops])
    assert (stopped.n_unfinished, stopped.stopped_by) == (3, signal.SIGTERM)
    assert stops.ends == [(0, "PAUSED"), (1, "PAUSED"), (2, "PAUSED")]
    assert set(analysis.load(stopped.path)["status"]) == {"incomplete"}
    before = rows_of(tmp_path / "stops")
    assert all(3 <= len(rows) < 30 for rows in before.values())
    assert tune.run(experiment, tmp_path, limit=1).n_complete == 1
    assert tune.run(experiment, tmp_path, pack=2).n_complete == 3
    assert "3 trials: 1 complete, 2 to resume" in capsys.readouterr().err
    after = rows_of(tmp_path / "stops")
    assert all(repr(after[name][: len(rows)]) == repr(rows) for name, rows in before.items())
    for config in experiment.configs():
        assert_as_alone(tmp_path / "stops", with_absolute_data_dir(config), 0)


def test_what_cannot_be_packed_as_asked_is_refused_and_nothing_is_written(tmp_path):
    for pack in (0, "many", 513):
        with pytest.raises(ExperimentError, match=f"pack must be 'auto', 'off' or .* from 1 to 512, got {pack}"):
            tune.run(mixed(), tmp_path, pack=pack)
    assert not list(tmp_path.iterdir())
