"""Real trials on a real Ray: what the folders hold is what a Trainer gives, whatever the neighbours do."""

import doctest
import json
import math
import socket
from pathlib import Path

import pandas as pd
import pytest
import ray
import torch
from ray import tune as ray_tune
from ray.tune import ExperimentAnalysis, ResultGrid
from support.packed_trials import begin

import analysis
from dynsparse import tune
from dynsparse.config import Config
from dynsparse.data.download import DataError
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.methods import METHODS
from dynsparse.results.trial_folder import folder_name
from dynsparse.training.trainer import Trainer
from dynsparse.tune import ray_session
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.preflight import with_absolute_data_dir
from dynsparse.tune.trainable import SparseTrial

pytestmark = pytest.mark.ray
SMALL = dict(dataset_name="digits", hidden_sizes=[20], batch_size=64, kwinners=True)


@pytest.fixture(scope="module")
def local_ray():
    """One Ray for the module; `run` uses the Ray that is there."""
    ray_session.start_ray("local")
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trainable_of(path, **options):
    """The trainable of a run, as Tune makes it, without Ray."""

    class Trial(SparseTrial):
        def setup(self, config):
            begin(path, config)
            super().setup(config, WorkerOptions(str(path), **options))

    return Trial


def rows_of(config: Config) -> list[dict[str, float]]:
    """Return the rows that a Trainer logs for a trial alone."""
    trainer = Trainer([config])
    return [trainer.step()[0] for _ in range(config.epochs)]


def assert_equal_rows(found: list[dict], expected: list[dict]) -> None:
    """Bit for bit, NaN equal to NaN."""
    assert len(found) == len(expected)
    for row, numbers in zip(found, expected, strict=True):
        for name, number in numbers.items():
            assert row[name] == number or (math.isnan(row[name]) and math.isnan(number)), name


def test_a_grid_ends_in_folders_with_the_numbers_of_each_trial_alone(local_ray, tmp_path, capsys):
    space = dict(SMALL, on_perc=ray_tune.grid_search([0.3, 0.6]), seed=ray_tune.grid_search([0, 1, 2]))
    experiment = Experiment("grid", "?", space, epochs=3)
    outcome = tune.run(experiment, tmp_path)
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (6, 0, [])
    assert outcome.path == str(tmp_path / "grid")
    assert "6 of 6 trials done, 0 running, best val_acc" in capsys.readouterr().err

    folders = sorted((tmp_path / "grid").glob("trial_*"))
    configs = {(c.on_perc, c.seed): c for c in experiment.configs()}
    assert len(folders) == len(configs) == 6
    pids = set()
    for folder in folders:
        params = json.loads((folder / "params.json").read_text())
        config = configs.pop((params["on_perc"], params["seed"]))
        assert Config.of(params) == with_absolute_data_dir(config)
        rows = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
        pids |= {row["pid"] for row in rows}
        assert {row["experiment_tag"] for row in rows} == {f"seed={config.seed},on_perc={config.on_perc}"}
        assert {row["trial_id"] for row in rows} == {folder.name.removeprefix("trial_")}
        assert [row["done"] for row in rows] == [False, False, True]
        assert_equal_rows(rows, rows_of(config))
        assert len(pd.read_csv(folder / "progress.csv")) == 3
    assert len(pids) < 6, "actors were reused"

    df = analysis.load(tmp_path / "grid")
    assert len(df) == 6 and set(df["status"]) == {"complete"} and set(df["epochs"]) == {3}
    assert len(analysis.load_history(tmp_path / "grid")) == 18


def test_rays_own_result_grid_reads_the_folder_and_tunes_callbacks_are_called(local_ray, tmp_path):
    class Notes(ray_tune.Callback):
        """It is told of each row and of each end."""

        def __init__(self):
            self.rows, self.ends = [], []

        def on_trial_result(self, iteration, trials, trial, result, **info):
            self.rows.append((result["config"]["seed"], result["training_iteration"], result["val_acc"]))

        def on_trial_complete(self, iteration, trials, trial, **info):
            self.ends.append(trial.config["seed"])

    experiment = Experiment("grid", "?", dict(SMALL, seed=ray_tune.grid_search([0, 1, 2])), epochs=3)
    notes = Notes()
    path = tune.run(experiment, tmp_path, callbacks=[notes], tensorboard=True).path
    history = analysis.load_history(path)
    assert sorted(notes.ends) == [0, 1, 2]
    assert sorted(notes.rows) == sorted(zip(history["seed"], history["epoch"], history["val_acc"], strict=True))
    assert len(list(Path(path).glob("trial_*/events.out.tfevents.*"))) == 3

    grid = ResultGrid(ExperimentAnalysis(path))
    assert len(grid) == 3 and not grid.errors
    for result in grid:
        ours = history[history["seed"] == result.config["seed"]]
        frame = result.metrics_dataframe
        assert list(frame["training_iteration"]) == [1, 2, 3]
        assert list(frame["val_acc"]) == list(ours["val_acc"])
        assert result.metrics["val_acc"] == list(ours["val_acc"])[-1]


