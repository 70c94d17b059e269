"""curves and epochs_to on loaded folders, by hand and against plain pandas."""

import math
from pathlib import Path

import pandas as pd
import pytest
import scipy.stats
from support.trial_folders import write_trial

import analysis
from analysis import curves, epochs_to


@pytest.fixture
def history(tmp_path: Path) -> pd.DataFrame:
    """At 0.1 two trials, of which one stopped after two epochs; at 0.2 one."""
    for n, (on_perc, seed, values) in enumerate(
        [(0.2, 0, [0.5, 0.5, 0.9]), (0.1, 1, [0.2, 0.8, 0.6]), (0.1, 0, [0.4, 0.6])]
    ):
        config = {"on_perc": on_perc, "seed": seed, "constant": 1, "sizes": [3, 1]}
        loss = [1 - value for value in values]
        write_trial(tmp_path / f"T_{n}", config, {"val_acc": values, "val_loss": loss}, done=len(values) == 3)
    return analysis.load_history(tmp_path)


def test_curves(history: pd.DataFrame) -> None:
    table = curves(history, "on_perc", "val_acc")
    assert list(table.columns) == ["on_perc", "epoch", "mean", "std", "low", "high", "count", "diverged"]
    assert table[["on_perc", "epoch", "count"]].values.tolist() == [
        [0.1, 1, 2],
        [0.1, 2, 2],
        [0.1, 3, 1],
        [0.2, 1, 1],
        [0.2, 2, 1],
        [0.2, 3, 1],
    ]
    assert table["mean"].tolist() == pytest.approx([0.3, 0.7, 0.6, 0.5, 0.5, 0.9])
    expected = scipy.stats.t.interval(0.95, 1, 0.3, scipy.stats.sem([0.2, 0.4]))
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx(list(expected))
    assert table["std"].isna().tolist() == table["low"].isna().tolist() == [False, False, True, True, True, True]


def test_curves_of_several_keys_and_of_none(history: pd.DataFrame) -> None:
    table = curves(history, ["sizes", "seed"], "val_acc")
    assert list(table.columns)[:3] == ["sizes", "seed", "epoch"] and table["count"].tolist() == [2, 2, 1, 1, 1, 1]
    overall = curves(history, [], "val_acc")
    assert overall["epoch"].tolist() == [1, 2, 3]
    assert overall["mean"].tolist() == pytest.approx(history.groupby("epoch")["val_acc"].mean().tolist())


def test_epochs_to(history: pd.DataFrame) -> None:
    table = epochs_to(history, "val_acc", 0.6)
    assert list(table.columns) == ["trial_id", "trial_dir", "on_perc", "seed", "first_epoch", "reached", "last_epoch"]
    assert table.iloc[:, 1:].values.tolist() == [
        ["T_2", 0.1, 0, 2, True, 2],
        ["T_1", 0.1, 1, 2, True, 3],
        ["T_0", 0.2, 0, 3, True, 3],
    ]
    table = epochs_to(history, "val_acc", 0.7)
    assert table["reached"].tolist() == [False, True, True] and table["reached"].dtype == bool
    assert math.isnan(table["first_epoch"][0]) and table["first_epoch"].tolist()[1:] == [2, 3]
    assert not epochs_to(history, "val_acc", 0.91)["reached"].any()


def test_epochs_to_a_low_level(history: pd.DataFrame) -> None:
    table = epochs_to(history, "val_loss", 0.5, lowest=True)
    assert table["first_epoch"].tolist() == [2, 2, 1], "0.5 is reached when equal"


def test_a_metric_that_is_missing_reaches_nothing(history: pd.DataFrame) -> None:
    blank = history.assign(val_acc=history["val_acc"].where(history["trial_dir"] != "T_0"))
    assert epochs_to(blank, "val_acc", 0.6)["reached"].tolist() == [True, True, False]
    assert curves(blank, "on_perc", "val_acc")["count"].tolist() == [2, 2, 1, 0, 0, 0]


def test_trials_that_differ_in_nothing_are_still_two(history: pd.DataFrame) -> None:
    table = epochs_to(history.drop(columns=["on_perc", "seed"]), "val_acc", 0.6)
    assert table["trial_dir"].tolist() == ["T_0", "T_1", "T_2"] and table["first_epoch"].tolist() == [3, 2, 2]
    assert list(table.columns) == ["trial_id", "trial_dir", "first_epoch", "reached", "last_epoch"]


def test_order_of_rows_does_not_matter_and_arguments_stay(history: pd.DataFrame) -> None:
    before = history.copy()
    tables = curves(history, "on_perc", "val_acc"), epochs_to(history, "val_acc", 0.6)
    pd.testing.assert_frame_equal(history, before)
    mixed = history.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(curves(mixed, "on_perc", "val_acc"), tables[0])
    pd.testing.assert_frame_equal(epochs_to(mixed, "val_acc", 0.6), tables[1])


def test_errors(history: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"Unknown column 'on_prec'\. Did you mean 'on_perc'"):
        curves(history, "on_prec", "val_acc")
    with pytest.raises(ValueError, match=r"Unknown column 'val_ac'\. Did you mean 'val_acc'"):
        curves(history, "on_perc", "val_ac")
    with pytest.raises(ValueError, match=r"each named once, got \['on_perc', 'epoch', 'epoch'\]"):
        curves(history, ["on_perc", "epoch"], "val_acc")
    with pytest.raises(ValueError, match="metric must be a column of numbers, got 'trial_dir'"):
        curves(history, "on_perc", "trial_dir")
    with pytest.raises(ValueError, match=r"Unknown column 'val_ac'\. Did you mean 'val_acc'"):
        epochs_to(history, "val_ac", 0.5)
    with pytest.raises(ValueError, match="metric must be a column of numbers, got 'sizes'"):
        epochs_to(history, "sizes", 0.5)
    with pytest.raises(ValueError, match="Unknown column 'epoch'"):
        epochs_to(history.drop(columns="epoch"), "val_acc", 0.5)


def test_curves_where_a_hyperparameter_is_missing(history: pd.DataFrame) -> None:
    table = curves(history.assign(on_perc=history["on_perc"].mask(history["on_perc"] == 0.2)), "on_perc", "val_acc")
    assert table[table["on_perc"].isna()]["mean"].tolist() == [0.5, 0.5, 0.9]
    assert table["diverged"].tolist() == [0] * 6


def test_a_hyperparameter_that_changes_within_a_trial_is_none_of_the_trial(history: pd.DataFrame) -> None:
    changing = {"rate": [0.1, 0.1, 0.2], "late": [math.nan, 1, 1]}
    longest = history.groupby("trial_id")["epoch"].transform("max") == 3
    for name, values in changing.items():
        history[name] = 0.3
        history.loc[longest, name] = values * 2
    history = analysis.as_trials(history, ["on_perc", "seed", *changing], ["val_acc"])
    assert list(epochs_to(history, "val_acc", 0.6).columns) == [
        "trial_id", "trial_dir", "on_perc", "seed", "first_epoch", "reached", "last_epoch",
    ]  # fmt: skip
