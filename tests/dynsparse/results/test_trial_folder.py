"""The folder of a trial: its identity, its rows, its checkpoints, its end, and what damage does to them."""

import hashlib
import io
import json
import math
import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import torch

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.results import checkpoints
from dynsparse.results.trial_folder import OLDER, State, TrialFolder, folder_name, identity, state_check
from dynsparse.training.trainer import Trainer

CONFIG = Config(dataset_name="digits", epochs=3, hidden_sizes=(20,))


@pytest.fixture
def path(tmp_path):
    return tmp_path / folder_name(CONFIG)


@pytest.fixture
def trial(path):
    """A trial of three rows, complete."""
    trial = TrialFolder(open_folder(str(path)))
    trial.create(CONFIG, {"version": "1"})
    for epoch in (1, 2, 3):
        trial.append(row(epoch))
        trial.save_checkpoint(epoch, {"n_rows": epoch, "weights": [torch.full((2, 2), float(epoch))]})
    trial.complete()
    return trial


def row(epoch):
    return {"val_acc": epoch / 10, "done": epoch == 3, "training_iteration": epoch}


def reopened(path):
    return TrialFolder(open_folder(str(path)))


def test_identity_is_what_a_trial_computes():
    values = CONFIG.values()
    backwards = dict(reversed(values.items()))
    assert identity(Config.of(backwards)) == identity(CONFIG)
    elsewhere = {**values, "data_dir": "/elsewhere", "device": "cuda", "debug_sparse": False, "debug_weights": False}
    assert identity(Config.of(elsewhere)) == identity(CONFIG)
    from_json = Config.of(json.loads(json.dumps(values)))
    assert identity(from_json) == identity(CONFIG)
    others = [dict(seed=1), dict(on_perc=0.2), dict(epochs=4), dict(hidden_sizes=(20, 20)), dict(kwinners=True)]
    assert len({identity(CONFIG), *(identity(Config.of({**values, **other})) for other in others)}) == 6


def test_a_trial_comes_back_as_it_was_written(trial, path):
    later = reopened(path)
    assert later.state() is State.COMPLETE
    assert later.config() == CONFIG
    assert later.about() == {"version": "1"}
    assert later.rows() == [row(1), row(2), row(3)]
    assert later.load_checkpoint(3, dict)["weights"][0].tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert json.loads((path / "complete.json").read_text())["rows"] == 3
    assert len(path.name) == len("trial_") + 12
    assert later.damage == []


def test_a_failed_trial_that_runs_again_has_no_trace_of_its_failure(path):
    trial = TrialFolder(open_folder(str(path)))
    trial.create(CONFIG, {"version": "1"})
    trial.fail("Traceback\nValueError: no\n\n")
    assert (path / "error.txt").read_text() == "Traceback\nValueError: no\n"
    assert (reopened(path).state(), reopened(path).error()) == (State.FAILED, "ValueError: no")
    trial.clear_end()
    assert {each.name for each in path.iterdir()} == {"params.json", "about.json"}
    assert reopened(path).state() is State.NEW


def test_a_repaired_trial_says_that_its_version_is_unknown(trial, path):
    (path / "about.json").unlink()
    trial.repair(CONFIG)
    assert reopened(path).about() == {"version": "unknown"}


def test_states(path):
    trial = reopened(path)
    assert trial.state() is State.NEW
    trial.create(CONFIG, {})
    assert trial.state() is State.NEW
    trial.append(row(1))
    assert trial.state() is State.STARTED
    trial.fail("Traceback\nValueError: no")
    assert (trial.state(), trial.error()) == (State.FAILED, "ValueError: no")
    assert (path / "error.txt").read_text() == "Traceback\nValueError: no\n"
    trial.clear_end()
    assert (trial.state(), trial.error()) == (State.STARTED, None)
    trial.complete()
    assert trial.state() is State.COMPLETE


