"""Real trials on a real Ray: what the folders hold is what a Trainer gives, whatever the neighbours do."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import ray
import torch
from ray import tune as ray_tune

import analysis
from dynsparse import tune
from dynsparse.config import Config
from dynsparse.data import DataError
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.training import Trainer
from dynsparse.tune import launch
from dynsparse.tune.trainable import STATE_FILE

pytestmark = pytest.mark.ray
SMALL = dict(dataset_name="digits", hidden_sizes=[20], batch_size=64, kwinners=True)


@pytest.fixture(scope="module")
def a_ray():
    """One Ray for the module; `run` uses the Ray that is there."""
    launch._start_ray("local")
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def rows_of(config: Config) -> list[dict[str, float]]:
    """What a Trainer of its own logs for a trial."""
    trainer = Trainer([config])
    return [trainer.train_epoch()[0] for _ in range(config.epochs)]


def assert_equal_rows(found: list[dict], expected: list[dict]) -> None:
    """Bit for bit, NaN equal to NaN."""
    assert len(found) == len(expected)
    for row, numbers in zip(found, expected, strict=True):
        for name, number in numbers.items():
            assert row[name] == number or (math.isnan(row[name]) and math.isnan(number)), name


def test_a_grid_ends_in_folders_with_the_numbers_of_each_trial_alone(a_ray, tmp_path, capsys):
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
        assert Config.of(params) == launch.launched(config)
        rows = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
        pids |= {row["pid"] for row in rows}
        assert [row["done"] for row in rows] == [False, False, True]
        assert_equal_rows(rows, rows_of(config))
        assert len(pd.read_csv(folder / "progress.csv")) == 3
    assert len(pids) < 6, "actors were reused"

    df = analysis.load(tmp_path / "grid")
    assert len(df) == 6 and set(df["status"]) == {"complete"} and set(df["epochs"]) == {3}
    assert len(analysis.load_history(tmp_path / "grid")) == 18


def test_a_trial_that_fails_leaves_the_others_and_is_named(a_ray, tmp_path):
    # With three weights a layer soon has no negative one left, where the 2019 rules ended.
    legacy = dict(rules="legacy_2019", hidden_sizes=[3], on_perc=0.1, kwinners=False, hebbian_prune_perc=0.0)
    space = dict(dataset_name="digits", weight_prune_perc=0.9, arm=ray_tune.grid_search([dict(model="SET"), legacy]))
    experiment = Experiment("fails", "?", space, epochs=4)
    outcome = tune.run(experiment, tmp_path)
    assert (outcome.n_complete, outcome.n_unfinished) == (1, 0)
    [failure] = outcome.failures
    assert "no positive or no negative weight left" in failure.error
    assert failure.values["rules"] == "legacy_2019"
    df = analysis.load(outcome.path).set_index("rules")
    assert df["status"].to_dict() == {"fixed": "complete", "legacy_2019": "error"}
    assert "no positive or no negative weight left" in df["error"]["legacy_2019"]


def test_a_folder_with_results_is_left_alone(a_ray, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "anything").write_text("mine")
    with pytest.raises(ExperimentError, match=r"used already holds results; give this run another --name"):
        tune.run(Experiment("used", "?", SMALL, epochs=1), tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["used", "anything"]


def test_more_cpus_than_there_are(a_ray, tmp_path):
    with pytest.raises(ExperimentError, match=r"a trial asks for 1000 CPUs and there are \d+; lower --cpus-per-trial"):
        tune.run(Experiment("e", "?", SMALL), tmp_path, cpus_per_trial=1000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("cuda", 0, "device='cuda', but no GPU is set aside for a trial; give --gpus-per-trial"),
        ("cpu", 0.5, "a GPU is set aside for each trial, but device='cpu'; give --set device=cuda"),
    ],
)
def test_the_device_and_the_gpus_set_aside_agree(tmp_path, device, gpus, message):
    with pytest.raises(ExperimentError, match=message):
        tune.run(Experiment("e", "?", dict(SMALL, device=device)), tmp_path, gpus_per_trial=gpus)
    assert not list(tmp_path.iterdir())


def test_a_storage_that_cannot_be_written(a_ray, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match=r"the storage .*file/e cannot be (read|written): "):
        tune.run(Experiment("e", "?", SMALL), tmp_path / "file")


def test_a_missing_data_set_is_refused_before_ray_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_start_ray", lambda address: pytest.fail("Ray was started"))
    (tmp_path / "file").touch()
    space = dict(dataset_name="KMNIST", data_dir=str(tmp_path / "file"))
    with pytest.raises(DataError, match="KMNIST"):
        tune.run(Experiment("e", "?", space), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_relative_data_folders_are_made_absolute_for_the_workers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DYNSPARSE_DATA_DIR", raising=False)
    assert launch.launched(Config()).data_dir is None
    assert launch.launched(Config(data_dir="sets")).data_dir == str(tmp_path / "sets")
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", "from_environment")
    assert launch.launched(Config()).data_dir == str(tmp_path / "from_environment")
    assert launch.launched(Config(data_dir="sets")).data_dir == str(tmp_path / "sets")


@pytest.mark.parametrize(
    "other",
    [
        dict(model="GMP", seed=3, kwinners=False, batch_norm=True, dropout=0.2),
        dict(model="DSNNMixedHeb", rules="legacy_2019", kwinners=False, seed=1),
        dict(hidden_sizes=[30, 10], optim_alg="Adam", learning_rate=0.001, model="SNFS"),
    ],
    ids=["GMP", "legacy", "Adam"],
)
def test_a_reused_trainable_equals_a_fresh_one(other):
    first, second = Config.of({**SMALL, "epochs": 3, **other}), Config.of({**SMALL, "epochs": 3, "seed": 5})
    reused = tune.SparseTrial(first.values())
    reused.train()
    assert reused.reset_config(second.values()) is True
    assert_equal_rows([reused.train() for _ in range(3)], rows_of(second))


def test_a_trial_continues_from_its_checkpoint_bit_for_bit(tmp_path):
    config = Config.of({**SMALL, "epochs": 4, "model": "SNFS"})
    undisturbed = rows_of(config)
    trial = tune.SparseTrial(config.values())
    for _ in range(2):
        trial.train()
    trial.save_checkpoint(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]
    later = tune.SparseTrial(config.values())
    later.load_checkpoint(str(tmp_path))
    rows = [later.train() for _ in range(2)]
    assert_equal_rows(rows, undisturbed[2:])
    assert [row["done"] for row in rows] == [False, True]


def test_a_run_of_its_own_starts_and_ends_a_ray(tmp_path):
    if ray.is_initialized():
        ray.shutdown()
    outcome = tune.run(
        Experiment("alone", "?", dict(SMALL, seed=ray_tune.grid_search([0, 1])), epochs=1), tmp_path, limit=1
    )
    assert outcome.n_complete == 1
    assert not ray.is_initialized()
    assert Path(outcome.path).is_dir()
