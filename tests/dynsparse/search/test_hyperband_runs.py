"""Runs with HyperBand: their decisions follow from the rows, whatever packs, kills and failures there are."""

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ray import tune as ray_tune
from support.command_line import invoke

import analysis
from dynsparse.experiment import Experiment, ExperimentError, load_experiment
from dynsparse.io.storage import open_folder
from dynsparse.results.grid_status import GridStatus, TrialStatus
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.results.watch import follow
from dynsparse.search import StoppingOptions, hyperband_of
from dynsparse.tune import run
from dynsparse.tune.pack_training import PackTraining
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.preflight import with_absolute_data_dir
from dynsparse.tune.rounds import Round

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = """
from ray import tune
from dynsparse.experiment import Experiment

space = dict(dataset_name="digits", model="SET", hidden_sizes=[10], batch_size=128, val_fraction=0.2, test_noise=False,
             engine="sparse", learning_rate=tune.grid_search([0.2, 1e-6, 0.1, 1e-3, 0.4, 0.02, 0.3, 1e-5, 0.05, 0.01]))
experiment = Experiment("band", "Which rate?", space, epochs=4)
"""
OPTIONS = {"scheduler": "hyperband", "reduction_factor": 2, "in_process": True}
# Brackets of 4, 3 and 3 trials, which halve at the epochs 1 and 2, 2, and never.
N_BY_EPOCH = {1: 2, 2: 1 + 2, 4: 1 + 1 + 3}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "band.py"
    path.write_text(FILE)
    return path


def content(folder):
    """Return the decisions of a run, and the rows from which they follow."""
    df = analysis.load(folder)[["trial_id", "status", "error", "epochs"]].sort_values("trial_id")
    rows = analysis.load_history(folder)[["trial_id", "epoch", "val_acc", "train_loss"]]
    return df.to_dict("list"), rows.sort_values(["trial_id", "epoch"]).to_dict("list")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, file):
    storage = tmp_path_factory.mktemp("whole")
    outcome = run(file, storage, **OPTIONS)
    assert (outcome.n_complete, outcome.n_stopped, outcome.n_unfinished) == (5, 5, 0)
    return storage / "band"


def test_trials_stop_at_the_rungs_of_their_brackets(whole, file):
    df = analysis.load(whole).set_index("trial_id")
    assert df["epochs"].value_counts().to_dict() == N_BY_EPOCH
    assert set(df.loc[df["epochs"] < 4, "status"]) == {"stopped"}
    assert set(df.loc[df["epochs"] == 4, "status"]) == {"complete"}
    history = analysis.load_history(whole).set_index(["trial_id", "epoch"])["val_acc"]
    rule = hyperband_of(configs_of(file), StoppingOptions("hyperband", reduction_factor=2))
    for trial in rule.brackets[0]:
        better = sum(history[other, 1] > history[trial, 1] for other in rule.brackets[0])
        assert better < 2 or df.loc[trial, "epochs"] == 1
    reason = df.loc[df["epochs"] == 1, "error"].iloc[0]
    assert reason.endswith(" at epoch 1 is not among the best 2 of 4 in its bracket")


def configs_of(file):
    return [with_absolute_data_dir(config) for config in load_experiment(file).configs()]


def test_packs_decide_as_single_trials_do(whole, file, tmp_path):
    run(file, tmp_path, pack=4, **OPTIONS)
    assert content(tmp_path / "band") == content(whole)


class Killed(BaseException):
    """The end of a process."""


@pytest.mark.parametrize(("n_steps", "pack"), [(2, "off"), (9, "off"), (20, "off"), (3, 3), (7, 3)])
def test_a_killed_run_ends_as_one_that_was_not(n_steps, pack, whole, file, tmp_path, monkeypatch):
    whole_step, left = PackTraining.step, [n_steps]

    def step(self):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return whole_step(self)

    monkeypatch.setattr(PackTraining, "step", step)
    try:
        run(file, tmp_path, pack=pack, **OPTIONS)
    except Killed:
        df = analysis.load(tmp_path / "band")
        assert "incomplete" in set(df["status"])
    monkeypatch.setattr(PackTraining, "step", whole_step)
    run(file, tmp_path, pack=pack, **OPTIONS)
    assert content(tmp_path / "band") == content(whole)


