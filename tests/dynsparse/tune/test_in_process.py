"""Test runs without Ray: their folders, resume, failures and signals are those of a run with Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune as ray_tune
from support.packed_trials import assert_as_alone

import analysis
from dynsparse import tune
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.methods import METHODS

SPACE: dict[str, Any] = dict(
    dataset_name="digits",
    hidden_sizes=[16],
    batch_size=64,
    model="SET",
    on_perc=0.3,
    seed=ray_tune.grid_search([0, 1, 2]),
)
EXPERIMENT = Experiment("alone", "Does it need Ray?", SPACE, epochs=3)
FILE = """
from ray import tune
from dynsparse import Experiment
experiment = Experiment(
    name="alone",
    question="?",
    space=dict(dataset_name="digits", engine="torch", hidden_sizes=[300, 300], seed=tune.grid_search([0, 1, 2])),
    epochs=10,
)
"""


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("pack", ["auto", 2])
def test_the_folders_hold_the_numbers_of_each_trial_alone(tmp_path: Path, pack: str | int) -> None:
    outcome = tune.run(EXPERIMENT, tmp_path, in_process=True, pack=pack)
    assert not ray.is_initialized()
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (3, 0, [])
    for config in EXPERIMENT.configs():
        assert_as_alone(tmp_path / "alone", config, tolerance=0 if pack == "auto" else 1e-5)
    assert json.loads((tmp_path / "alone" / "status.json").read_text())["running"] is False


def test_the_folder_has_the_question(tmp_path: Path) -> None:
    tune.run(EXPERIMENT, tmp_path, in_process=True, limit=1)
    file = tmp_path / "alone" / "experiment.json"
    expected = {"name": "alone", "question": EXPERIMENT.question, "metric": "val_acc_max"}
    assert json.loads(file.read_text()) == expected
    assert analysis.question(analysis.load(tmp_path / "alone")) == EXPERIMENT.question
    # It is not rewritten as long as it is the same. That of an edited experiment takes its place.
    before = file.stat()
    tune.run(EXPERIMENT, tmp_path, in_process=True, limit=2)
    assert file.stat() == before
    tune.run(replace(EXPERIMENT, question="Another?"), tmp_path, in_process=True)
    assert json.loads(file.read_text()) == {**expected, "question": "Another?"}


def test_a_second_run_continues_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.run(EXPERIMENT, tmp_path, in_process=True, limit=1).n_complete == 1
    assert tune.run(EXPERIMENT, tmp_path, in_process=True).n_complete == 3
    assert "3 trials: 1 complete, 2 to run" in capsys.readouterr().err


@pytest.mark.parametrize("content", ['{"version": 1, "views": {}}', "{"])
def test_a_run_neither_reads_nor_changes_the_views_of_the_browser(tmp_path: Path, content: str) -> None:
    tune.run(EXPERIMENT, tmp_path, in_process=True, limit=1)
    (tmp_path / "alone" / "views.json").write_text(content)
    outcome = tune.run(EXPERIMENT, tmp_path, in_process=True)
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (3, 0, [])
    assert (tmp_path / "alone" / "views.json").read_text() == content


@pytest.mark.parametrize("error", [ArithmeticError("not this seed"), MemoryError("too large")])
def test_a_trial_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    usual = METHODS["SET"]

    def raises(config: Any) -> Any:
        def prune(layer: Any) -> Any:
            if int(config.seed) == 1:
                raise error
            return usual(config).prune(layer)

        return replace(usual(config), prune=prune)

    monkeypatch.setitem(METHODS, "SET", raises)
    outcome = tune.run(EXPERIMENT, tmp_path, in_process=True)
    assert outcome.n_complete == 2
    [failure] = outcome.failures
    assert failure.values == {"seed": 1} and failure.error == f"{type(error).__name__}: {error}"
    assert "in prune" in (tmp_path / "alone" / failure.trial / "error.txt").read_text()


def test_a_callback_that_raises_ends_the_run_and_fails_no_trial(tmp_path: Path) -> None:
    class Raises(ray_tune.Callback):
        def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
            raise ArithmeticError(f"at epoch {result['training_iteration']}")

    with pytest.raises(ArithmeticError, match="at epoch 1"):
        tune.run(EXPERIMENT, tmp_path, in_process=True, callbacks=[Raises()])
    assert set(analysis.load(tmp_path / "alone")["status"]) == {"incomplete"}
    assert json.loads((tmp_path / "alone" / "status.json").read_text())["running"] is False


def test_data_that_disappears_ends_the_run_and_fails_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = METHODS["SET"]

    def loses(config: Any) -> Any:
        def prune(layer: Any) -> Any:
            if int(config.seed) == 1:
                raise OSError(5, "Input/output error", "images")
            return usual(config).prune(layer)

        return replace(usual(config), prune=prune)

    monkeypatch.setitem(METHODS, "SET", loses)
    outcome = tune.run(EXPERIMENT, tmp_path, in_process=True)
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (1, 2, [])
    assert "the run ends: [Errno 5] Input/output error: 'images'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.faults), (signal.SIGKILL, -9)]
)
def test_a_run_that_is_stopped_resumes(tmp_path: Path, number: int, code: int) -> None:
    (tmp_path / "alone.py").write_text(FILE)
    command = [sys.executable, "-m", "dynsparse.cli", "run", "alone.py", "--in-process", "--checkpoint-epochs", "2"]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + 60
    while len(list((tmp_path / "results" / "alone").glob("trial_*/complete.json"))) < 1 and run.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(run.pid, number)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == code, output
    if number != signal.SIGKILL:
        assert "to resume, rerun:  dynsparse run alone.py --in-process" in output
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0 and "3 trials complete" in again.stdout, again.stderr
    for path in (tmp_path / "results" / "alone").glob("trial_*/result.json"):
        assert [json.loads(line)["training_iteration"] for line in path.read_text().splitlines()] == list(range(1, 11))


@pytest.mark.parametrize("options", [{"address": "auto"}, {"epoch_seconds": 9}])
def test_options_that_need_ray_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    [name] = options
    with pytest.raises(ExperimentError, match=f"in_process=True trains without Ray, which {name} need"):
        tune.run(EXPERIMENT, tmp_path, in_process=True, **options)
