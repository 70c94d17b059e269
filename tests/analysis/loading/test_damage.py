"""Damaged files: load never raises, loses nothing that is whole, and names what is not."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from support.trial_folders import write_rows, write_trial

import analysis

VICTIM = "T_1"
TRIAL_FILES = ["params.json", "result.json", "progress.csv", "error.txt"]
EXPERIMENT_FILES = ["experiment_state-1.json", "tuner.pkl", "basic-variant-state-1.json"]


def cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(1, len(content))])


def randomise(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(len(path.read_bytes())))


def overwrite_a_stretch(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = rng.randrange(len(content))
    content[start : start + 20] = rng.randbytes(20)
    path.write_bytes(content)


def empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def remove(path: Path, rng: random.Random) -> None:
    path.unlink()


def put_a_folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


Damage = Callable[[Path, random.Random], None]
DAMAGES: list[Damage] = [empty, cut, randomise, overwrite_a_stretch, remove, put_a_folder]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "e"
    for n in range(3):
        metrics = {"val_acc": [0.1 * n, 0.2, 0.3], "loss": [3.0, 2.0, 1.0]}
        write_trial(folder / f"T_{n}", {"n": n, "sizes": [n, 1]}, metrics, error="Traceback:\nKilled\n")
    trials = [json.dumps({"relative_logdir": f"T_{n}", "status": "TERMINATED"}) for n in range(3)]
    (folder / EXPERIMENT_FILES[0]).write_text(json.dumps({"trial_data": [[trial, "{}"] for trial in trials]}))
    for name in EXPERIMENT_FILES[1:]:
        (folder / name).write_bytes(b"\x80\x05not to be read")
    return folder


def others(df: pd.DataFrame) -> pd.DataFrame:
    return df[df["trial_dir"] != VICTIM].reset_index(drop=True)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", TRIAL_FILES)
def test_the_other_trials_are_there_and_equal(name: str, damage: Damage, experiment: Path) -> None:
    before, before_history = analysis.load(experiment), analysis.load_history(experiment)
    for seed in range(8):
        copy = experiment.parent / f"copy{seed}" / "e"
        shutil.copytree(experiment, copy)
        damage(copy / VICTIM / name, random.Random(seed))
        after, after_history = analysis.load(copy), analysis.load_history(copy)
        assert VICTIM in after["trial_dir"].tolist(), "the damaged trial is still a row"
        expected = others(before.assign(experiment_file_name=str(copy)))
        columns = list(expected.columns)
        pd.testing.assert_frame_equal(others(after)[columns], expected, check_dtype=False)
        columns = list(before_history.columns)
        expected = others(before_history)
        pd.testing.assert_frame_equal(others(after_history)[columns], expected, check_dtype=False)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", EXPERIMENT_FILES)
def test_the_experiments_own_files_do_not_matter(name: str, damage: Damage, experiment: Path) -> None:
    before = analysis.load(experiment)
    damage(experiment / name, random.Random(0))
    after = analysis.load(experiment)
    pd.testing.assert_frame_equal(after, before)


def problem_of(experiment: Path) -> tuple[str, str]:
    found = analysis.issues(analysis.load(experiment))
    assert len(found) == 1, found
    return found["file"][0], found["problem"][0]


def test_every_damage_of_a_file_that_is_needed_is_named(experiment: Path) -> None:
    for name in ("params.json", "result.json"):
        for damage in (empty, remove, put_a_folder):
            copy = experiment.parent / f"{damage.__name__}-{name}"
            shutil.copytree(experiment, copy)
            damage(copy / VICTIM / name, random.Random(0))
            file, problem = problem_of(copy)
            wanted = {"empty": "empty", "remove": "missing", "put_a_folder": "a folder, not a file"}
            assert file == name and problem.startswith(wanted[damage.__name__])


def test_whole_lines_of_a_torn_file_count(experiment: Path) -> None:
    path = experiment / VICTIM / "result.json"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    row = analysis.load(experiment).set_index("trial_dir").loc[VICTIM]
    assert (row["epochs"], row["val_acc_last"], row["status"]) == (2, 0.2, "error")
    assert problem_of(experiment) == ("result.json", "1 of 3 lines not a whole JSON object: 3")


def test_whole_lines_after_garbage_count(experiment: Path) -> None:
    path = experiment / VICTIM / "result.json"
    lines = path.read_bytes().splitlines(keepends=True)
    deep = b'{"a":' * 100_000 + b"\n"
    path.write_bytes(lines[0] + b"\x00\xff\xfe{\n" + b"[1, 2]\n" + deep + lines[1] + lines[2])
    row = analysis.load(experiment).set_index("trial_dir").loc[VICTIM]
    assert (row["epochs"], row["status"]) == (3, "complete")
    assert problem_of(experiment) == ("result.json", "3 of 6 lines not a whole JSON object: 2, 3, 4")


def test_a_torn_csv_keeps_its_whole_rows(experiment: Path) -> None:
    folder = experiment / VICTIM
    (folder / "result.json").unlink()
    content = (folder / "progress.csv").read_bytes()
    (folder / "progress.csv").write_bytes(content.rstrip()[:-1])
    df = analysis.load(experiment)
    assert df.set_index("trial_dir").loc[VICTIM, "epochs"] == 2
    assert analysis.issues(df)[["file", "problem"]].values.tolist() == [
        ["result.json", "missing; the rows are read from progress.csv"],
        ["progress.csv", "1 of 3 lines not a whole row: 4"],
    ]


def test_nothing_is_made_of_a_csv_of_garbage(experiment: Path) -> None:
    folder = experiment / VICTIM
    (folder / "result.json").unlink()
    (folder / "progress.csv").write_bytes(b"\xffone\ntwo\nthree\n")
    df = analysis.load(experiment).set_index("trial_dir")
    assert (df.loc[VICTIM, "epochs"], df.loc[VICTIM, "status"]) == (0, "error")
    assert analysis.issues(df)["problem"].tolist() == ["missing", "without the header of Tune's rows"]


def test_a_field_too_long_for_csv(experiment: Path) -> None:
    folder = experiment / VICTIM
    (folder / "result.json").unlink()
    with open(folder / "progress.csv", "a") as file:
        file.write('"' + "x" * 200_000)
    assert "not CSV" in analysis.issues(analysis.load(experiment))["problem"][1]


def test_a_config_of_the_wrong_kind(experiment: Path) -> None:
    folder = experiment / VICTIM
    (folder / "params.json").write_text("[1, 2]")
    assert problem_of(experiment) == (
        "params.json",
        "not one whole JSON object; the config is taken from its rows",
    )


def test_a_config_that_is_nowhere(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "T_0", {"n": 1})
    (folder / "params.json").unlink()
    write_rows(folder, [{"val_acc": 0.5, "config": 7}])
    df = analysis.load(tmp_path)
    assert "n" not in df and len(df) == 1
    assert problem_of(tmp_path) == ("params.json", "missing; the trial's hyperparameters are lost")


def test_rows_that_are_lost_though_tune_says_terminated(experiment: Path) -> None:
    folder = experiment / VICTIM
    (folder / "result.json").write_text("")
    (folder / "progress.csv").write_text("")
    assert problem_of(experiment) == ("result.json", "empty")


def test_an_error_that_is_no_text(experiment: Path) -> None:
    (experiment / VICTIM / "error.txt").write_bytes(b"first\nlast \xff\n")
    assert analysis.load(experiment).set_index("trial_dir").loc[VICTIM, "error"] == "last \ufffd"
    assert problem_of(experiment) == ("error.txt", "not UTF-8 text")


def test_a_torn_state_is_named(experiment: Path) -> None:
    (experiment / "experiment_state-1.json").write_text('{"trial_data": [["{')
    found = analysis.issues(analysis.load(experiment))
    assert found["file"].tolist() == ["experiment_state-1.json"] and found["trial_dir"].isna().all()


@pytest.mark.parametrize(
    "content",
    [
        {"trial_data": 3, "checkpoints": "x"},
        {"trial_data": [3, [], ["{"], ["3"], [{"logdir": 3}]], "checkpoints": [None, "{", {"trial_id": "x"}]},
    ],
)
def test_a_state_of_the_wrong_kind_is_passed_over(content: dict[str, object], experiment: Path) -> None:
    before = analysis.load(experiment)
    (experiment / "experiment_state-1.json").write_text(json.dumps(content))
    pd.testing.assert_frame_equal(analysis.load(experiment), before)


def test_chosen_metrics_do_not_raise_where_all_rows_are_lost(experiment: Path) -> None:
    for path in [*experiment.glob("T_*/result.json"), *experiment.glob("T_*/progress.csv")]:
        path.unlink()
    df = analysis.load(experiment, metrics=["val_acc"])
    assert len(df) == 3 and df["val_acc_max"].isna().all()