@pytest.mark.faults
def test_a_process_that_dies_leaves_what_the_same_command_finishes(whole, file, tmp_path):
    code = (
        "import os, sys\nfrom dynsparse.tune import run\nfrom dynsparse.tune.pack_training import PackTraining\n"
        "step, left = PackTraining.step, [8]\n"
        "def dying(self):\n    left[0] -= 1\n    return step(self) if left[0] else os._exit(9)\n"
        "PackTraining.step = dying\n"
        f"run({str(file)!r}, sys.argv[1], **{OPTIONS})"
    )
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ, capture_output=True, text=True)
    assert died.returncode == 9, died.stderr
    [line] = follow(str(tmp_path / "band"))
    assert line.endswith("the process has died; rerun the same command to resume")
    run(file, tmp_path, **OPTIONS)
    assert content(tmp_path / "band") == content(whole)


def test_trials_that_have_arrived_pause_again_when_their_pack_is_resumed(file, tmp_path):
    configs = dict(enumerate(configs_of(file)[:3]))
    for config in configs.values():
        TrialFolder(open_folder(str(tmp_path / folder_name(config)))).create(config, {})
    options = WorkerOptions(str(tmp_path), checkpoint_epochs=5, last_row=2)
    pack = PackTraining(configs, options)
    reports = [pack.step(), pack.step()]
    assert [report.done for report in reports] == [False, True]
    again = PackTraining(configs, options).step()
    for report in (reports[1], again):
        assert report.done and all(each.paused and not each.is_complete for each in report.trials.values())
    further = PackTraining(configs, replace(options, last_row=None))
    while not (report := further.step()).done:
        assert {each.n_rows for each in report.trials.values()} == {3}
    assert all(each.is_complete and each.n_rows == 4 for each in report.trials.values())


def test_a_round_that_lost_a_process_keeps_its_counts(file):
    configs = configs_of(file)
    states = [State.COMPLETE, State.STOPPED, State.FAILED, State.STARTED, State.NEW]
    pairs = zip(configs[:5], states, strict=True)
    status = GridStatus([TrialStatus(config, state, None, None, []) for config, state in pairs], [])
    round_ = Round(configs[:5], [1, 2, 3, 4, 5], n_complete=1, n_stopped=2, n_waiting=3, last_row=6, later_rows=7)
    left = round_.left(status)
    assert (left.trials, left.n_rows) == (configs[3:5], [4, 5])
    assert (left.n_complete, left.n_stopped, left.n_waiting, left.last_row, left.later_rows) == (2, 3, 3, 6, 7)
    assert (round_.n_trials, left.n_trials) == (11, 10), "the trial that failed is not among them"


@pytest.mark.faults
def test_ray_decides_as_one_process_does(file, tmp_path):
    short = {"overrides": {"epochs": [2]}, "scheduler": "hyperband", "reduction_factor": 2, "pack": 10}
    outcome = run(file, tmp_path, cpus_per_trial=1, **short)
    assert (outcome.n_complete, outcome.n_stopped, outcome.n_unfinished) == (7, 3, 0)
    run(file, tmp_path, name="alone", in_process=True, **short)
    assert content(tmp_path / "band") == content(tmp_path / "alone")