def test_numbers_stay_numbers(path):
    trial = reopened(path)
    numbers = {"a": np.float32(0.5), "b": torch.tensor(2), "c": math.nan, "d": np.float64("nan"), "e/f": np.int64(3)}
    trial.append({**numbers, "training_iteration": 1})
    text = (path / "result.json").read_text()
    assert text == '{"a": 0.5, "b": 2, "c": NaN, "d": NaN, "e/f": 3, "training_iteration": 1}\n'


def test_a_torn_row_is_left_out_then_written_again(trial, path):
    content = (path / "result.json").read_bytes()
    (path / "result.json").write_bytes(content[:-10])
    later = reopened(path)
    assert later.rows() == [row(1), row(2)]
    assert later.damage == ["result.json: line 3 is damaged; only the rows before it are used"]
    later.append(row(3))
    assert (path / "result.json").read_bytes() == content


def test_rows_after_a_damaged_one_are_not_believed(trial, path):
    first, _, third = (path / "result.json").read_bytes().splitlines(keepends=True)
    for damaged in (first + b"\xff\xfe\n" + third, first + third):
        (path / "result.json").write_bytes(damaged)
        assert reopened(path).rows() == [row(1)]


def test_a_completion_mark_that_does_not_fit_is_not_believed(trial, path):
    content = (path / "result.json").read_bytes()
    for damaged in (content[:-10], content.replace(b"0.1", b"0.9"), b""):
        (path / "result.json").write_bytes(damaged)
        later = reopened(path)
        assert later.state() is State.STARTED
        assert later.damage == [
            "result.json: the checksum in complete.json does not match; the trial is set aside and computed again"
        ]


def test_a_mark_that_vouches_for_other_rows_is_not_believed(trial, path):
    mark = json.loads((path / "complete.json").read_text())
    for damaged in ({**mark, "rows": 8}, {**mark, "rows": None}, {**mark, "sha256": 3}, {}):
        (path / "complete.json").write_text(json.dumps(damaged))
        assert reopened(path).state() is State.STARTED


def test_with_a_damaged_mark_the_second_copy_of_the_rows_decides(trial, path):
    (path / "complete.json").write_bytes(b"{torn")
    assert reopened(path).mistrust is None
    later = reopened(path)
    assert later.state() is State.STARTED and "complete.json: it is damaged" in later.mistrust
    trial.write_csv([row(1), row(2), row(3)])
    later = reopened(path)
    assert later.state() is State.STARTED and later.mistrust is None


def test_the_folder_of_another_trial_is_not_believed(trial, path, tmp_path):
    other = Config.of({**CONFIG.values(), "seed": 1})
    assert reopened(path).state(CONFIG) is State.COMPLETE
    later = reopened(path)
    assert later.state(other) is State.STARTED
    assert later.mistrust == "params.json: it is that of another trial"
    mixed = TrialFolder(open_folder(str(tmp_path / "mixed")))
    mixed.create(other, {})
    mixed.append({**row(1), "trial_id": identity(CONFIG)})
    assert mixed.state(other) is State.STARTED
    assert mixed.mistrust == f"result.json: its rows are those of trial {identity(CONFIG)}"


@pytest.mark.parametrize("harm", ["delete", "cut", "change", "delete the folder"])
def test_rows_that_are_harmed_while_the_trial_runs_are_written_again(path, harm):
    trial = reopened(path)
    trial.create(CONFIG, {})
    trial.append(row(1)), trial.append(row(2))
    content = (path / "result.json").read_bytes()
    {
        "delete": (path / "result.json").unlink,
        "cut": lambda: (path / "result.json").write_bytes(content[:30]),
        "change": lambda: (path / "result.json").write_bytes(content.replace(b"0.1", b"0.9")),
        "delete the folder": lambda: shutil.rmtree(path),
    }[harm]()
    trial.append(row(3))
    assert trial.damage == ["result.json: it was deleted or changed while the trial ran; its rows are written again"]
    trial.complete()
    assert reopened(path).rows() == [row(1), row(2), row(3)]
    assert reopened(path).state() is State.COMPLETE


