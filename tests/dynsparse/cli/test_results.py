"""The commands table and failures on trials that failed, diverged or are damaged; and watch."""

import json
import re
import shutil
from pathlib import Path

import pytest
from support.command_line import invoke
from support.permissions import unreadable

import analysis


def test_table_prints_a_pivot_table_and_what_it_left_out(results):
    result = invoke("table", results, "--rows", "model", "--metric", "val_acc_max")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[2].split(maxsplit=1) == ["RigL", "0.800 (n=1, 1 failed)"]
    assert lines[3].split(maxsplit=1)[1].startswith("0.600 ± 0.141")
    assert lines[-1] == "left out: 1 failed of 4 trials"


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_table_counts_folders_that_were_emptied_or_cannot_be_read(results, form):
    shutil.rmtree(Path(results) / "trial_3")
    arguments = ["table", results, "--rows", "model", "--metric", "val_acc_max", "--format", form]
    for path in (Path(results) / "trial_0").iterdir():
        path.unlink()
    emptied = invoke(*arguments)
    with unreadable(Path(results) / "trial_0"):
        hidden = invoke(*arguments)
    for result, problem in [
        (emptied, "the folder has none of the files of a trial"),
        (hidden, "the folder cannot be read: Permission denied"),
    ]:
        note = "all 2 trials are complete; 1 folder could not be read as a trial of its own"
        # Beside a table in another format than text, nothing else is on stdout.
        assert (result.stdout if form == "text" else result.stderr).splitlines()[-1] == note
        assert f"damaged: trial_0: {problem}\n" in result.stderr


def test_table_counts_trials_that_diverged_only_on_request(results):
    path = Path(results) / "trial_1" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "val_loss": float("nan")}) + "\n")
    arguments = ["table", results, "--rows", "model", "--metric", "val_acc_max"]
    lines = invoke(*arguments).stdout.splitlines()
    assert lines[3].split(maxsplit=1) == ["SET", "0.500 (n=1, 1 diverged)"]
    assert lines[-1].startswith("left out: 1 failed, 1 diverged of 4 trials")
    lines = invoke(*arguments, "--with-diverged").stdout.splitlines()
    assert lines[3].split(maxsplit=1)[1].startswith("0.600 ± 0.141")
    assert lines[-2:] == ["left out: 1 failed of 4 trials", "1 of the values in the table are of trials that diverged"]
    assert "diverged: a loss is NaN or infinite" in invoke("failures", results).stdout


def test_table_chooses_trials_and_format(results):
    result = invoke("table", results, "--rows", "model", "--columns", "seed", "--metric", "val_acc_last",
                    "--where", "model == 'SET'", "--format", "csv")  # fmt: skip
    header, *cells = [line.split(",") for line in result.stdout.splitlines()]
    assert header[:3] == ["model", "seed", "mean"] and "count" in header
    assert [cell[:3] for cell in cells] == [["SET", "0", "0.5"], ["SET", "1", "0.7"]]
    assert "all 2 trials are complete" in result.stderr, "what is piped on is the table alone"