def test_the_command_shows_rounds_and_counts_over_them(whole, file, tmp_path):
    words = ["run", str(file), "--in-process", "--scheduler", "hyperband", "--reduction-factor", "2", "--storage"]
    result = invoke(*words, str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "5 trials complete in" in result.stdout and "5 trials stopped early" in result.stdout
    lines = result.stderr.splitlines()
    assert [line for line in lines if " until epoch " in line] == [
        "training 4 trials until epoch 1", "training 5 trials until epoch 2", "training 5 trials until epoch 4",
    ]  # fmt: skip
    counts = [line.partition(" left")[0].rpartition(", 0:")[0] or line for line in lines if " 0 running" in line]
    assert counts[:2] == ["0 of 10 trials done, 0 running", "0 of 10 trials done, 0 running, 2 stopped early"]
    assert counts[2].startswith("5 of 10 trials done, 0 running, 5 stopped early, best val_acc")
    assert next(follow(str(tmp_path / "band"))).endswith(": ended")
    assert "10 trials: 5 complete, 5 stopped early" in invoke(*words, str(tmp_path)).stderr
    assert content(tmp_path / "band") == content(whole)


def test_a_trial_that_lacks_only_its_mark_of_completion_gets_it(whole, file, tmp_path):
    shutil.copytree(whole, tmp_path / "band")
    for path in (tmp_path / "band").glob("trial_*/complete.json"):
        path.unlink()
    assert run(file, tmp_path, **OPTIONS).n_complete == 5
    assert content(tmp_path / "band") == content(whole)


def test_a_first_round_does_not_look_like_a_finished_run(file, tmp_path, monkeypatch):
    whole_step, left = PackTraining.step, [4]

    def step(self):
        if left[0] == 0:
            raise OSError("the storage has gone")
        left[0] -= 1
        return whole_step(self)

    monkeypatch.setattr(PackTraining, "step", step)
    words = ["run", str(file), "--in-process", "--scheduler", "hyperband", "--reduction-factor", "2", "--storage"]
    result = invoke(*words, str(tmp_path))
    # All four trials of the first bracket have arrived, and two of them go on.
    assert result.exit_code == 1
    assert "0 trials complete" in result.stdout and "8 trials not finished" in result.stdout
    assert next(follow(str(tmp_path / "band"))).endswith("stopped; rerun the same command to resume")
    statuses = analysis.load(tmp_path / "band")["status"].value_counts().to_dict()
    assert statuses == {"stopped": 2, "incomplete": 5}


def test_without_a_scheduler_all_trials_train_to_their_end_as_they_would_have(whole, file, tmp_path):
    run(file, tmp_path, **OPTIONS)
    assert run(file, tmp_path, in_process=True).n_complete == 10
    run(file, tmp_path, in_process=True, name="plain")
    assert content(tmp_path / "band") == content(tmp_path / "plain")


def grouped(n_seeds):
    seeds = {"seed": ray_tune.grid_search(list(range(n_seeds)))}
    space = {"dataset_name": "digits", "model": "SET", "hidden_sizes": [10], "batch_size": 128, "val_fraction": 0.2,
             "test_noise": False, "learning_rate": ray_tune.grid_search([0.2, 1e-6, 0.1, 1e-3, 0.4])}  # fmt: skip
    return Experiment("band", "Which rate?", {**space, **seeds}, epochs=2)


def test_seeds_of_a_setting_go_on_together_and_failed_ones_do_not_hold_the_others_up(tmp_path):
    outcome = run(grouped(2), tmp_path, group_by="seed", **OPTIONS)
    df = analysis.load(tmp_path / "band")
    assert (df.groupby("learning_rate")["status"].nunique() == 1).all()
    assert (outcome.n_complete, outcome.n_stopped) == (6, 4), "brackets of 3 and 2 settings"
    # A trial of a setting that had been stopped is lost, and has failed before it trained.
    lost = df[df["status"] == "stopped"].iloc[0]
    folder = tmp_path / "band" / lost["trial_dir"]
    for name in ("result.json", "progress.csv", "stopped.json"):
        (folder / name).unlink()
    TrialFolder(open_folder(str(folder))).fail("Error: lost")
    again = run(grouped(2), tmp_path, group_by="seed", **OPTIONS)
    assert (again.n_complete + again.n_stopped, len(again.failures)) == (9, 1)
    retried = run(grouped(2), tmp_path, group_by="seed", retry_failed=True, **OPTIONS)
    assert (retried.n_complete, retried.n_stopped, retried.failures) == (outcome.n_complete, outcome.n_stopped, [])


def test_more_trials_extend_the_brackets(tmp_path):
    run(grouped(1), tmp_path, **OPTIONS)
    outcome = run(grouped(2), tmp_path, **OPTIONS)
    assert outcome.n_complete + outcome.n_stopped == 10 and outcome.n_unfinished == 0
    fresh = run(grouped(2), tmp_path, name="fresh", **OPTIONS)
    stopped = {name: set(df.loc[df["status"] == "stopped", "trial_id"]) for name, df in (
        (name, analysis.load(tmp_path / name)) for name in ("band", "fresh"))}  # fmt: skip
    # Trials that the smaller grid has trained to their end stay complete.
    assert stopped["band"] <= stopped["fresh"] and outcome.n_complete >= fresh.n_complete


class Ends(ray_tune.Callback):
    """Notes the status with which each trial ends."""

    def __init__(self):
        self.statuses = {}

    def on_trial_complete(self, iteration, trials, trial, **info):
        assert trial.trial_id not in self.statuses
        self.statuses[trial.trial_id] = trial.status


def test_callbacks_see_a_trial_that_stops_between_two_rounds_end(tmp_path):
    ends = Ends()
    outcome = run(grouped(1), tmp_path, callbacks=[ends], **OPTIONS)
    assert outcome.n_stopped == 2
    assert list(ends.statuses.values()) == ["TERMINATED"] * 5


def test_a_full_disk_between_two_rounds_ends_the_run_and_the_same_command_resumes_it(tmp_path, monkeypatch, capsys):
    whole_stop = TrialFolder.stop

    def full(self, reason):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "stopped.json")

    monkeypatch.setattr(TrialFolder, "stop", full)
    outcome = run(grouped(1), tmp_path, **OPTIONS)
    assert (outcome.n_complete, outcome.n_stopped, outcome.n_unfinished) == (0, 0, 5)
    assert "the run ends: [Errno 28] No space left on device: 'stopped.json'" in capsys.readouterr().err
    monkeypatch.setattr(TrialFolder, "stop", whole_stop)
    again = run(grouped(1), tmp_path, **OPTIONS)
    assert (again.n_complete, again.n_stopped, again.n_unfinished) == (3, 2, 0)


