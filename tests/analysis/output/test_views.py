"""The state of the browser as plain data: what it shows, in which order, and what is left of it elsewhere."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from support.trial_folders import write_trial

from analysis import as_trials, load
from analysis.output.views import (
    MOST_VALUES,
    View,
    choices_of,
    first_view,
    fitted,
    shown_trials,
    sorted_by,
    with_metric,
)


@pytest.fixture
def df(tmp_path: Path) -> pd.DataFrame:
    """2 models x 2 clip norms, one of them None, x 2 seeds."""
    for n in range(8):
        config = {"model": ["SET", "RigL"][n // 4], "clip_norm": [None, 0.5][n // 2 % 2], "seed": n % 2}
        write_trial(tmp_path / f"T_{n}", config, {"val_acc": [0.1 * n, 0.05 * n], "train_acc": [0.5, 0.6]})
    return load(tmp_path)


def view_of(df: pd.DataFrame) -> View:
    return first_view(df, choices_of(df, None))


def test_the_first_view_has_all_trials_the_best_first(df: pd.DataFrame) -> None:
    view = view_of(df)
    assert view == View(
        metric="val_acc_max",
        filters={},
        columns=("val_acc_max", "model", "clip_norm", "seed", "status", "epochs", "trial_dir"),
        sort_by="val_acc_max",
        descending=True,
        rows="clip_norm",
        across="model",
        curves_by="model",
    )
    assert list(shown_trials(df, view)["trial_dir"]) == [f"T_{n}" for n in range(7, -1, -1)]


def test_another_metric_takes_the_place_of_the_old_one(df: pd.DataFrame) -> None:
    view = with_metric(view_of(df), "train_acc_last")
    assert view.columns[:2] == ("train_acc_last", "model") and view.sort_by == "train_acc_last"
    loss = with_metric(view, "val_loss_min")
    assert loss.sort_by == "val_loss_min" and not loss.descending
    by_seed = with_metric(replace(view, sort_by="seed", descending=False), "val_acc_max")
    assert (by_seed.metric, by_seed.sort_by, by_seed.descending) == ("val_acc_max", "seed", False)
    both = with_metric(replace(view, columns=("train_acc_last", "val_acc_max")), "val_acc_max")
    assert both.columns == ("train_acc_last", "val_acc_max")


def test_a_column_is_sorted_one_way_and_then_the_other(df: pd.DataFrame) -> None:
    view = sorted_by(df, view_of(df), "model")
    # Ties stay in the order of the hyperparameters.
    assert list(shown_trials(df, view)["trial_dir"]) == ["T_6", "T_7", "T_4", "T_5", "T_2", "T_3", "T_0", "T_1"]
    assert list(shown_trials(df, sorted_by(df, view, "model"))["model"]) == ["SET"] * 4 + ["RigL"] * 4
    best = sorted_by(df, view, "val_acc_last")
    assert shown_trials(df, best)["val_acc_last"].is_monotonic_decreasing


def test_missing_values_come_last_and_can_be_chosen(df: pd.DataFrame) -> None:
    view = replace(view_of(df), sort_by="clip_norm", descending=True)
    assert shown_trials(df, view)["clip_norm"].isna().tolist() == [False] * 4 + [True] * 4
    chosen = replace(view, filters={"clip_norm": (None,), "model": ("SET",)})
    assert set(shown_trials(df, chosen)["trial_dir"]) == {"T_0", "T_1"}
    assert len(shown_trials(df, replace(view, filters={"model": ()}))) == 0


def test_values_without_an_order_are_sorted_as_text() -> None:
    df = as_trials(pd.DataFrame({"width": [10, "auto", 2, None], "val": [1.0, 2.0, 3.0, 4.0]}), ["width"], ["val"])
    view = replace(first_view(df, choices_of(df, "val")), sort_by="width", descending=False)
    assert list(shown_trials(df, view)["width"].astype(str))[:3] == ["10", "2", "auto"]


def test_a_column_of_many_or_of_other_values_has_no_list(tmp_path: Path) -> None:
    n = MOST_VALUES + 1
    columns = {"day": pd.date_range("2020-01-01", periods=2).repeat(n)[:n], "step": range(n), "kind": ["a", "b"] * n}
    df = pd.DataFrame({name: list(values)[:n] for name, values in columns.items()}).assign(acc=0.5)
    choices = choices_of(as_trials(df, ["day", "step", "kind"], ["acc"]), "acc")
    assert choices.filters == {"kind": ["a", "b"], "status": ["complete"]}
    assert choices.groups == ["kind"] and "day" in choices.columns


def test_a_view_of_other_trials_is_shown_as_far_as_they_have_it(df: pd.DataFrame) -> None:
    usual, choices = view_of(df), choices_of(df, None)
    other = View(
        metric="val_loss_min",
        filters={"model": ("GMP", "SET"), "clip_norm": (7.0,), "width": (), "seed": ()},
        columns=("width", "seed", "seed"),
        sort_by="width",
        descending=False,
        rows="seed",
        across="width",
        curves_by="model",
    )
    view, lost = fitted(other, usual, choices)
    assert lost == ["clip_norm", "width", "val_loss_min"]
    expected = replace(usual, filters={"model": ("SET",), "seed": ()}, columns=("seed",), rows="seed")
    assert view == replace(expected, curves_by="model")
    assert fitted(replace(other, columns=("width",)), usual, choices)[0].columns == usual.columns
    assert fitted(usual, usual, choices) == (usual, [])


def test_a_filter_of_all_values_is_none(df: pd.DataFrame) -> None:
    usual, choices = view_of(df), choices_of(df, None)
    assert fitted(replace(usual, filters={"seed": (1, 0)}), usual, choices)[0].filters == {}