def test_several_keys_make_the_columns_of_a_table(results):
    words = ["--rows", "on_perc", "--columns", "model,seed", "--metric", "val_acc_max"]
    header, _, row = invoke("table", results, *words).stdout.splitlines()[:3]
    assert re.split("  +", header.strip()) == [
        "on_perc", "model=RigL, seed=0", "model=RigL, seed=1", "model=SET, seed=0", "model=SET, seed=1",
    ]  # fmt: skip
    assert re.findall(r"0\.\d+", row) == ["0.1", "0.800", "0.500", "0.700"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "modle", "--metric", "val_acc_max"], "modle"),
        (["--rows", "model", "--metric", "val_ac_max"], "val_ac'. Did you mean 'val_acc'? Available: val_acc."),
        (["--rows", "model", "--metric", "val_acc_max", "--where", "seed =="], "--where 'seed ==' cannot be read"),
        (["--rows", "model", "--metric", "val_acc_max", "--where", "seed > 9"], "leaves no trial of 4"),
        (["--rows", "model", "--metric", "val_acc_max", "--where", "1"], "--where '1' is not a condition"),
        (
            ["--rows", "seed", "--metric", "val_acc_max", "--where", "model == SETT"],
            "Unknown value of model 'SETT'. Did",
        ),
        (["--rows", "seed", "--metric", "val_acc_max", "--where", "@Path('x').touch()"], "cannot be read"),
        (["--rows", "seed", "--metric", "val_acc_max", "--where", "df.to_csv('x')"], "contains df.to_csv('x')"),
    ],
)
def test_table_refuses_what_it_cannot_make(results, arguments, message):
    result = invoke("table", results, *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_an_option_that_is_given_twice_is_refused(results):
    result = invoke("table", results, "--rows", "model", "--metric", "val_acc_max", "--metric", "val_acc_last")
    assert result.exit_code == 2
    assert "Error: --metric is given 2 times. Give it once.\n" in result.stderr


def test_a_folder_that_does_not_exist():
    result = invoke("table", "nowhere", "--rows", "model", "--metric", "val_acc_max")
    assert result.exit_code == 2
    assert "nowhere" in result.output


def test_failures_lists_them(results):
    result = invoke("failures", results)
    assert result.exit_code == 0
    assert "RuntimeError: boom" in result.output
    assert "left out: 1 failed of 4 trials" in result.output


def test_failures_shows_the_end_of_each_different_traceback(results):
    frames = [f'  File "user.py", line {n}, in train' for n in range(20)]
    for n, error in enumerate(["ValueError: no loss", "ValueError: no loss", "KeyError: 'x'"]):
        folder = Path(results) / f"trial_{n}"
        folder.joinpath("result.json").unlink()
        folder.joinpath("error.txt").write_text("\n".join(["Traceback:", *frames, f"{error}\x1b[2J"]) + "\n\n")
    lines = invoke("failures", results).stdout.splitlines()
    [first] = [place for place, line in enumerate(lines) if line.endswith("(2 trials with this error) ends with:")]
    assert lines[first].startswith(f"{results}/trial_0/error.txt ")
    assert lines[first + 1 : first + 9] == [f"    {line}" for line in [*frames[-7:], "ValueError: no loss"]]
    second = lines.index(f"{results}/trial_2/error.txt (1 trial) ends with:")
    assert lines[second + 8] == "    KeyError: 'x'"


def test_damaged_files_are_named(results):
    (Path(results) / "trial_0" / "result.json").write_text("{torn")
    result = invoke("failures", results)
    assert result.exit_code == 0
    assert "damaged: trial_0/result.json:" in result.output


CONTROLS = "\x1b[2J\x1b]0;title\x07\x9b31m\r\u202e"


@pytest.mark.parametrize(
    "arguments",
    [
        ("failures",),
        ("table", "--rows", "model,key" + CONTROLS, "--metric", "val_acc_max"),
        ("table", "--rows", "model", "--columns", "key" + CONTROLS, "--metric", "val_acc_max", "--format", "csv"),
        ("table", "--rows", "model", "--metric", "val_acc"),
        ("watch", "--once"),
        ("table", "--rows", "nothing", "--metric", "val_acc_max"),
    ],
    ids=str,
)
def test_no_control_sequence_of_a_file_reaches_the_terminal(results, arguments):
    for n, folder in enumerate(sorted(Path(results).iterdir())):
        params = json.loads((folder / "params.json").read_text())
        (folder / "params.json").write_text(json.dumps({**params, "key" + CONTROLS: CONTROLS + "value"}))
        if n == 0:
            (folder / "result.json").write_text("{")
        folder.rename(folder.with_name(folder.name + CONTROLS))
    (Path(results) / "trial_4").mkdir()
    (Path(results) / "trial_4" / "error.txt").write_text(CONTROLS + "Error")
    (Path(results) / "status.json").write_text(json.dumps({"line": CONTROLS + "line", "running": False}))
    result = invoke(arguments[0], results, *arguments[1:])
    assert result.exit_code in (0, 2) and len(result.output) > 10 and "Traceback (most" not in result.output
    assert not set(CONTROLS) & set(result.output) - set("2J]0;title31m[")


def test_watch_believes_no_trial_whose_files_do_not_fit(results):
    done = int((analysis.load(results)["status"] == "complete").sum())
    status = {"line": f"{done} of {done} trials done", "running": False, "trials": done, "done": done, "failed": 0}
    (Path(results) / "status.json").write_text(json.dumps(status))
    assert "cannot be believed" not in invoke("watch", results).output
    shutil.rmtree(next(Path(results).glob("trial_*")))
    assert (
        f"1 trial of these {done} cannot be believed: files are missing or were changed."
        in invoke("watch", results, "--once").output
    )


def test_watch_waits_only_on_request(tmp_path):
    refused = invoke("watch", str(tmp_path / "misspelt"))
    assert refused.exit_code == 2
    assert "has no run" in refused.output and "--wait" in refused.output
