"""The question of an experiment: it comes with the trials, and a file of any content does no harm."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from support.trial_folders import write_trial

from analysis import issues, load, load_history, load_many, question, rounds, select, sweeps
from analysis.loading import cache
from analysis.loading.experiment_file import EXPERIMENT_FILE, LONGEST


def experiment(folder: Path, content: object = None) -> Path:
    for seed in range(2):
        write_trial(folder / f"T_{seed}", {"seed": seed}, {"val_acc": [0.1, 0.2]})
    if content is not None:
        (folder / EXPERIMENT_FILE).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_it_stays_with_the_trials(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "a", {"name": "a", "question": "Is it so?", "metric": "val_acc_last"})
    df = load(folder)
    assert question(df) == question(load_history(folder)) == "Is it so?"
    assert df.attrs["metric"] == "val_acc_last"
    assert question(load(f"file://{folder}")) == "Is it so?"
    assert question(select(df, "seed == 1").query("epochs > 1").assign(a=1).sort_values("seed")) == "Is it so?"


def test_an_old_folder_has_none(tmp_path: Path) -> None:
    df = load(experiment(tmp_path / "a"))
    assert question(df) == df.attrs["metric"] == "" and question(pd.DataFrame()) == ""
    assert issues(df).empty


def test_it_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.loading.experiment.TOO_SMALL", 0)
    monkeypatch.setattr("analysis.loading.experiment.SETTLED_AFTER_SECONDS", -1.0)
    folder = experiment(tmp_path / "a", {"question": "Old?"})
    assert question(load(folder)) == "Old?"
    assert (folder / cache.NAME).exists()
    (folder / EXPERIMENT_FILE).write_text('{"question": "New?"}')
    assert question(load(folder)) == "New?"
    (folder / EXPERIMENT_FILE).unlink()
    assert question(load(folder)) == ""


def test_several_experiments(tmp_path: Path) -> None:
    contents = [
        {"question": "One?", "metric": "val_acc_max"}, {"question": "Two?", "metric": "val_acc_last"}, None,
        {"question": "One?"},
    ]  # fmt: skip
    folders = [experiment(tmp_path / str(i), content) for i, content in enumerate(contents)]
    df = load_many(folders)
    assert question(df) == "One?\nTwo?" and df.attrs["metric"] == ""
    assert load_many(folders[:1] * 2).attrs["metric"] == "val_acc_max"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '"text"', '{"question": 1}', '{"question": ["a"]}', '{"question": null}', "\xff", "[" * 10_000,
     '{"question": "' + "a" * 2**16 + '"}'],
    ids=lambda content: content[:20],
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_ignored(tmp_path: Path, content: str) -> None:
    df = load(experiment(tmp_path / "a", content))
    assert question(df) == "" and len(df) == 2 and issues(df).empty


def test_a_file_that_is_none_is_ignored(tmp_path: Path) -> None:
    pipe, folder = experiment(tmp_path / "a"), experiment(tmp_path / "b")
    os.mkfifo(pipe / EXPERIMENT_FILE)
    (folder / EXPERIMENT_FILE).mkdir()
    assert question(load(pipe)) == question(load(folder)) == ""


def test_a_hostile_text_is_cut_and_has_no_control_sequences(tmp_path: Path) -> None:
    text = "\x1b[2JIs\nit\u202e so?\ud800" + 1000 * "x"
    found = question(load(experiment(tmp_path / "a", {"question": text})))
    assert found.startswith("Is it so?\\ud800xxx") and found.endswith("x…") and len(found) == LONGEST


def test_the_tables_of_studies_keep_it() -> None:
    from analysis import load_example_history

    assert question(sweeps(load_example_history("sweep"))).startswith("To which sparsity")
    assert question(rounds(load_example_history("tickets"))).startswith("Do tickets reach")
