"""The epoch is chosen by a validation metric, and the test set is reported there."""

import math
from pathlib import Path

import pandas as pd
import pytest
from support.trial_folders import write_trial

import analysis
from analysis import agg, at_best, load_example
from analysis.statistics.selection import selection_note, validation_metric

ROWS = {
    # Two best epochs: the first counts.
    0: {"val_acc": [0.5, 0.8, 0.8], "test_acc": [0.4, 0.6, 0.9], "val_loss": [3.0, 1.0, 0.5]},
    1: {"val_acc": [0.7, math.nan, 0.6], "test_acc": [0.1, 0.9, 0.3], "val_loss": [1.0, 2.0, 3.0]},
    # Never validated.
    2: {"val_acc": [math.nan] * 3, "test_acc": [0.2, 0.2, 0.2], "val_loss": [math.nan] * 3},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, rows in ROWS.items():
        write_trial(tmp_path / f"T_{seed}", {"seed": seed, "val_fraction": 0.1}, rows)
    return tmp_path


def test_load_reports_the_test_accuracy_of_the_best_validation_epoch(folder: Path) -> None:
    df = analysis.load(folder)
    assert df["test_acc_at_best"].fillna(-1).tolist() == [0.6, 0.1, -1]
    assert "test_acc_at_best" in analysis.metrics(df) and "test_acc_at_best" not in analysis.hyperparameters(df)
    # Without a schema its name says what it is.
    bare = df.copy()
    bare.attrs = {}
    assert "test_acc_at_best" in analysis.metrics(bare)


def test_an_infinite_value_chooses_no_epoch() -> None:
    trial = {"trial_id": "0", "trial_dir": "T_0"}
    history = pd.DataFrame({**trial, "epoch": [1, 2, 3], "test_acc": [0.1, 0.2, 0.3], "loss": [-math.inf, 0.5, 0.7]})
    assert at_best(pd.DataFrame([trial]), history, "test_acc", by="loss")["test_acc_at_best_loss"].tolist() == [0.2]


def test_any_metric_may_choose_the_epoch(folder: Path) -> None:
    df, history = analysis.load(folder), analysis.load_history(folder)
    found = at_best(df, history, "test_acc", by="val_loss")
    assert found["test_acc_at_best_val_loss"].fillna(-1).tolist() == [0.9, 0.1, -1]
    assert at_best(df, history, "test_acc")["test_acc_at_best_val_acc"].equals(
        df["test_acc_at_best"].rename("test_acc_at_best_val_acc")
    )
    highest = at_best(df, history, "test_acc", by="val_loss", lowest=False)
    assert highest["test_acc_at_best_val_loss"].fillna(-1).tolist() == [0.4, 0.3, -1]
    # The new column is a metric, and the arguments are as they were.
    assert agg(found, "val_fraction", "test_acc_at_best_val_loss")["count"].tolist() == [2]
    assert "test_acc_at_best_val_loss" not in df


def test_the_rows_may_have_any_order(folder: Path) -> None:
    df, history = analysis.load(folder), analysis.load_history(folder)
    shuffled = at_best(df.iloc[[2, 0, 1]], history.sample(frac=1, random_state=0), "test_acc")
    assert shuffled["test_acc_at_best_val_acc"].fillna(-1).tolist() == [-1, 0.6, 0.1]
    assert shuffled.index.tolist() == [2, 0, 1]


def test_a_column_that_does_not_exist(folder: Path) -> None:
    df, history = analysis.load(folder), analysis.load_history(folder)
    with pytest.raises(ValueError, match="Unknown column 'val_los'"):
        at_best(df, history, "test_acc", by="val_los")
    with pytest.raises(ValueError, match="Pass one with a row per epoch"):
        at_best(df, df, "test_acc_at_best", by="val_acc_max")


@pytest.mark.parametrize(
    ("metric", "val_fraction", "is_noted"),
    [
        ("val_acc_max", 0, True),
        ("val_acc_max", 0.1, False),
        ("val_acc_last", 0, False),
        ("test_acc_max", 0.1, True),
        ("test_acc_at_best", 0.1, False),
        ("val_loss_min", 0, True),
        ("val_loss_max", 0, False),
        ("train_acc_max", 0, False),
    ],
)
def test_the_best_epoch_of_the_test_set_is_noted(metric: str, val_fraction: float, is_noted: bool) -> None:
    note = selection_note(pd.DataFrame({metric: [0.9], "val_fraction": [val_fraction]}), metric)
    assert bool(note) == is_noted
    if is_noted:
        assert "val_fraction=0.1" in note and "_last" in note


def test_other_programs_say_nothing_about_their_validation_set() -> None:
    assert selection_note(pd.DataFrame({"val_acc_max": [0.9]}), "val_acc_max") == ""


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("test_acc_at_best", "val_acc_max"), ("test_acc_last", "val_acc_last"), ("test_acc_max", "val_acc_max"),
        ("val_acc_max", "val_acc_max"), ("train_acc_max", "train_acc_max"), ("flops_train", "flops_train"),
        ("test_loss_min", "test_loss_min"),
    ],
)  # fmt: skip
def test_a_metric_of_the_test_set_has_one_that_chooses_without_it(metric: str, expected: str) -> None:
    df = load_example("quickstart").assign(test_loss_min=0.1)
    assert validation_metric(df, metric) == expected
    # Nothing is held out: whatever chooses is of the test set.
    assert validation_metric(df.assign(val_fraction=0.0), metric) == metric
