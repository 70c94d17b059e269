"""Folders of dynsparse whose files do not belong together: load believes no mark, and counts no trial twice."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.permissions import unreadable

import analysis


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A real run: 27 trials, all complete, with the files that the packaged example leaves out."""
    with analysis.example_folder("quickstart") as folder:
        shutil.copytree(folder, tmp_path / "quickstart")
    for trial in (tmp_path / "quickstart").glob("trial_*"):
        rows = (trial / "result.json").read_bytes()
        mark = {"rows": 8, "sha256": hashlib.sha256(rows).hexdigest()}
        (trial / "complete.json").write_text(json.dumps(mark))
        (trial / "about.json").write_text("{}")
    return tmp_path / "quickstart"


def status_of(experiment: Path, trial: Path) -> str:
    df = analysis.load(experiment)
    return str(df.loc[df["trial_dir"] == trial.name, "status"].item())


def problems_of(experiment: Path, trial: Path) -> list[str]:
    found = analysis.issues(analysis.load(experiment))
    return found.loc[found["trial_dir"] == trial.name, "problem"].tolist()


def change_a_digit(trial: Path) -> None:
    path = trial / "result.json"
    path.write_bytes(path.read_bytes().replace(b'"val_acc": 0.', b'"val_acc": 0.9', 1))


def cut_the_last_row(trial: Path) -> None:
    path = trial / "result.json"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def double_a_row(trial: Path) -> None:
    path = trial / "result.json"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[-1]]))


def sign_other_rows(trial: Path) -> None:
    mark = json.loads((trial / "complete.json").read_text())
    (trial / "complete.json").write_text(json.dumps({**mark, "rows": mark["rows"] + 3}))


def tear_the_mark(trial: Path) -> None:
    (trial / "complete.json").write_bytes((trial / "complete.json").read_bytes()[:20])


def delete_the_mark(trial: Path) -> None:
    (trial / "complete.json").unlink()


HARMS: list[tuple[Callable[[Path], None], str | None]] = [
    (change_a_digit, "its checksum does not match result.json; the trial counts as incomplete"),
    (cut_the_last_row, "its checksum does not match result.json; the trial counts as incomplete"),
    (double_a_row, "its checksum does not match result.json; the trial counts as incomplete"),
    (sign_other_rows, "it vouches for 11 rows, but result.json has 8; the trial counts as incomplete"),
    (tear_the_mark, "not one whole JSON object; the trial counts as incomplete"),
    (delete_the_mark, None),
]


@pytest.mark.parametrize(("harm", "problem"), HARMS)
def test_a_mark_that_does_not_fit_is_not_believed(
    experiment: Path, harm: Callable[[Path], None], problem: str | None
) -> None:
    trial = min(experiment.glob("trial_*"))
    assert status_of(experiment, trial) == "complete" and not problems_of(experiment, trial)
    harm(trial)
    assert status_of(experiment, trial) == "incomplete"
    assert problems_of(experiment, trial) == ([problem] if problem else [])


def test_a_configuration_that_was_changed_after_the_end_is_named(experiment: Path) -> None:
    trial = min(experiment.glob("trial_*"))
    params = (trial / "params.json").read_bytes()
    mark = json.loads((trial / "complete.json").read_text())
    signed = {**mark, "params_sha256": hashlib.sha256(params).hexdigest()}
    (trial / "complete.json").write_text(json.dumps(signed))
    assert status_of(experiment, trial) == "complete"
    (trial / "params.json").write_bytes(params.replace(b'"on_perc": 0.', b'"on_perc": 0.9', 1))
    assert status_of(experiment, trial) == "incomplete"
    assert problems_of(experiment, trial) == [
        "it was changed after the trial was completed; the trial counts as incomplete"
    ]


