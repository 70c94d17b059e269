"""Runs with networks of the user's own: functions in the experiment file, and in files beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import ray
from support.packed_trials import assert_as_alone

import analysis
from dynsparse import tune
from dynsparse.config import Config, ConfigError
from dynsparse.experiment import Experiment, load_experiment
from dynsparse.export import load_network
from dynsparse.results.trial_folder import identity
from dynsparse.tune.options import RunOptions
from dynsparse.tune.pack_size import largest_pack
from dynsparse.tune.ray_session import start_ray

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = """
from ray import tune
from torch import nn
from dynsparse import Experiment

WIDTH = 8


def my_net(settings):
    return nn.Sequential(nn.Conv2d(1, WIDTH, 3), nn.ReLU(), nn.Flatten(), nn.Linear(WIDTH * 36, settings.num_classes))


experiment = Experiment(
    name="own",
    question="Does a network of my own train?",
    space=dict(
        dataset_name="digits",
        batch_size=128,
        network=tune.grid_search([my_net, "nets.py:Net"]),
        model="SET",
        on_perc=0.3,
    ),
    epochs=2,
)
"""
NETS = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "first.py").write_text(FILE)
    (folder / "nets.py").write_text(NETS)
    return folder


def run(folder: Path, results: Path, **options: Any) -> Experiment:
    experiment = load_experiment(folder / "first.py")
    outcome = tune.run(experiment, results, **options)
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (2, 0, [])
    return experiment


def test_a_run_in_process(folder: Path, tmp_path: Path) -> None:
    experiment = run(folder, tmp_path, in_process=True)
    for config in experiment.configs():
        assert_as_alone(tmp_path / "own", config, tolerance=0)
    df = analysis.load(tmp_path / "own")
    assert df["network"].tolist() == ["first.py:my_net", "nets.py:Net"] and df["network_hash"].str.len().eq(12).all()
    [about] = {(path / "about.json").read_text() for path in (tmp_path / "own").glob("trial_*")}
    assert json.loads(about)["engine"] == "module"
    for path in (tmp_path / "own").glob("trial_*"):
        assert load_network(path).row["training_iteration"] == 2


def test_a_moved_file_is_the_same_network_and_a_changed_function_is_another(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path, in_process=True)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "own").glob("trial_*/result.json")}
    folder.rename(tmp_path / "moved")
    run(tmp_path / "moved", tmp_path, in_process=True)
    assert {path: path.stat().st_mtime_ns for path in times} == times

    file = tmp_path / "moved" / "first.py"
    file.write_text(FILE.replace("epochs=2", "epochs=2, inert=()"))
    before = [identity(config) for config in load_experiment(file).configs()]
    assert {path.parent.name for path in times} == {f"trial_{each}" for each in before}
    file.write_text(FILE.replace("WIDTH = 8", "WIDTH = 6"))
    after = [identity(config) for config in load_experiment(file).configs()]
    assert after[0] != before[0] and after[1] == before[1]
    run(tmp_path / "moved", tmp_path, in_process=True)
    assert sorted(analysis.load(tmp_path / "own")["network"]) == ["first.py:my_net", "first.py:my_net", "nets.py:Net"]


def test_a_configuration_of_a_changed_function_is_refused(folder: Path) -> None:
    config = load_experiment(folder / "first.py").configs()[1]
    values = json.loads(json.dumps(config.values()))
    assert Config.saved(values) == config
    (folder / "nets.py").write_text(NETS.replace("12", "14"))
    with pytest.raises(ConfigError, match=r"network_hash must be .* the source of its function differs\. Leave"):
        Config.saved(values)


def test_a_function_or_a_path_from_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = load_experiment(folder / "first.py")
    monkeypatch.chdir(folder)
    config = Config(network="nets.py:Net", dataset_name="digits")
    assert config.network == experiment.configs()[1].network == f"{os.path.realpath(folder)}/nets.py:Net"


def test_modules_are_trained_alone_on_gpus() -> None:
    options, keys = RunOptions(), {"dataset_name": "MNIST", "device": "cuda"}
    assert largest_pack(options, [Config(**keys)]) > 1
    assert largest_pack(options, [Config(**keys), Config(**keys, network="LeNet5")]) == 1


@pytest.mark.faults
@pytest.mark.ray
def test_a_run_on_ray(folder: Path, tmp_path: Path) -> None:
    start_ray("local")
    try:
        experiment = run(folder, tmp_path, cpus_per_trial=1)
    finally:
        ray.shutdown()
    for config in experiment.configs():
        assert_as_alone(tmp_path / "own", config, tolerance=0)
