"""Faults 14 and 15: the grid or the code has changed between runs; numbers that are none."""

import json
import math

import pytest
from pandas.api.types import is_numeric_dtype
from support.fault_bed import FILE, N_TRIALS, check_complete, copy_of, held

import analysis
from dynsparse.results.trial_folder import folder_name, identity

pytestmark = [pytest.mark.ray, pytest.mark.faults]


@pytest.fixture
def done(undisturbed, tmp_path):
    bed = copy_of(undisturbed, tmp_path)
    yield bed
    bed.end()


def contents(bed):
    return {path: path.read_bytes() for path in bed.folder.glob("trial_*/*")}


def test_keys_in_another_order_are_the_same_trials(done):
    head, space = FILE.split("space=dict(\n")
    lines, tail = space.split("    ),\n")
    backwards = "".join(reversed(lines.splitlines(keepends=True)))
    done.file.write_text(f"{head}space=dict(\n{backwards}    ),\n{tail}")
    before = contents(done)
    run = done.start()
    assert run.wait() == 0, run.text
    assert "12 trials: 12 complete" in run.text
    assert contents(done) == before and not done.events()
    held("I1", "I2", "I3", "I4", "I5", repeated=0)


def test_a_value_is_added_and_one_removed(done, reference):
    done.file.write_text(FILE.replace("[0.1, 0.3]", "[0.3, 0.5]"))
    before = contents(done)
    run = done.start("--set", "seed=0,1")
    assert run.wait() == 0, run.text
    assert "8 trials: 4 complete, 4 to run" in run.text
    assert "8 more trials in the folder are not in the grid; they are left unchanged" in run.text
    assert {path: content for path, content in contents(done).items() if path in before} == before
    assert len(analysis.load(done.folder)) == N_TRIALS + 4
    new = {identity(config) for config in done.configs() if config.on_perc == 0.5 and config.seed < 2}
    check_complete(done, new | {name.removeprefix("trial_") for name in reference})
    assert {event["trial"] for event in done.events()} == new


def test_trials_of_another_version_of_the_code_are_named(done):
    path = done.folder / folder_name(done.configs()[0]) / "about.json"
    path.write_text(json.dumps({"version": "0.0.1+cafe"}))
    run = done.start()
    assert run.wait() == 0, run.text
    assert "other versions of the code (" in run.text and "0.0.1+cafe" in run.text
    held("I1", "I4")


def test_numbers_that_are_none(bed, reference):
    """One trial diverges by itself, one logs odd numbers in its third epoch alone."""
    few = ["--set", "model=SET", "--set", "seed=0", "--set", "on_perc=0.1"]
    config = next(c for c in bed.configs() if (c.model, c.seed, c.on_perc) == ("SET", 0, 0.1))
    bed.fault(config, "numbers")
    run = bed.start(*few, "--set", f"learning_rate={config.learning_rate},1e30")
    assert run.wait() == 0, run.text
    df = analysis.load(bed.folder, ["val_loss", "train_loss", "val_acc", "numpy", "torch", "a/b"])
    assert len(df) == 2 and set(df["status"]) == {"complete"}
    history = analysis.load_history(bed.folder)
    for name in ["val_loss", "train_loss", "val_acc", "numpy", "torch", "a/b", "density"]:
        assert is_numeric_dtype(history[name]), name
    odd = history[history["trial_id"] == identity(config)].set_index("epoch")
    assert math.isnan(odd["val_loss"][3]) and odd["train_loss"][3] == math.inf
    assert (odd["numpy"][3], odd["torch"][3], odd["a/b"][3]) == (0.5, 0.25, 3)
    assert math.isnan(odd["density"][3]) and odd["numpy"].drop(3).isna().all()
    whole = [row for row in reference[folder_name(config)] if row["training_iteration"] != 3]
    assert list(odd["val_acc"].drop(3)) == [row["val_acc"] for row in whole]
    diverged = history[history["trial_id"] != identity(config)]
    assert diverged["val_loss"].isna().any() or not diverged["val_loss"].map(math.isfinite).all()
    assert f"({folder_name(config)})" in run.text, "the best is never the diverged one"
    assert not bed.observer.problems
    held("I2", "I4", "I6")