def test_copies_are_named_and_counted_once(experiment: Path) -> None:
    first, second, *_ = sorted(experiment.glob("trial_*"))
    before = analysis.load(experiment)
    for name in ("copy", first.name + " (copy)"):
        shutil.copytree(first, experiment / name)
    shutil.rmtree(second)
    shutil.copytree(first, second)
    df = analysis.load(experiment)
    assert sorted(df["trial_dir"]) == sorted(set(before["trial_dir"]) - {second.name})
    for copy in (experiment / "copy", experiment / (first.name + " (copy)"), second):
        assert f"a copy of {first.name}; it is left out" in problems_of(experiment, copy)
    assert not problems_of(experiment, first)


def test_trials_of_other_programs_with_one_id_and_other_rows_are_no_copies(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"T_{n}").mkdir()
        (tmp_path / f"T_{n}" / "params.json").write_text(json.dumps({"n": n}))
        (tmp_path / f"T_{n}" / "result.json").write_text(json.dumps({"trial_id": "x", "val_acc": n / 10}) + "\n")
    assert analysis.load(tmp_path)["n"].tolist() == [0, 1, 2]


def write_foreign_trial(folder: Path, params: str) -> None:
    """A trial of another program, with the id and the rows of all others."""
    folder.mkdir()
    (folder / "params.json").write_text(params)
    (folder / "result.json").write_text(json.dumps({"trial_id": "x", "val_acc": 0.5, "loss": float("nan")}) + "\n")


def test_trials_of_other_programs_with_one_id_and_other_parameters_are_no_copies(tmp_path: Path) -> None:
    for name, params in {"a": {"seed": 0}, "b": {"seed": 1}, "c": {"seed": 0}, "d": {"seed": 0, "n": [1]}}.items():
        write_foreign_trial(tmp_path / name, json.dumps(params))
    df = analysis.load(tmp_path)
    assert df[["trial_dir", "seed"]].values.tolist() == [["d", 0], ["a", 0], ["b", 1]]
    assert analysis.issues(df).values.tolist() == [["c", "", "a copy of a; it is left out"]]


def test_a_copy_whose_parameters_are_lost_is_the_one_that_is_left_out(tmp_path: Path) -> None:
    write_foreign_trial(tmp_path / "a", "{torn")
    write_foreign_trial(tmp_path / "b", '{"seed": 3}')
    df = analysis.load(tmp_path)
    assert df[["trial_dir", "seed"]].values.tolist() == [["b", 3]]
    assert problems_of(tmp_path, tmp_path / "a")[-1] == "a copy of b; it is left out"


def test_a_copy_that_was_edited_is_a_copy_because_the_id_follows_from_the_parameters(experiment: Path) -> None:
    trial = min(experiment.glob("trial_*"))
    shutil.copytree(trial, experiment / "copy")
    params = json.loads((trial / "params.json").read_text())
    (experiment / "copy" / "params.json").write_text(json.dumps({**params, "seed": 99}))
    df = analysis.load(experiment)
    assert 99 not in set(df["seed"])
    assert problems_of(experiment, experiment / "copy") == [f"a copy of {trial.name}; it is left out"]


def test_a_folder_that_was_emptied_is_an_issue(experiment: Path) -> None:
    trial = min(experiment.glob("trial_*"))
    for path in trial.iterdir():
        path.unlink()
    assert problems_of(experiment, trial) == ["the folder has none of the files of a trial"]
    (trial / "notes.txt").write_text("mine")
    assert problems_of(experiment, trial) == ["the folder has none of the files of a trial"]
    (experiment / "plots").mkdir()
    (experiment / "plots" / "a.png").write_bytes(b"")
    (experiment / ".aside").mkdir()
    assert len(analysis.issues(analysis.load(experiment))) == 1


def test_a_folder_without_permission_is_an_issue(experiment: Path) -> None:
    trial = min(experiment.glob("trial_*"))
    n_trials = len(analysis.load(experiment))
    with unreadable(trial):
        df = analysis.load(experiment)
        assert len(df) == n_trials - 1 and trial.name not in set(df["trial_dir"])
        assert problems_of(experiment, trial) == ["the folder cannot be read: Permission denied"]
        note = "all 26 trials are complete; 1 folder could not be read as a trial of its own"
        assert analysis.left_out(df).startswith(note)
    assert not problems_of(experiment, trial)