def test_a_mark_is_never_over_missing_rows(path):
    trial = reopened(path)
    trial.append(row(1)), trial.append(row(2)), trial.append(row(3))
    (path / "result.json").unlink()
    trial.complete()
    assert reopened(path).rows() == [row(1), row(2), row(3)]
    assert reopened(path).state() is State.COMPLETE


def test_rows_are_recovered_from_the_csv_only_if_the_mark_vouches_for_them(path):
    rows = [
        {"a": 0.1, "n": 1, "flag": True, "text": "007", "nan": math.nan, "big": 1e300, "training_iteration": 1},
        {"a": 1 / 3, "n": -2, "flag": False, "text": "x,y", "nan": -math.inf, "big": 1.0, "training_iteration": 2},
    ]
    trial = reopened(path)
    for each in rows:
        trial.append(each)
    trial.write_csv(rows)
    trial.complete()
    content = (path / "result.json").read_bytes()
    (path / "result.json").unlink()
    assert reopened(path).recover_rows(CONFIG)
    assert (path / "result.json").read_bytes() == content
    (path / "progress.csv").write_text((path / "progress.csv").read_text().replace("0.1", "0.2"))
    (path / "result.json").unlink()
    assert not reopened(path).recover_rows(CONFIG)


@pytest.mark.parametrize("harm", ["deleted", "emptied", "a line in the middle", "intact"])
def test_rows_that_an_unfinished_trial_has_lost_are_those_of_the_csv(path, harm):
    trial, rows = reopened(path), [row(1), row(2), row(3)]
    trial.create(CONFIG, {})
    for each in rows:
        trial.append(each)
    trial.write_csv(rows)
    file = path / "result.json"
    lines = file.read_bytes().splitlines(keepends=True)
    harmed = {
        "emptied": b"",
        "a line in the middle": b"".join([lines[0], b"{}\n", lines[2]]),
        "intact": b"".join(lines),
    }
    file.unlink() if harm == "deleted" else file.write_bytes(harmed[harm])
    again = reopened(path)
    assert again.rows_to_continue(CONFIG) == rows
    assert any("written again from progress.csv" in each for each in again.damage) == (harm != "intact")
    again.append(row(4))
    assert reopened(path).rows() == [*rows, row(4)] and file.read_bytes().startswith(b"".join(lines))


def test_a_csv_that_is_not_that_of_the_trial_adds_no_rows(path):
    trial, rows = reopened(path), [row(1), row(2), row(3)]
    trial.append(rows[0])
    other = {**row(2), "trial_id": identity(Config(dataset_name="digits"))}
    contents = [[{**row(1), "val_acc": 0.9}, rows[1]], [rows[0], rows[2]], [rows[0], other], [rows[1]], []]
    for content in contents:
        trial.write_csv(content)
        assert reopened(path).rows_to_continue(CONFIG) == rows[:1]
    (path / "progress.csv").write_bytes(b"\xff\x00")
    assert reopened(path).rows_to_continue(CONFIG) == rows[:1]


def test_a_trial_that_is_set_aside_loses_nothing_and_begins_again(trial, path, tmp_path):
    before = {each.name: each.read_bytes() for each in path.iterdir()}
    (path / ".aside" / "error.txt-1").mkdir(parents=True)
    trial.set_aside(open_folder(str(tmp_path / "aside")))
    assert {each.name: each.read_bytes() for each in (tmp_path / "aside").iterdir()} == before
    assert reopened(path).state(CONFIG) is State.NEW


