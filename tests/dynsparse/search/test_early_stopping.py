"""Trials that a rule stops: their marks, how a run resumes and continues them, and how they are read."""

import json
import shutil
from pathlib import Path

import pytest
from ray import tune

import analysis
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import State, TrialFolder, identity
from dynsparse.search import Judge, Measurement, StoppingOptions, packs_of
from dynsparse.tune import run

OPTIONS = {"scheduler": "asha", "grace": 1, "reduction_factor": 2}


def experiment(name="early", n_seeds=2, epochs=5):
    space = {
        "dataset_name": "digits",
        "model": "SET",
        "hidden_sizes": [12],
        "batch_size": 64,
        # From good to bad, so that some stop.
        "learning_rate": tune.grid_search([0.2, 0.05, 0.001, 1e-6]),
        "seed": tune.grid_search(list(range(n_seeds))),
        "val_fraction": 0.2,
        "test_noise": False,
    }
    return Experiment(name, "Which rate?", space, epochs=epochs)


def rows_by_trial(folder):
    keep = ["trial_id", "epoch", "val_acc", "train_loss"]
    return analysis.load_history(folder)[keep].sort_values(["trial_id", "epoch"]).reset_index(drop=True)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    storage = tmp_path_factory.mktemp("stopped")
    outcome = run(experiment(), storage, in_process=True, group_by="seed", **OPTIONS)
    return storage / "early", outcome


def test_seeds_of_a_setting_stop_together_and_the_best_go_on(stopped):
    folder, outcome = stopped
    df = analysis.load(folder)
    assert set(df["status"]) == {"complete", "stopped"}
    assert (df.groupby("learning_rate")["status"].nunique() == 1).all()
    assert set(df.loc[df["learning_rate"] == 0.2, "status"]) == {"complete"}, "the first one always goes on"
    assert set(df.loc[df["learning_rate"] == 1e-6, "status"]) == {"stopped"}
    counts = df["status"].value_counts()
    assert (outcome.n_complete, outcome.n_stopped, outcome.n_unfinished) == (counts["complete"], counts["stopped"], 0)


def test_the_reason_and_the_epoch_are_recorded(stopped):
    folder, _ = stopped
    df = analysis.load(folder).set_index("trial_id")
    row = df[df["learning_rate"] == 1e-6].iloc[0]
    assert row["epochs"] == 1
    assert row["error"].endswith(" reach") and "at epoch 1 is below" in row["error"]
    text = analysis.left_out(df.reset_index())
    assert text.startswith(f"left out: {(df['status'] == 'stopped').sum()} stopped early of 8 trials")
    assert analysis.failures(df.reset_index()).empty


def test_statistics_leave_them_out_and_compare_equal_budgets_on_request(stopped):
    folder, _ = stopped
    table = analysis.agg(analysis.load(folder), "learning_rate", "val_acc_last").set_index("learning_rate")
    assert table.loc[1e-6, ["count", "stopped"]].tolist() == [0, 2]
    equal = analysis.agg(analysis.load(folder, at_epoch=1), "learning_rate", "val_acc_last").set_index("learning_rate")
    assert equal["count"].tolist() == [2] * 4
    history = analysis.load_history(folder)
    first = history[history["epoch"] == 1].groupby("learning_rate")["val_acc"].mean()
    assert equal["mean"].tolist() == pytest.approx(first.tolist())
    with pytest.raises(ValueError, match=r"^at_epoch must be a whole number from 1 to 5, the most that a trial has"):
        analysis.load(folder, at_epoch=6)


def test_the_same_command_changes_nothing_and_without_a_rule_all_trials_complete(stopped, tmp_path):
    folder, _ = stopped
    shutil.copytree(folder, tmp_path / "early")
    before = rows_by_trial(tmp_path / "early")
    run(experiment(), tmp_path, in_process=True, group_by="seed", **OPTIONS)
    assert rows_by_trial(tmp_path / "early").equals(before)
    outcome = run(experiment(), tmp_path, in_process=True)
    assert (outcome.n_complete, outcome.n_stopped) == (8, 0)
    # Trials that went on have the rows that they would have had without the stop.
    run(experiment("whole"), tmp_path, in_process=True)
    assert rows_by_trial(tmp_path / "early").equals(rows_by_trial(tmp_path / "whole"))


def test_a_mark_that_does_not_fit_is_not_believed(stopped, tmp_path):
    folder, _ = stopped
    copied = tmp_path / "early"
    shutil.copytree(folder, copied)
    mark = next(copied.glob("*/stopped.json"))
    row = json.loads((mark.parent / "result.json").read_text())
    (mark.parent / "result.json").write_text(json.dumps({**row, "val_acc": 0.99}) + "\n")
    df = analysis.load(copied).set_index("trial_dir")
    assert df.loc[mark.parent.name, "status"] == "incomplete"
    assert TrialFolder(open_folder(str(mark.parent))).state() is State.STARTED


