"""Weights & Biases (offline), MLflow (in a database) and TensorBoard hold one run for each trial, also of packs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import wandb
from mlflow import MlflowClient
from ray import tune as ray_tune
from ray.tune import Callback
from support.event_files import scalars
from support.packed_trials import SMALL
from support.wandb_files import offline_runs

import analysis
from dynsparse import tune
from dynsparse.config import Config
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import TrialFolder, folder_name, identity
from dynsparse.tune.interrupts import Interrupts
from dynsparse.tune.options import RunOptions
from dynsparse.tune.reports import TrialReport
from dynsparse.tune.trackers import TrackerThread, metrics_of, mlflow_name, trackers_of
from dynsparse.tune.trial_events import TrialEvents

CONFIGS = [Config.of(dict(SMALL, seed=seed)) for seed in range(3)]


@pytest.fixture(scope="module", autouse=True)
def in_wandb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which W&B keeps its runs. A process keeps its first one."""
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WANDB_MODE", "offline")
        environment.setenv("WANDB_DIR", str(folder))
        wandb.teardown()
        yield folder
        wandb.teardown()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder for what the trackers write there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs_in_mlflow(uri: str, experiment: str) -> tuple[MlflowClient, dict[str, Any]]:
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return client, {run.info.run_name: run for run in runs}


def test_a_pack_is_one_run_for_each_trial_in_all_three(folder: Path, in_wandb: Path) -> None:
    space = dict(SMALL, engine="torch", noise_levels=[0.25], seed=ray_tune.grid_search([0, 1, 2]))
    experiment = Experiment("first", "?", space, epochs=2)
    uri = f"sqlite:///{folder}/mlflow.db"
    outcome = tune.run(
        experiment, folder, in_process=True, pack=3, wandb="demo", mlflow=uri, tensorboard=True, quiet=True
    )
    assert outcome.n_complete == 3
    history = analysis.load_history(outcome.path)
    runs = {run.name: run for run in offline_runs(in_wandb, "demo")}
    client, in_mlflow = runs_in_mlflow(uri, "first")
    assert set(runs) == set(in_mlflow) == {folder_name(config) for config in experiment.configs()}
    for config in experiment.configs():
        name, values = folder_name(config), history[history["seed"] == config.seed]
        accuracies = dict(zip(values["epoch"], values["val_acc"], strict=True))
        noisy = dict(zip(values["epoch"], values["noise_acc@0.25"], strict=True))

        run = runs[name]
        assert (run.id, run.project, run.group) == (f"first-{identity(config)}", "demo", "first")
        assert (run.config["seed"], run.config["on_perc"]) == (config.seed, 0.3)
        assert run.metric("val_acc") == accuracies and run.metric("noise_acc@0.25") == noisy
        assert run.exit_code == 0

        logged = in_mlflow[name]
        assert logged.info.status == "FINISHED"
        assert (logged.data.params["seed"], logged.data.params["model"]) == (str(config.seed), "SET")
        for metric, expected in (("val_acc", accuracies), ("noise_acc/0.25", noisy)):
            points = client.get_metric_history(logged.info.run_id, metric)
            assert {point.step: point.value for point in points} == expected
        assert not {"pid", "timestamp", "done", "training_iteration"} & logged.data.metrics.keys()

        [file] = (folder / "first" / name).glob("events.out.tfevents.*")
        assert scalars(file, "ray/tune/val_acc") == pytest.approx(accuracies)


# Without training: trials that resume or fail


def row(config: Config, n_rows: int, *, done: bool = False) -> TrialReport:
    numbers = {"val_acc": n_rows / 10, "train_loss": float("nan"), "training_iteration": n_rows, "timestamp": n_rows}
    return TrialReport(n_rows, done, {**numbers, "done": done, "date": "today", "trial_id": identity(config)})


def follow(options: RunOptions, folder: Path, reports: Sequence[tuple[Config, TrialReport]]) -> None:
    """Do what a run does with some reports of its trials."""
    with TrialEvents([], trackers_of(options, "e"), CONFIGS, open_folder(str(folder / "e")), Interrupts()) as events:
        for config in dict.fromkeys(config for config, _ in reports):
            events.start(config)
        for config, report in reports:
            events.report(config, report)


