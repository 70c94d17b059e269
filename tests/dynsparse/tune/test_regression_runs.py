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


STUDY = """
from ray import tune
from dynsparse import Experiment

experiment = Experiment(
    name="pruned",
    question="How sparse may the network be?",
    space=dict(
        dataset_name="sklearn:diabetes", loss="mse", test_fraction=0.2, val_fraction=0.2, model="Dense",
        seed=tune.grid_search([0, 1]), hidden_sizes=[16], batch_size=32, learning_rate=0.01, test_noise=False, {more}
    ),
    epochs=5,
)
"""


def test_a_sweep_ends_in_tables_and_a_report_about_r2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    more = 'study="sweep", sparsities=[0.0, 0.5, 0.95]'
    (tmp_path / "pruned.py").write_text(STUDY.replace("{more}", more))
    next_command = (
        "next:  dynsparse table results/pruned --of sweeps --rows pruning --columns sparsity --metric val_r2\n"
    )
    assert next_command in invoke("run", "pruned.py", "--in-process")
    history = analysis.load_history("results/pruned")
    sweeps = analysis.sweeps(history)
    trained = history[history["epoch"] == 5].set_index("trial_id")
    for name in ("val_r2", "val_rmse", "test_r2", "test_rmse"):
        assert sweeps[f"{name}_trained"].tolist() == trained.loc[sweeps["trial_id"], name].tolist()
    table = analysis.sparsity_summary(sweeps)
    assert [name for name in table if "accuracy" in name] == [] and table["count"].tolist() == [2] * 6
    dense = table[(table["pruning"] == "weight") & (table["sparsity"] == 0)].iloc[0]
    assert dense["test_r2"] == pytest.approx(trained["test_r2"].mean())
    assert dense["test_rmse_std"] == pytest.approx(trained["test_rmse"].std())
    falls = analysis.sparsity_at_fall(sweeps, 0.05, "val_r2")
    assert not falls["never_fell"].any()
    [_, text] = analysis.mean_sparsity_at_fall(falls, [], "val_r2")["conclusion"]
    assert text.startswith("weight pruning: R² has fallen at sparsity 0.")
    printed = invoke("table", "results/pruned", "--of", "sweeps", "--rows", "sparsity", "--columns", "pruning",
                     "--metric", "val_rmse")  # fmt: skip
    mean = sweeps[(sweeps["pruning"] == "unit") & (sweeps["sparsity"] == 0.95)]["val_rmse"].mean()
    assert f"{mean:.3f}"[:4] in printed
    invoke("report", "results/pruned", "-o", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Where has R² fallen by 0.01?" in page and "Validation R² and validation loss by sparsity" in page
    assert "accuracy" not in page[page.index("<h1") :]


def test_tickets_end_in_tables_and_a_report_about_r2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    more = 'study="ticket", prune_iter=2, prune_ratio=0.8, init=tune.grid_search(["original", "reinit"])'
    (tmp_path / "pruned.py").write_text(STUDY.replace("{more}", more))
    invoke("run", "pruned.py", "--in-process")
    history = analysis.load_history("results/pruned")
    rounds = analysis.rounds(history)
    assert not [name for name in rounds if "acc" in name] and len(rounds) == 4 * 3
    of_round = history.groupby(["trial_id", "round"])
    best = history.loc[of_round["val_r2"].idxmax()].set_index(["trial_id", "round"])
    places = list(zip(rounds["trial_id"], rounds["round"], strict=True))
    assert rounds["val_r2_max"].tolist() == best.loc[places, "val_r2"].tolist()
    assert rounds["test_r2"].tolist() == best.loc[places, "test_r2"].tolist()
    assert rounds["val_r2_last"].tolist() == of_round["val_r2"].last().loc[places].tolist()
    tickets = analysis.tickets(history)
    changed = analysis.with_last_rounds(analysis.load("results/pruned"), history)
    assert (
        changed.set_index("trial_id")["val_r2_max"].to_dict() == tickets.set_index("trial_id")["val_r2_max"].to_dict()
    )
    invoke("report", "results/pruned", "-o", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Which tickets stay within 0.01 R² of the dense network?" in page and "pruned R² is not below" in page
