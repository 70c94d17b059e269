"""The commands report and browse."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import ARMS, invoke

import analysis


def test_report_writes_one_page(results, tmp_path):
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    result = invoke("report", results, "-o", str(page), "--metric", "val_acc_last", "--where", "model == 'SET'")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"written: {page} (")
    content = page.read_text()
    assert "All 2 trials are complete" in content and "val_acc_last" in content and "RuntimeError: boom" not in content


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "val_ac_max"], "val_ac'. Did you mean 'val_acc'? Available: val_acc."),
        (["--where", "seed > 9"], "leaves no trial of 4"),
        (["-o", "no/such/folder/page.html"], "no/such/folder/page.html cannot be written"),
    ],
)
def test_report_refuses_what_it_cannot_make(results, options, message):
    pytest.importorskip("plotly")
    result = invoke("report", results, *options)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("example", "metric", "first"),
    [
        ("quickstart", "test_acc_at_best", "What matters most?"),
        ("sweep", "val_acc", "Where has accuracy fallen by one point?"),
        ("tickets", "val_acc_max", "Which tickets stay within one point of the dense network?"),
    ],
)
def test_a_report_is_about_the_metric_and_the_study_of_the_experiment(tmp_path, example, metric, first):
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    with analysis.example_folder(example) as folder:
        noted = folder / "experiment.json"
        # Rows of sweeps and tickets have no such metric, but one that it summarises, or the usual one.
        for change in ("", "val_acc_median"):
            if change and example != "quickstart":
                noted.write_text(json.dumps({**json.loads(noted.read_text()), "metric": change}))
            result = invoke("report", folder, "-o", page)
            assert result.exit_code == 0, result.stderr
            content = page.read_text()
            used = re.search(r'<p class="note">[^(]*[(](\w+)[)]', content)
            assert used and used[1] in ({metric, "val_acc"} if change else {metric})
            assert content.index(first) < content.index("<h2>Plots</h2>")
        result = invoke("report", folder, "-o", page, "--of", "trials")
        assert ("counts" in result.stderr) == (example != "quickstart")


def test_a_report_can_go_to_standard_output(results):
    pytest.importorskip("plotly")
    code = f"from dynsparse.cli import main; main(['report', {results!r}, '-o', '/dev/stdout'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("<!DOCTYPE html>") and "written: /dev/stdout" in done.stdout


def test_keys_that_follow_each_other_are_suggested_once_and_dropped_from_a_report(tmp_path):
    file = tmp_path / "arms.py"
    file.write_text(ARMS)
    result = invoke("run", file, "--storage", str(tmp_path), "--in-process")
    assert result.exit_code == 0, result.stderr
    assert "--rows lr_schedule --metric" in result.stdout
    page = tmp_path / "page.html"
    assert invoke("report", tmp_path / "arms", "-o", page).exit_code == 0
    assert "warmup_epochs must vary independently of lr_schedule" in html.unescape(page.read_text())
    assert invoke("report", tmp_path / "arms", "-o", page, "--drop", "warmup_epochs").exit_code == 0
    text = html.unescape(page.read_text())
    assert "warmup_epochs must vary independently" not in text and "constant or cosine" in text
    result = invoke("report", tmp_path / "arms", "--drop", "warmup_epoch")
    assert result.exit_code == 2 and "Did you mean 'warmup_epochs'?" in result.stderr
    result = invoke("report", tmp_path / "arms", "--drop", "trial_dir", "--drop", "val_acc_max")
    assert result.exit_code == 2 and "--drop takes hyperparameters, got trial_dir, val_acc_max." in result.stderr


def test_browse_writes_a_notebook_and_never_over_one(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("browse", results, "--no-show")
    assert result.exit_code == 0, result.output
    assert result.stdout == "written: browse_results.ipynb\n"
    notebook = Path("browse_results.ipynb")
    # Relative to the notebook, so that both can be moved together.
    assert "load('results')" in notebook.read_text()
    notebook.write_text("mine")
    assert invoke("browse", results, "--no-show").stdout == "browse_results.ipynb exists and is not changed\n"
    assert notebook.read_text() == "mine"
    assert invoke("browse", "nowhere", "--no-show").exit_code == 2


def test_what_a_command_writes_replaces_a_link(results, tmp_path, monkeypatch):
    pytest.importorskip("plotly")
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("browse_results.ipynb", "report.html"):
        Path(name).symlink_to(victim)
    assert invoke("report", results).exit_code == 0
    assert invoke("browse", results, "--no-show").stdout == "browse_results.ipynb exists and is not changed\n"
    Path("browse_results.ipynb").unlink()
    Path("browse_results.ipynb").symlink_to(tmp_path / "nothing yet")
    invoke("browse", results, "--no-show")
    assert victim.read_text() == "precious" and not (tmp_path / "nothing yet").exists()
    assert Path("report.html").read_text().startswith("<!DOCTYPE html>")