def test_two_checkpoints_are_kept_until_the_end_and_one_after_it(path):
    trial = reopened(path)
    for epoch in (1, 2, 3, 4):
        trial.append(row(epoch))
        trial.save_checkpoint(epoch, {"n_rows": epoch})
    assert [name.name for name in sorted(path.glob("checkpoint*"))] == ["checkpoint_000003.pt", "checkpoint_000004.pt"]
    trial.complete()
    assert [name.name for name in sorted(path.glob("checkpoint*"))] == ["checkpoint_000004.pt"]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "delete"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(path, damage):
    trial = reopened(path)
    for epoch in (2, 4):
        trial.save_checkpoint(epoch, {"n_rows": epoch, "weights": torch.ones(100)})
    newest = path / "checkpoint_000004.pt"
    content = bytearray(newest.read_bytes())
    content[-50] ^= 1
    {
        "flip": lambda: newest.write_bytes(content),
        "cut": lambda: newest.write_bytes(content[: len(content) // 2]),
        "empty": lambda: newest.write_bytes(b""),
        "delete": newest.unlink,
    }[damage]()
    later = reopened(path)
    assert later.load_checkpoint(4, dict)["n_rows"] == 2
    named = ["checkpoint_000004.pt: the checksum does not match; an older checkpoint is used"]
    assert later.damage == ([] if damage == "delete" else named)
    (path / "checkpoint_000002.pt").write_bytes(b"x")
    assert reopened(path).load_checkpoint(4, dict) is None


def test_a_checkpoint_beyond_the_rows_is_not_taken(path):
    trial = reopened(path)
    for epoch in (2, 4):
        trial.save_checkpoint(epoch, {"n_rows": epoch})
    assert trial.load_checkpoint(3, dict)["n_rows"] == 2


def signed(content):
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def compressed(state):
    """A checkpoint of a few kilobytes that takes 4 megabytes of memory."""
    content, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(checkpoints.encode(state).partition(b"\n")[2]))
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is not what torch.save writes (BadZipFile)"),
        (b"PK\x05\x06" + bytes(18), "it is not what torch.save writes (UnpicklingError)"),
        (compressed({"n_rows": 4, "weights": torch.zeros(10**6)}), "it is not what torch.save writes (ValueError)"),
        (checkpoints.encode({"n_rows": 4, "trial_id": "another"}).partition(b"\n")[2], "it is that of trial another"),
        (checkpoints.encode({"epoch": 4}).partition(b"\n")[2], "state.engine is missing"),
    ],
    ids=["empty", "archive of nothing", "compressed", "of another trial", "without an engine"],
)
def test_a_checkpoint_whose_checksum_fits_and_whose_content_does_not_falls_back_to_the_one_before(
    path, content, problem
):
    trainer, trial = Trainer([CONFIG]), reopened(path)
    trainer.step()
    trial.save_checkpoint(1, trainer.state_dict())
    (path / "checkpoint_000004.pt").write_bytes(signed(content))
    later = reopened(path)
    assert later.load_checkpoint(4, state_check(CONFIG))["n_rows"] == 1
    assert later.damage == [f"checkpoint_000004.pt: {problem}; an older checkpoint is used"]


def test_a_checkpoint_that_would_run_code_is_not_loaded(path):
    class Harmful:
        def __reduce__(self):
            return (path.mkdir, ())

    buffer = io.BytesIO()
    torch.save({"n_rows": 1, "harmful": Harmful()}, buffer, pickle_module=pickle)
    path.mkdir(parents=True)
    checksum = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    (path / "checkpoint_000001.pt").write_bytes(checksum + b"\n" + buffer.getvalue())
    later = reopened(path)
    assert later.load_checkpoint(1, dict) is None
    damage = "checkpoint_000001.pt: it is not what torch.save writes (UnpicklingError); an older checkpoint is used"
    assert later.damage == [damage] and os.listdir(path) == ["checkpoint_000001.pt"]


def test_a_late_metric_has_its_column_in_the_csv(path):
    reopened(path).write_csv([{"a": 1}, {"a": 2, "late": 3}])
    assert (path / "progress.csv").read_text().splitlines() == ["a,late", "1,", "2,3"]


def test_keys_that_came_after_a_trial_are_added_to_its_configuration(trial, path):
    values = json.loads((path / "params.json").read_text())
    without = {name: value for name, value in values.items() if name not in ("pixels", "study")}
    (path / "params.json").write_text(json.dumps({**without, "data_dir": "/elsewhere"}))
    later = reopened(path)
    later.check_other_files()
    assert OLDER in later.damage
    later.repair(CONFIG)
    assert json.loads((path / "params.json").read_text()) == {**values, "data_dir": "/elsewhere"}
    again = reopened(path)
    again.check_other_files()
    assert not again.damage