def test_a_trial_that_fails_leaves_the_others_and_is_named(tmp_path):
    # With three weights a layer soon has no negative one left, where the 2019 rules ended.
    legacy = dict(rules="legacy_2019", hidden_sizes=[3], on_perc=0.1, kwinners=False, hebbian_prune_perc=0.0)
    space = dict(dataset_name="digits", weight_prune_perc=0.9, arm=ray_tune.grid_search([dict(model="SET"), legacy]))
    experiment = Experiment("fails", "?", space, epochs=4)
    outcome = tune.run(experiment, tmp_path, in_process=True)
    assert (outcome.n_complete, outcome.n_unfinished) == (1, 0)
    [failure] = outcome.failures
    assert "no positive or no negative weight left" in failure.error
    assert failure.values["rules"] == "legacy_2019"
    df = analysis.load(outcome.path).set_index("rules")
    assert df["status"].to_dict() == {"fixed": "complete", "legacy_2019": "error"}
    assert "no positive or no negative weight left" in df["error"]["legacy_2019"]


def test_the_same_run_again_goes_on_where_it_was(tmp_path, capsys):
    experiment = Experiment("again", "?", dict(SMALL, seed=ray_tune.grid_search([0, 1, 2])), epochs=2)
    assert tune.run(experiment, tmp_path, limit=2, in_process=True).n_complete == 2
    before = {path: path.read_bytes() for path in (tmp_path / "again").glob("trial_*/*")}
    capsys.readouterr()

    assert tune.run(experiment, tmp_path, in_process=True).n_complete == 3
    assert "3 trials: 2 complete, 1 to run" in capsys.readouterr().err
    assert all(path.read_bytes() == content for path, content in before.items()), "a complete trial is left alone"

    assert tune.run(experiment, tmp_path, overrides={"seed": [2, 7]}, in_process=True).n_complete == 2
    said = capsys.readouterr().err
    assert "2 trials: 1 complete, 1 to run" in said
    assert "2 more trials in the folder are not in the grid; they are left unchanged" in said

    fresh = tune.run(experiment, tmp_path, limit=1, fresh=True, in_process=True)
    assert (Path(fresh.path).name, fresh.n_complete) == ("again-2", 1)


def test_a_failed_trial_runs_again_only_when_asked(tmp_path):
    legacy = dict(rules="legacy_2019", hidden_sizes=[3], on_perc=0.1, hebbian_prune_perc=0.0, weight_prune_perc=0.9)
    experiment = Experiment("fails", "?", dict(legacy, dataset_name="digits"), epochs=4)
    [first] = tune.run(experiment, tmp_path, in_process=True).failures
    folder = tmp_path / "fails" / first.trial
    written = (folder / "failed.json").stat().st_mtime_ns
    [second] = tune.run(experiment, tmp_path, in_process=True).failures
    assert (folder / "failed.json").stat().st_mtime_ns == written
    [third] = tune.run(experiment, tmp_path, retry_failed=True, in_process=True).failures
    assert (folder / "failed.json").stat().st_mtime_ns > written
    assert first == second == third


def test_a_trial_that_only_the_driver_accepts_fails_without_a_retry(local_ray, tmp_path, capsys, monkeypatch):
    # Workers do not see what only this process has registered.
    monkeypatch.setitem(METHODS, "Mine", METHODS["SET"])
    experiment = Experiment("mine", "?", dict(SMALL, model="Mine", seed=ray_tune.grid_search([0, 1])), epochs=1)
    failures = tune.run(experiment, tmp_path).failures
    assert len(failures) == 2
    for failure in failures:
        assert failure.error.startswith(f"ConfigError: The process of the trial, on {socket.gethostname()}, refuses")
        assert "where workers import them. Unknown model 'Mine'." in failure.error
    assert "retry" not in capsys.readouterr().err


def test_the_error_of_what_only_the_experiment_file_registers_names_the_file(local_ray, tmp_path, monkeypatch):
    # The file registers it again; this removes it after the test.
    monkeypatch.setitem(METHODS, "Mine", METHODS["SET"])
    file = tmp_path / "mine.py"
    file.write_text(
        "from dynsparse.experiment import Experiment\n"
        "from dynsparse.methods import METHODS\n"
        'METHODS["Mine"] = METHODS["SET"]\n'
        f'experiment = Experiment("mine", "?", {dict(SMALL, model="Mine")}, epochs=1)\n'
    )
    [failure] = tune.run(file, tmp_path).failures
    assert f"where workers import them, not only in {file}. Unknown model 'Mine'." in failure.error