def test_a_killed_run_decides_as_one_that_was_not_killed(stopped, tmp_path):
    # As after a kill between a row of the third setting and its mark: the last setting has not begun.
    folder, _ = stopped
    copied = tmp_path / "early"
    shutil.copytree(folder, copied)
    df = analysis.load(folder)
    for name in df.loc[df["learning_rate"] == 1e-6, "trial_dir"]:
        shutil.rmtree(copied / name)
    for name in df.loc[df["learning_rate"] == 0.001, "trial_dir"]:
        (copied / name / "stopped.json").unlink()
        (copied / name / "checkpoint_000001.pt").unlink()
    run(experiment(), tmp_path, in_process=True, group_by="seed", **OPTIONS)
    assert analysis.load(copied)[["trial_id", "status", "error"]].equals(df[["trial_id", "status", "error"]])
    assert rows_by_trial(copied).equals(rows_by_trial(folder))


def test_the_judge_averages_over_the_trials_of_a_group(tmp_path):
    configs = experiment(n_seeds=2).configs()
    judge = Judge(StoppingOptions("asha", reduction_factor=2, group_by="seed"), configs, open_folder(str(tmp_path)))
    first, second, third, fourth = (identity(config) for config in configs[:4])
    assert judge.judge({first: Measurement(1, 0.5), second: Measurement(1, 0.9)}) == {}
    # The mean 0.6 is below 0.7, although one value is above it.
    stops = judge.judge({third: Measurement(1, 0.8), fourth: Measurement(1, 0.4)})
    assert stops.keys() == {third, fourth}
    assert stops[third].startswith("0.6 at epoch 1 is below 0.7")
    # A group that has been stopped stays so.
    assert judge.judge({third: Measurement(2, 1.0)}) == {third: stops[third]}


def test_the_judge_knows_what_earlier_runs_measured(stopped):
    folder, _ = stopped
    configs = experiment().configs()
    judge = Judge(StoppingOptions("asha", reduction_factor=2, group_by="seed"), configs, open_folder(str(folder)))
    best = analysis.load(folder, at_epoch=1).groupby("learning_rate")["val_acc_last"].mean().max()
    new = identity(configs[0])
    assert judge.judge({new: Measurement(1, best)}) == {}
    stopped_now = [config for config in configs if config.learning_rate == 1e-6]
    assert judge.judge({identity(stopped_now[0]): Measurement(2, 1.0)}) != {}


def test_a_group_is_one_pack_unless_packs_must_be_smaller():
    configs, options = experiment(n_seeds=3).configs(), StoppingOptions("asha", group_by="seed")
    assert packs_of(configs, 1, options) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert packs_of(configs[:4], 1, options, largest_group=2) == [[0, 1], [2], [3]]
    assert packs_of(configs[:2], 1, StoppingOptions("asha")) == [[0], [1]]


@pytest.mark.faults
def test_with_ray_the_trials_stop_too_and_the_command_resumes(tmp_path):
    outcome = run(experiment(epochs=3), tmp_path, cpus_per_trial=1, group_by="seed", **OPTIONS)
    assert outcome.n_complete + outcome.n_stopped == 8 and outcome.n_stopped >= 2
    df = analysis.load(tmp_path / "early")
    assert (df.groupby("learning_rate")["status"].nunique() == 1).all()
    assert set(df["status"]) == {"complete", "stopped"}
    again = run(experiment(epochs=3), tmp_path, cpus_per_trial=1, group_by="seed", **OPTIONS)
    assert (again.n_complete, again.n_stopped) == (outcome.n_complete, outcome.n_stopped)


def test_only_plain_trainings_are_judged(tmp_path):
    sweep = Experiment("sweep", "Which?", {"dataset_name": "digits", "model": "Dense", "study": "sweep"}, epochs=2)
    with pytest.raises(ExperimentError, match=r"^scheduler='asha' is for study='train' only, got 'sweep'"):
        run(sweep, tmp_path, in_process=True, scheduler="asha")


def test_a_rule_that_looks_at_the_test_set_is_a_warning(tmp_path, capsys):
    space = {"dataset_name": "digits", "model": "Dense", "hidden_sizes": [4]}
    run(Experiment("test", "Which?", space, epochs=1), tmp_path, in_process=True, scheduler="median")
    assert (
        "median stops trials by val_acc, which is measured on the test set because val_frac" in capsys.readouterr().err
    )


def test_options_of_a_rule_need_a_rule(tmp_path):
    with pytest.raises(ExperimentError, match=r"^grace needs a rule of early stopping\. Give scheduler='asha'"):
        run(experiment(), tmp_path, in_process=True, grace=2)
    assert not list(Path(tmp_path).iterdir())