def test_a_trial_that_resumes_continues_its_run(folder: Path, in_wandb: Path) -> None:
    uri, (first, second, third) = f"sqlite:///{folder}/mlflow.db", CONFIGS
    options = RunOptions(wandb="resumed", mlflow=uri)
    failed = TrialReport(1, done=True, error="TrialError: bad")
    follow(options, folder, [(first, row(first, 1)), (first, row(first, 2)), (second, failed)])
    _, runs = runs_in_mlflow(uri, "e")
    assert [runs[folder_name(each)].info.status for each in (first, second)] == ["KILLED", "FAILED"]
    before = offline_runs(in_wandb, "resumed")
    assert sorted(run.exit_code for run in before) == [1, 1]
    assert [run.id for run in before if run.is_preempting] == [f"e-{identity(first)}"]

    # From the checkpoint after the first epoch. The rows are in the trial's folder.
    trial = TrialFolder(open_folder(str(folder / "e" / folder_name(first))))
    trial.create(first, {})
    for n in (1, 2):
        trial.append(row(first, n).row)
    again = [(first, row(first, n, done=n == 4)) for n in (2, 3, 4)]
    follow(options, folder, [*again, (third, row(third, 4, done=True))])
    client, runs = runs_in_mlflow(uri, "e")
    assert {runs[folder_name(each)].info.status for each in (first, third)} == {"FINISHED"}
    points = client.get_metric_history(runs[folder_name(first)].info.run_id, "val_acc")
    assert [(point.step, point.value) for point in points] == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    # Offline, each run of the command leaves a file. The last one holds everything.
    after = [run for run in offline_runs(in_wandb, "resumed") if run.id == f"e-{identity(first)}"]
    assert [run.metric("val_acc") for run in after] == [{1: 0.1, 2: 0.2}, {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}]


def test_a_tracker_that_fails_does_not_end_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Fails(Callback):
        n_called = 0

        def on_trial_result(self, *args: Any, **info: Any) -> None:
            self.n_called += 1
            raise ConnectionError("no route to host")

    fails = Fails()
    with TrialEvents(
        [], [TrackerThread("mlflow", "x", fails)], CONFIGS, open_folder(str(folder)), Interrupts()
    ) as events:
        events.report(CONFIGS[0], row(CONFIGS[0], 1))
        events.report(CONFIGS[0], row(CONFIGS[0], 2))
    assert fails.n_called == 1
    said = capsys.readouterr().err
    assert "warning: mlflow has failed, and the run continues without it: ConnectionError: no route to host" in said


# Bad input


@pytest.mark.parametrize(
    ("options", "module", "message"),
    [
        ({"wandb": "demo"}, "wandb", "wandb needs the package wandb. Install it: pip install wandb"),
        ({"mlflow": "sqlite:///x.db"}, "mlflow", "mlflow needs the package mlflow. Install it: pip install mlflow"),
        ({"tensorboard": True}, "tensorboardX", "tensorboard needs the package tensorboardX. Install it: pip"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], module: str, message: str
) -> None:
    # So Python records a module that cannot be imported.
    monkeypatch.setitem(sys.modules, module, None)
    experiment = Experiment("first", "?", dict(SMALL, engine="torch"), epochs=1)
    with pytest.raises(ExperimentError, match=message):
        tune.run(experiment, folder, in_process=True, **options)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("uri", ["carrier://pigeon", "http://127.0.0.1:9"])
def test_a_server_that_cannot_be_used_is_refused_before_the_first_trial(folder: Path, uri: str) -> None:
    experiment = Experiment("first", "?", dict(SMALL, engine="torch"), epochs=1)
    with pytest.raises(ExperimentError, match=f"^mlflow='{uri}' cannot be used: .*"):
        tune.run(experiment, folder, in_process=True, mlflow=uri)
    assert not list(folder.glob("first/trial_*"))


def test_names_and_numbers() -> None:
    assert [mlflow_name(name) for name in ("val_acc", "corrupted_acc@stripe", "noise_acc@0.1", "a+b(c)")] == [
        "val_acc", "corrupted_acc/stripe", "noise_acc/0.1", "a_b_c_"
    ]  # fmt: skip
    found = metrics_of({"val_acc": 1, "done": True, "pid": 3, "date": "today", "masks": [1, 2], "loss": float("inf")})
    assert found == {"val_acc": 1, "loss": float("inf")}
    assert wandb.__version__ >= "0.24"