def test_two_trials_of_one_identity_are_refused(tmp_path):
    message = r"The grid contains the same trial 2 times: the copies differ only in debug_sparse"
    with pytest.raises(ExperimentError, match=message):
        tune.run(Experiment("e", "?", dict(SMALL, debug_sparse=ray_tune.grid_search([True, False]))), tmp_path)
    with pytest.raises(
        ExperimentError, match=r"The grid contains the same trial twice\. Remove the repeated value from its axis"
    ):
        tune.run(Experiment("e", "?", dict(SMALL, seed=ray_tune.grid_search([1, 1]))), tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_cpus_than_there_are(local_ray, tmp_path):
    with pytest.raises(ExperimentError, match=r"A trial asks for 1000 CPUs, and no node has .* Lower --cpus-per-trial"):
        tune.run(Experiment("e", "?", SMALL), tmp_path, cpus_per_trial=1000)
    assert not list(tmp_path.iterdir())


def test_a_first_trial_that_cannot_be_built(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_session, "start_ray", lambda *_: pytest.fail("Ray was started"))
    with pytest.raises(
        ExperimentError, match=r"val_fraction must leave examples for training and for validation, got 0.99999"
    ):
        tune.run(Experiment("e", "?", dict(SMALL, val_fraction=0.99999)), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("cuda", 0, "device='cuda' needs a GPU, but no GPU is reserved. Pass --gpus-per-trial"),
        ("cpu", 0.5, "0.5 GPUs are reserved for each trial, but device='cpu'. Pass --set device=cuda"),
    ],
)
def test_the_device_and_the_gpus_set_aside_agree(tmp_path, device, gpus, message):
    with pytest.raises(ExperimentError, match=message):
        tune.run(Experiment("e", "?", dict(SMALL, device=device)), tmp_path, gpus_per_trial=gpus)
    assert not list(tmp_path.iterdir())


def test_a_storage_that_cannot_be_written(local_ray, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match=r"The storage .*file/e cannot be (read|written): "):
        tune.run(Experiment("e", "?", SMALL), tmp_path / "file")


def test_a_missing_data_set_is_refused_before_ray_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_session, "start_ray", lambda *_: pytest.fail("Ray was started"))
    (tmp_path / "file").touch()
    space = dict(dataset_name="KMNIST", data_dir=str(tmp_path / "file"))
    with pytest.raises(DataError, match="KMNIST"):
        tune.run(Experiment("e", "?", space), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_relative_data_folders_are_made_absolute_for_the_workers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DYNSPARSE_DATA_DIR", raising=False)
    assert with_absolute_data_dir(Config()).data_dir is None
    assert with_absolute_data_dir(Config(data_dir="sets")).data_dir == str(tmp_path / "sets")
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", "from_environment")
    assert with_absolute_data_dir(Config()).data_dir == str(tmp_path / "from_environment")
    assert with_absolute_data_dir(Config(data_dir="sets")).data_dir == str(tmp_path / "sets")


@pytest.mark.parametrize(
    "other",
    [
        dict(model="GMP", seed=3, kwinners=False, batch_norm=True, dropout=0.2),
        dict(model="DSNNMixedHeb", rules="legacy_2019", kwinners=False, seed=1),
        dict(hidden_sizes=[30, 10], optim_alg="Adam", learning_rate=0.001, model="SNFS"),
    ],
    ids=["GMP", "legacy", "Adam"],
)
def test_a_reused_trainable_equals_a_fresh_one(other, tmp_path):
    first, second = Config.of({**SMALL, "epochs": 3, **other}), Config.of({**SMALL, "epochs": 3, "seed": 5})
    trainable = trainable_of(tmp_path)
    reused = trainable(first.values())
    reused.train()
    assert reused.reset_config(second.values()) is True
    assert_equal_rows([reused.train() for _ in range(3)], rows_of(second))


@pytest.mark.parametrize("epochs_before", [0, 1, 2, 3, 4, 5])
def test_a_trial_continues_from_its_folder_bit_for_bit(tmp_path, epochs_before):
    config = Config.of({**SMALL, "epochs": 5, "model": "SNFS"})
    trainable = trainable_of(tmp_path, checkpoint_epochs=2)
    trial = trainable(config.values())
    for _ in range(epochs_before):
        trial.train()
    folder = tmp_path / folder_name(config)
    before = (folder / "result.json").read_bytes() if epochs_before else b""

    later = trainable(config.values())
    rows = []
    while not rows or not rows[-1]["done"]:
        rows.append(later.train())
    # What ran again ran from the last checkpoint, of an even epoch or the last one.
    assert len(rows) == 5 - epochs_before // 2 * 2 if epochs_before < 5 else len(rows) == 1
    lines = (folder / "result.json").read_bytes().splitlines(keepends=True)
    assert_equal_rows([json.loads(line) for line in lines], rows_of(config))
    assert b"".join(lines).startswith(before), "a row that a reader may have seen is never written again"
    assert (folder / "complete.json").exists()


@pytest.mark.faults
def test_the_example_of_run_starts_and_ends_a_ray_of_its_own():
    if ray.is_initialized():
        ray.shutdown()
    [examples] = doctest.DocTestFinder(recurse=False).find(tune.run, "run", globs={})
    results = doctest.DocTestRunner().run(examples)
    assert (results.failed, results.attempted) == (0, 7)
    assert not ray.is_initialized()
