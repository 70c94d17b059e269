"""Runs on own data: tables and functions beside the experiment file, folds, resume, and data that changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
from click.testing import CliRunner
from sklearn.datasets import load_wine
from support.packed_trials import assert_as_alone, begin

import analysis
from dynsparse import tune
from dynsparse.cli import main
from dynsparse.cluster.packaging import StagingError, stage_experiment
from dynsparse.experiment import Experiment, load_experiment
from dynsparse.tune.pack_training import PackTraining
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.ray_session import start_ray

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = """
import numpy as np
import torch
from ray import tune
from torch import nn
from torch.utils.data import TensorDataset
from dynsparse import Experiment


def my_data():
    x = np.arange(480.0).reshape(60, 2, 4) % 7
    return TensorDataset(torch.tensor(x), torch.arange(60) % 3)


def my_net(settings):
    return nn.Sequential(nn.Conv1d(settings.input_shape[0], 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


experiment = Experiment(
    name="own",
    question="Do trials train on data of my own?",
    space=dict(
        data=tune.grid_search([
            dict(dataset_name="wine.csv", target="variety", fold=0),
            dict(dataset_name="wine.csv", target="variety", fold=1),
            dict(dataset_name=my_data, test_fraction=0.2),
            dict(dataset_name=my_data, test_fraction=0.2, network=my_net),
        ]),
        hidden_sizes=[16],
        batch_size=16,
        model="SET",
        on_perc=0.5,
    ),
    epochs=2,
)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "first.py").write_text(FILE)
    loaded = load_wine(as_frame=True)
    loaded.data.assign(variety=loaded.target_names[loaded.target]).to_csv(folder / "wine.csv", index=False)
    return folder


def run(folder: Path, results: Path, **options: Any) -> Experiment:
    experiment = load_experiment(folder / "first.py")
    outcome = tune.run(experiment, results, **options)
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (4, 0, [])
    return experiment


def check_folders(experiment: Experiment, results: Path) -> None:
    configs = experiment.configs()
    for config in configs:
        assert_as_alone(results / "own", config, tolerance=0)
    df = analysis.load(results / "own")
    assert sorted(df["dataset_name"]) == ["first.py:my_data", "first.py:my_data", "wine.csv", "wine.csv"]
    assert {each: df["data_hash"].value_counts()[each] for each in df["data_hash"]} == {
        config.data_hash: 2 for config in configs
    }
    assert df["fold"].value_counts().to_dict() == {0: 1, 1: 1}
    abouts = [json.loads(path.read_text()) for path in (results / "own").glob("trial_*/about.json")]
    data = {tuple(each["data"]["classes"]): each["data"]["data_hash"] for each in abouts}
    assert data == {("class_0", "class_1", "class_2"): configs[0].data_hash, ("0", "1", "2"): configs[2].data_hash}


def test_a_run_in_process_and_its_resume_from_another_folder(folder: Path, tmp_path: Path) -> None:
    check_folders(run(folder, tmp_path, in_process=True), tmp_path)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "own").glob("trial_*/result.json")}
    folder.rename(tmp_path / "moved")
    run(tmp_path / "moved", tmp_path, in_process=True)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_changed_file_makes_other_trials_and_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, tmp_path, in_process=True)
    assert "has changed since" not in capsys.readouterr().err
    table = pd.read_csv(folder / "wine.csv")
    table.loc[3, "alcohol"] += 1
    table.to_csv(folder / "wine.csv", index=False)
    run(folder, tmp_path, in_process=True)
    said = capsys.readouterr().err
    assert "4 trials: 2 complete, 2 to run" in said
    assert "the content of wine.csv has changed since, and with it the key data_hash" in said
    assert len(list((tmp_path / "own").glob("trial_*"))) == 6


