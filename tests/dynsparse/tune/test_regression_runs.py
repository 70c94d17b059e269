"""A run of a regression, from the experiment file to tables and report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import analysis
from analysis.output import browse
from dynsparse.cli import main
from dynsparse.experiment import load_experiment

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = """
from ray import tune
from dynsparse import Experiment

experiment = Experiment(
    name="diabetes",
    question="How sparse may the network be?",
    space=dict(
        dataset_name="sklearn:diabetes", loss="mse", test_fraction=0.2, val_fraction=0.2, model="SET",
        on_perc=tune.grid_search([0.2, 0.5]), seed=tune.grid_search([0, 1]), hidden_sizes=[16], batch_size=32,
        learning_rate=0.01, test_noise=False,
    ),
    epochs=5,
)
"""


def invoke(*words: str) -> str:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_ends_in_tables_and_a_report_about_r2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "diabetes.py").write_text(FILE)
    assert load_experiment("diabetes.py").metric == "val_r2_max"
    output = invoke("run", "diabetes.py", "--in-process")
    assert "best val_r2 0." in output and "--rows on_perc --metric val_r2_max" in output.replace("--columns", "--rows")
    assert json.loads((tmp_path / "results/diabetes/experiment.json").read_text())["metric"] == "val_r2_max"
    df = analysis.load("results/diabetes")
    assert df["val_r2_max"].between(0.1, 0.7).all() and df["val_rmse_min"].between(40, 80).all()
    assert df["test_r2_at_best"].notna().all() and not df["at_chance"].any() and (df["num_classes"] == 1).all()
    assert not [name for name in df if "acc" in str(name)]
    history = analysis.load_history("results/diabetes")
    best = history.loc[history.groupby("trial_id")["val_r2"].idxmax()].set_index("trial_id")["test_r2"]
    assert df.set_index("trial_id")["test_r2_at_best"].sort_index().tolist() == best.sort_index().tolist()
    assert browse(df).view.metric == "val_r2_max"
    assert "val_r2_max" in invoke("table", "results/diabetes", "--rows", "on_perc", "--metric", "val_r2_max")
    invoke("report", "results/diabetes", "-o", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "val_r2_max" in page or "R²" in page
    invoke("report", "results/diabetes", "-o", "rmse.html", "--metric", "val_rmse_min")
    assert "lower" in (tmp_path / "rmse.html").read_text()
