"""Results may be somebody else's: reading them runs none of the functions and files that they name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import invoke

import analysis
from dynsparse import tune
from dynsparse.config import Config
from dynsparse.experiment import load_experiment

FILE = """
from pathlib import Path

import numpy as np
from ray import tune
from torch import nn
from dynsparse import Experiment
from dynsparse.methods.base import Method, at_random, lowest
from dynsparse.ops.scores import magnitude

Path(__file__).with_suffix(".imported").touch()


def data():
    x = np.random.RandomState(0).standard_normal((60, 5))
    return x[:40], np.arange(40) % 2, x[40:], np.arange(20) % 2


def net(settings):
    return nn.Sequential(nn.Flatten(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))


def method(settings):
    return Method(settings.on_perc, lowest(magnitude, 0.3), at_random)


experiment = Experiment(
    name="named",
    question="Does reading run code?",
    space=dict(
        dataset_name=data, network=tune.grid_search([net, "MLP"]), hidden_sizes=[6], model=method, on_perc=0.5,
        batch_size=20, pruning_es=False,
    ),
    epochs=1,
)
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of trials with functions of `foreign.py`, which leaves `foreign.imported` whenever it is imported."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "foreign.py"
    file.write_text(FILE)
    tune.run(load_experiment(file), tmp_path, in_process=True)
    # A file is imported once, so a changed one would be imported again.
    file.write_text(FILE + "\n")
    (tmp_path / "foreign.imported").unlink()
    return tmp_path / "named"


def trial_of(results: Path, network: str) -> Path:
    [trial] = [
        each for each in results.glob("trial_*") if network in json.loads((each / "params.json").read_text())["network"]
    ]
    return trial


@pytest.mark.parametrize(
    "arguments",
    [
        ("table", "--rows", "network,model,dataset_name", "--metric", "val_acc_max"),
        ("compare", "--axis", "network", "--metric", "val_acc_max"),
        ("failures",),
        ("report", "-o", "page.html"),
        ("browse", "--no-show"),
        ("watch", "--once"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands_that_read_results(results: Path, arguments: tuple[str, ...]) -> None:
    result = invoke(arguments[0], results, *arguments[1:])
    assert result.exit_code == 0, result.output
    assert not (results.parent / "foreign.imported").exists()


def test_loading_results(results: Path) -> None:
    assert sorted(analysis.load(results)["network"]) == ["MLP", "foreign.py:net"]
    assert len(analysis.load_history(results)) == 2
    assert not (results.parent / "foreign.imported").exists()


def test_an_export_needs_the_method_and_a_checked_configuration_both(results: Path) -> None:
    trial = trial_of(results, "MLP")
    assert invoke("export", trial, "--format", "pt").exit_code == 0
    imported = results.parent / "foreign.imported"
    assert imported.exists()
    imported.unlink()
    (results.parent / "foreign.py").write_text(FILE + "\n\n")
    assert Config.saved(json.loads((trial / "params.json").read_text())).network_hash is None
    assert imported.exists()


def test_a_run_of_another_experiment_in_the_folder(results: Path) -> None:
    file = results.parent / "mine.py"
    file.write_text(
        "from dynsparse import Experiment\n"
        'space = dict(dataset_name="digits", hidden_sizes=[4], batch_size=128)\n'
        'experiment = Experiment(name="named", question="?", space=space, epochs=1)\n'
    )
    # The folder that this trial will have is made to be that of a foreign network.
    outcome = tune.run(load_experiment(file), results.parent, in_process=True)
    assert outcome.n_complete == 1
    [own] = [each for each in results.glob("trial_*") if "digits" in (each / "params.json").read_text()]
    (own / "params.json").write_text((trial_of(results, ":net") / "params.json").read_text())
    tune.run(load_experiment(file), results.parent, in_process=True)
    assert json.loads((own / "params.json").read_text())["dataset_name"] == "digits"
    assert not (results.parent / "foreign.imported").exists()