@pytest.mark.ray
@pytest.mark.faults
def test_a_run_on_ray(folder: Path, tmp_path: Path) -> None:
    start_ray("local")
    try:
        experiment = run(folder, tmp_path, cpus_per_trial=1)
    finally:
        ray.shutdown()
    check_folders(experiment, tmp_path)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("return x * np.nan, y", "must not have missing values, got some in 8 columns: 'column 0' (60), "),
        ("return x.astype(str), y", "must be an array of numbers, one row for each example, got the type <U"),
        ("return x, y * 0", "must have at least 2 classes, got one: 0."),
        ("return x, y[:9]", "must have as many labels as examples, and at least one, got 60 examples and 9 labels."),
        ("return x, y, x[:, :1], y", "must have examples of one shape"),
        ("return x, y, x[:0], y[:0]", "The test part of"),
        ("return 'MNIST'", "must return (train_x, train_y, test_x, test_y), (x, y), or one or two data sets of torch"),
        ("return x, y / 2", "must be text, integers or booleans, got 0.5."),
        ("1 / 0", "has raised ZeroDivisionError: division by zero."),
    ],
)
def test_bad_data_are_one_error_before_the_first_trial(folder: Path, tmp_path: Path, code: str, message: str) -> None:
    made = "    return TensorDataset(torch.tensor(x), torch.arange(60) % 3)\n"
    text = FILE.replace(made, f"    y = np.arange(60) % 3\n    {code}\n")
    assert text != FILE
    (folder / "first.py").write_text(text)
    result = CliRunner().invoke(main, ["run", str(folder / "first.py"), "--in-process", "--storage", str(tmp_path)])
    assert result.exit_code != 0 and message in result.output and "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit) and not (tmp_path / "own").exists()


def test_labels_that_do_not_start_at_0_train(folder: Path, tmp_path: Path) -> None:
    (folder / "first.py").write_text(FILE.replace("torch.arange(60) % 3)", "torch.arange(60) % 3 * 10 + 7)"))
    run(folder, tmp_path, in_process=True)
    [classes] = {
        tuple(json.loads(path.read_text())["data"]["classes"])
        for path in (tmp_path / "own").glob("trial_*/about.json")
        if "17" in path.read_text()
    }
    assert classes == ("7", "17", "27")


def test_a_job_gets_the_data_in_the_folder_of_its_experiment(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    name = stage_experiment(folder / "first.py", tmp_path / "job", ["wine.csv"])
    shutil.rmtree(folder)
    assert load_experiment(tmp_path / "job" / name).configs()[0].input_size == 13
    with pytest.raises(StagingError, match=r"must be in the folder of first\.py, got '\.\./wine\.csv'\. Move the file"):
        stage_experiment(tmp_path / "job" / name, tmp_path, ["../wine.csv"])
    with (tmp_path / "job" / name).with_name("large.npz").open("wb") as file:
        file.truncate(60_000_000)
    with pytest.raises(StagingError, match=r"must not exceed 50 MB, got 60 MB\. The largest: large\.npz \(60\.0 MB\)"):
        stage_experiment(tmp_path / "job" / name, tmp_path, ["large.npz"])


def test_a_machine_with_other_data_gives_its_trials_back(folder: Path, tmp_path: Path) -> None:
    # Data of this test alone: those of other tests are in the cache of prepared data.
    text = (folder / "wine.csv").read_text()
    (folder / "wine.csv").write_text(text.replace("14.23", "14.4"))
    config = load_experiment(folder / "first.py").configs()[0]
    (folder / "wine.csv").write_text(text.replace("14.23", "14.5"))
    begin(tmp_path, config.values())
    training = PackTraining({0: config}, WorkerOptions(str(tmp_path)))
    report = training.step()
    [trial] = report.trials.values()
    assert report.done and trial.done and not trial.is_complete and trial.error is None
    assert f"must have the hash {config.data_hash} of the trial" in str(trial.interruption)
    assert not list(tmp_path.glob("trial_*/failed.json"))