def test_other_grids_and_searchers_are_refused(file, tmp_path):
    space = {"dataset_name": "digits", "model": "SET", "epochs": ray_tune.grid_search([4, 8])}
    with pytest.raises(ExperimentError, match=r"^scheduler='hyperband' needs trials of equally many epochs, got 4, 8"):
        run(Experiment("band", "Which?", space), tmp_path, **OPTIONS)
    with pytest.raises(ExperimentError, match=r"^scheduler='hyperband' needs epochs of at least grace \* reduction"):
        run(file, tmp_path, grace=3, **OPTIONS)
    drawn = {**space, "epochs": 4, "on_perc": ray_tune.uniform(0.1, 0.5)}
    with pytest.raises(ExperimentError, match=r"^scheduler='hyperband' must not be given with searcher='optuna'"):
        run(Experiment("band", "Which?", drawn), tmp_path, searcher="optuna", **OPTIONS)
    assert not list(Path(tmp_path).iterdir())


def test_rows_that_are_lost_at_the_end_of_a_round_are_written_again(tmp_path, file, whole):
    shutil.copytree(whole, tmp_path / "band")
    for mark in (tmp_path / "band").glob("*/stopped.json"):
        rows = mark.with_name("result.json")
        rows.write_bytes(rows.read_bytes()[:-20])
    outcome = run(file, tmp_path, **OPTIONS)
    assert (outcome.n_complete, outcome.n_stopped, outcome.n_unfinished) == (5, 5, 0)
    assert content(tmp_path / "band") == content(whole)
