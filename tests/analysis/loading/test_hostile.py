"""Hostile folders: load returns within seconds, names what it did not read, and neither raises nor waits."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.trial_folders import write_rows, write_state, write_trial

import analysis
from analysis.loading.columns import Missing

VICTIM, OTHER = "T_1", "T_0"
# Files of a trial, and those that only a trial of dynsparse has.
FILES = ["params.json", "result.json", "progress.csv", "error.txt"]
OURS = ["about.json", "complete.json", "failed.json"]
GIB = 2**30


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "e"
    for name in (OTHER, VICTIM):
        write_trial(folder / name, {"n": name}, {"val_acc": [0.1, 0.2]}, error="Killed\n")
    write_state(folder, [{"logdir": f"/elsewhere/{name}", "status": "ERROR"} for name in (OTHER, VICTIM)], "2")
    return folder


@pytest.fixture(autouse=True)
def _within_reason() -> Iterator[None]:
    # Of this process, which does not depend on what else the machine does. Most take less than a second.
    started = time.process_time()
    yield
    assert time.process_time() - started < 100


def loaded(experiment: Path) -> pd.DataFrame:
    """What `load` gives, after `load_history` has given something, too."""
    history = analysis.load_history(experiment)
    df = analysis.load(experiment)
    for each in (df, history):
        assert (each["trial_dir"] == OTHER).any()
        # Whoever shows or stores the tables meets no value that cannot be.
        repr(each)
        for suffix in (".parquet", ".csv", ".md"):
            analysis.save(each, experiment / f"table{suffix}")
    assert df.set_index("trial_dir").loc[OTHER, "val_acc_max"] == 0.2
    return df


def problems(experiment: Path) -> list[tuple[Any, str, str]]:
    found = analysis.issues(loaded(experiment))
    return list(found.astype(object).itertuples(index=False, name=None))


# What stands in the place of a file


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def holes(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(40 * GIB)


def holes_after_the_content(path: Path) -> None:
    path.write_bytes(b'{"val_acc": 0.5, "training_iteration": 1}\n')
    os.truncate(path, 40 * GIB)


def itself(path: Path) -> None:
    path.symlink_to(path.name)


def plug(path: Path) -> None:
    # The path of a socket is short.
    before = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
    os.chdir(before)


@pytest.mark.parametrize("make", [pipe, endless, holes, holes_after_the_content, itself, plug])
@pytest.mark.parametrize("name", FILES + OURS)
def test_what_is_no_file_or_has_no_end_is_not_read(name: str, make: Callable[[Path], None], experiment: Path) -> None:
    for each in OURS:
        (experiment / VICTIM / each).write_text("{}")
    (experiment / VICTIM / name).unlink()
    make(experiment / VICTIM / name)
    found = [file for folder, file, _ in problems(experiment) if folder == VICTIM]
    # What stands in the place of error.txt or failed.json still says that the trial has failed.
    assert name in found or name in ("about.json", "failed.json", "progress.csv", "error.txt")


def test_the_problem_says_what_is_there(experiment: Path) -> None:
    path, found = experiment / VICTIM / "params.json", []
    for make in (pipe, endless, holes, itself, plug):
        path.unlink()
        make(path)
        [(_, _, problem)] = problems(experiment)
        found.append(problem.removesuffix("; the config is taken from its rows"))
    assert found == [
        "a pipe, not a file",
        "a device, not a file",
        "larger than 16 MiB, so it is not read",
        "unreadable: Too many levels of symbolic links",
        "a socket, not a file",
    ]


def test_rows_are_read_up_to_the_holes(experiment: Path) -> None:
    rows = (experiment / VICTIM / "result.json").read_bytes()
    for name in ("result.json", "progress.csv"):
        os.truncate(experiment / VICTIM / name, 40 * GIB)
    assert (experiment / VICTIM / "result.json").stat().st_size > len(rows)
    df = loaded(experiment)
    assert df.set_index("trial_dir").loc[VICTIM, "epochs"] == 2
    assert analysis.issues(df)["problem"].tolist() == [
        "1 of 3 lines not a whole JSON object: 3; what follows is not read"
    ]


def test_a_long_text_of_an_error_is_read_from_its_end(experiment: Path) -> None:
    path = experiment / VICTIM / "error.txt"
    path.write_text("ä" * 3_000_000 + "\nValueError: the last line\n")
    assert loaded(experiment).set_index("trial_dir").loc[VICTIM, "error"] == "ValueError: the last line"
    path.write_text("ä" * 3_000_001)
    df = loaded(experiment)
    assert set(df.set_index("trial_dir").loc[VICTIM, "error"]) == {"ä"} and not len(analysis.issues(df))


@pytest.mark.parametrize("make", [pipe, endless, holes, itself, plug])
def test_tunes_record_that_is_no_file_is_not_read(make: Callable[[Path], None], experiment: Path) -> None:
    make(experiment / "experiment_state-2.json")
    [(folder, file, _)] = problems(experiment)
    assert folder is None and file == "experiment_state-2.json"


def test_a_link_to_itself_is_no_trial(experiment: Path) -> None:
    itself(experiment / "T_2")
    (experiment / "T_3").symlink_to("nowhere")
    assert len(loaded(experiment)) == 2


def test_no_write_goes_elsewhere(experiment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("analysis.loading.experiment.TOO_SMALL", 0)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (".analysis.arrow", f".analysis.arrow.{os.getpid()}", f".params.json.{os.getpid()}"):
        (experiment / name).symlink_to(victim)
    loaded(experiment)
    assert victim.read_text() == "precious" and not (experiment / ".analysis.arrow").is_symlink()


# What stands in a file


def nested(levels: int, kind: str) -> str:
    return "[" * levels + "]" * levels if kind == "list" else '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("kind", ["list", "dict"])
@pytest.mark.parametrize("levels", [40, 60, 400, 900, 1100, 100_000])
def test_deeply_nested_values(levels: int, kind: str, experiment: Path) -> None:
    folder, deep = experiment / VICTIM, nested(levels, kind)
    (folder / "params.json").write_text(f'{{"n": 1, "deep": {deep}}}')
    row = f'{{"val_acc": 0.3, "deep": {deep}, "training_iteration": 3, "config": {{"deep": {deep}}}}}\n'
    with (folder / "result.json").open("a") as file:
        file.write(row)
    (folder / "about.json").write_text(deep)
    (folder / "complete.json").write_text(f'{{"rows": {deep}}}')
    (experiment / "experiment_state-3.json").write_text(f'{{"trial_data": [[{json.dumps(deep)}], {deep}, {row}]}}')
    df = loaded(experiment)
    assert df.set_index("trial_dir").loc[VICTIM, "epochs"] == (3 if levels == 40 else 2)
    by_file = analysis.issues(df).set_index("file")["problem"]
    if levels > 40:
        assert by_file["params.json"] == "not one whole JSON object; the config is taken from its rows"
        assert by_file["result.json"] == "1 of 3 lines not a whole JSON object: 3"


@pytest.mark.parametrize("half", ["\\ud800", "\\uDFFF", "\\ud83d x"])
def test_halves_of_surrogate_pairs(half: str, experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.loading.experiment.TOO_SMALL", 0)
    monkeypatch.setattr("analysis.loading.experiment.SETTLED_AFTER_SECONDS", -60)
    folder, shown = experiment / VICTIM, half.lower()
    (folder / "params.json").write_text(f'{{"{half}": "{half}", "inner": {{"{half}": ["{half}"]}}, "n": "{half}"}}')
    row = f'{{"val_acc": 0.3, "{half}_acc": 1, "{half}": "{half}", "trial_id": "{half}", "experiment_tag": "{half}"}}\n'
    (folder / "result.json").write_text(row)
    (folder / "failed.json").write_text(f'{{"error": "{half}"}}')
    write_state(experiment, [{"logdir": "/elsewhere/T_9" + json.loads(f'"{half}"')}], "2")
    for _ in ("from the files", "from the cache"):
        df = loaded(experiment).set_index("trial_dir")
        assert df.loc[VICTIM, "n"] == shown and df.loc[VICTIM, f"inner/{shown}"] == (shown,)
        assert df.loc[VICTIM, f"{shown}_acc_max"] == 1 and df.loc[VICTIM, "trial_id"] == shown


def test_a_folder_whose_name_is_no_text(experiment: Path) -> None:
    os.mkdir(os.fsencode(experiment) + b"/T_\xfe")
    folder = Path(os.fsdecode(os.fsencode(experiment) + b"/T_\xff"))
    write_trial(folder, {"n": 7}, {"val_acc": [0.7]}, trial_id=None, experiment_tag=None)
    df = loaded(experiment).set_index("trial_dir")
    assert df.loc["T_\\udcff", "val_acc_max"] == 0.7 and df.loc["T_\\udcff", "trial_id"] == "T_\\udcff"
    assert analysis.issues(df)["trial_dir"].tolist() == ["T_\\udcfe"]


NUMBERS = ["1" * 400, "1" * 4000, "1" * 5000, "-" + "9" * 30, "1e400", "1e-400", "NaN", "-Infinity", "1.5e308", "-0.0"]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:9])
def test_any_number_anywhere(number: str, experiment: Path) -> None:
    folder = experiment / VICTIM
    (folder / "params.json").write_text(f'{{"n": {number}, "sizes": [{number}], "num_classes": {number}}}')
    names = (
        "val_acc",
        "training_iteration",
        "time_this_iter_s",
        "loss",
        "iterations_since_restore",
        "trial_id",
        "done",
    )
    row = ", ".join(f'"{name}": {number}' for name in names)
    (folder / "result.json").write_text(f"{{{row}}}\n{{{row}}}\n")
    loaded(experiment)
    for text in (f'"{number}"', f'"tensor({number})"', f'"[{number}]"', f'"{{{number}}}"'):
        (folder / "params.json").write_text(f'{{"n": {text}}}')
        row = ", ".join(f'"{name}": {text}' for name in names)
        (folder / "result.json").write_text(f"{{{row}}}\n{{{row}}}\n")
        loaded(experiment)


TEXTS = {
    "a tensor that never ends": "<tf.x " + "numpy=" * 50_000,
    "many digits": "1" * 1_000_000,
    "a long list": "[" + "0," * 500_000 + "]",
    "a long set": "{" + "0," * 500_000 + "}",
    "a deep list": "[" * 100_000,
    "signs": "[" + "-" * 50_000 + "1]",
    "a set of a number of many digits": "{0x" + "f" * 5000 + "}",
    "controls": "\x1b[2J\x00\r\n\t\u202e\x9b",
}


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_anywhere(text: str, experiment: Path) -> None:
    folder, value = experiment / VICTIM, TEXTS[text]
    (folder / "params.json").write_text(json.dumps({"n": value, "sizes": [value], value[:100]: 1}))
    rows = [{"val_acc": 0.1, "note_acc": value, "done": value, "training_iteration": n, value[:100]: 1} for n in (1, 2)]
    write_rows(folder, rows)
    loaded(experiment)
    (folder / "result.json").unlink()
    loaded(experiment)


def test_an_error_has_no_control_sequences(experiment: Path) -> None:
    (experiment / VICTIM / "error.txt").write_text("first\n\x1b[31mValueError\x1b[0m: \x1b]0;title\x07x\u202e\n")
    assert loaded(experiment).set_index("trial_dir").loc[VICTIM, "error"] == "ValueError: x"


def test_many_rows_that_go_back_take_no_longer_than_others(experiment: Path) -> None:
    rows = [{"val_acc": 0.1, "training_iteration": min(n, 20_000)} for n in range(1, 40_001)]
    write_rows(experiment / VICTIM, rows)
    assert loaded(experiment).set_index("trial_dir").loc[VICTIM, "epochs"] == 20_000


def test_many_trials_of_one_id_take_no_longer_than_others(tmp_path: Path) -> None:
    for n in range(3000):
        folder = tmp_path / "many" / f"T_{n}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(f'{{"trial_id": "one", "val_acc": 0.5, "x": {n}}}\n')
    assert len(analysis.load(tmp_path / "many")) == 3000


def test_a_new_name_in_each_row_does_not_fill_the_memory(experiment: Path) -> None:
    rows = [{"val_acc": 0.1, "training_iteration": n, f"loss_{n}": 1} for n in range(1, 3001)]
    (experiment / VICTIM / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    history = analysis.load_history(experiment)
    assert (history["trial_dir"] == VICTIM).sum() == 3000 and "loss_1" in history and "loss_3000" not in history
    [problem] = analysis.issues(history)["problem"]
    assert problem == "2639 names are in few rows and are left out"


def test_a_new_name_in_each_trial_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.loading.columns.MISSING_IN_ALL", Missing(1, 200))
    for n in range(20):
        write_trial(tmp_path / "e" / f"T_{n}", {"n": n}, {"val_acc": [0.1], **{f"x_{n}_{i}": [1] for i in range(20)}})
    df = analysis.load(tmp_path / "e")
    assert df["val_acc_max"].tolist() == [0.1] * 20
    [(folder, file, problem)] = analysis.issues(df).itertuples(index=False)
    assert folder is None and not file and problem.endswith(" logged names are in few trials and are left out")
