"""Trials that diverged: never the best, left out of every statistic, and counted wherever they are left out."""

import math
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("plotly")
pytest.importorskip("itables")

from support.grids import grid
from support.trial_folders import write_trial

import analysis
from analysis import (
    agg,
    anova,
    as_trials,
    best,
    compare,
    correlation,
    curves,
    failures,
    importance,
    left_out,
    pareto,
    pivot,
    survivorship,
)
from analysis.output import report
from analysis.plots import plot_axis, plot_curves, plot_parallel, plot_pareto, plot_pivot

METRIC = "val_acc_max"
AXES = ["model", "lr", "seed"]


@pytest.fixture
def df() -> pd.DataFrame:
    """Models a and b, rates 0.1 and 1, 6 seeds. At rate 1, b reaches 0.99 and diverges, with 4 of 6 seeds."""
    df = grid(
        lambda model, lr, seed: (0.99 if model == "b" and lr == 1 else 0.8) + 0.001 * seed + 0.01 * lr,
        model=["a", "b"],
        lr=[0.1, 1.0],
        seed=range(6),
    )
    diverged = (df["model"] == "b") & (df["lr"] == 1) & (df["seed"] < 4)
    df = df.assign(diverged=diverged, at_chance=False, epochs=3, error=None)
    return as_trials(df, AXES, [METRIC])


def kept(df: pd.DataFrame) -> pd.DataFrame:
    return df[~df["diverged"]]


def test_a_trial_that_diverged_is_never_the_best(df: pd.DataFrame) -> None:
    assert best(df, METRIC, n=24)["trial_dir"].tolist() == best(kept(df), METRIC, n=24)["trial_dir"].tolist()
    df = df.assign(flops_train=1.0 + df["lr"])
    front = pareto(df, METRIC, "flops_train")
    pd.testing.assert_frame_equal(front, pareto(kept(df), METRIC, "flops_train"))
    # If all diverged, there is no best.
    assert best(df.assign(diverged=True), METRIC).empty and pareto(df.assign(diverged=True), METRIC, "lr").empty


def test_every_statistic_leaves_them_out(df: pd.DataFrame) -> None:
    numbers = ["mean", "std", "low", "high", "min", "max", "count"]
    table = agg(df, ["model", "lr"], METRIC)
    pd.testing.assert_frame_equal(table[numbers], agg(kept(df), ["model", "lr"], METRIC)[numbers])
    assert table["diverged"].tolist() == [0, 0, 0, 4] and table["count"].tolist() == [6, 6, 6, 2]
    assert table["without_value"].sum() == 0
    pd.testing.assert_frame_equal(importance(df, METRIC), importance(kept(df), METRIC))
    pd.testing.assert_frame_equal(correlation(df, METRIC), correlation(kept(df), METRIC))
    same = ["pairs", "mean_a", "mean_b", "difference", "low", "high", "p", "unpaired"]
    pd.testing.assert_frame_equal(compare(df, AXES, METRIC)[same], compare(kept(df), AXES, METRIC)[same])
    with pytest.raises(
        ValueError, match=r"model='b', lr=1\.0 has 2 of 6 complete trials \(4 failed, incomplete, diver"
    ):
        anova(df, METRIC)
    table = survivorship(df, "model", METRIC)
    assert table[["n", "failed"]].values.tolist() == [[12, 0], [8, 4]]
    assert table["mean_failed_as_worst"][1] < table["mean_complete"][1]


def test_they_are_counted_in_tables(df: pd.DataFrame) -> None:
    cells = pivot(df, "model", "lr", METRIC)[1.0].tolist()
    assert cells == ["0.812 ± 0.002 (n=6)", "1.004 ± 0.001 (n=2, 4 diverged)"]
    assert pivot(df[df["diverged"]], "model", "lr", METRIC)[1.0].tolist() == ["– (4 diverged)"]
    assert left_out(df) == "left out: 4 diverged of 24 trials; settings that diverged: model=b (4 of 12)"
    both = df.assign(status=df["status"].mask(df["seed"] == 0, "error"))
    assert left_out(both).startswith("left out: 4 failed, 3 diverged of 24 trials"), "a failed trial is counted once"
    table = failures(both)
    assert table["status"].tolist() == ["error"] * 4 + ["complete"] * 3
    assert (table.loc[table["status"] == "complete", "error"] == "diverged: a loss is NaN or infinite").all()


def test_they_are_counted_in_comparisons(df: pd.DataFrame) -> None:
    (row,) = compare(df, "model", METRIC).to_dict("records")
    assert (row["left_out_a"], row["left_out_b"], row["diverged_a"], row["diverged_b"]) == (0, 4, 0, 4)
    text = "With model=b, 4 of 12 complete trials diverged and are left out: lr=1.0 (4 of 6)."
    assert text in row["conclusion"]
    assert "Trials diverged unequally (0 of 12 with model=a, 4 of 12 with b)" in row["conclusion"]
    none = compare(df.assign(diverged=df["model"] == "b"), "model", METRIC)["conclusion"][0]
    assert none.startswith(
        "val_acc_max with model=a and with b cannot be compared: of the 12 trials with model=b, all diver"
    )


def test_they_are_counted_in_plots_and_the_report(df: pd.DataFrame) -> None:
    for fig in (
        plot_axis(df, "lr", METRIC, by="model"),
        plot_pareto(df.assign(flops_train=1.0), METRIC, "flops_train"),
        plot_pivot(df, "model", "lr", METRIC),
        plot_parallel(df, METRIC),
    ):
        assert "20 of 24 trials shown; left out: 4 diverged" in fig.layout.title.text
    assert plot_pivot(df, "model", "lr", METRIC).data[1].text[3] == "1.004<br>n=2<br>4 diverged"
    page = report(df, METRIC)
    assert "Left out: 4 diverged of 24 trials" in page
    assert "4 of 24 complete trials diverged. No number on this page includes them. They have these settings:" in page
    assert "<li>model=b (4 of 12)</li>" in page
    first = best(df, METRIC)["trial_dir"][0]
    table = page[page.index('<section id="best-trials"') : page.index('<section id="trials-with-problems"')]
    assert first in table and not any(name in table for name in df.loc[df["diverged"], "trial_dir"])


def test_without_the_column_they_count_like_others(df: pd.DataFrame) -> None:
    asked = df.drop(columns="diverged")
    assert agg(asked, "model", METRIC)["count"].tolist() == [12, 12]
    assert agg(asked, "model", METRIC)["diverged"].tolist() == [0, 0]
    assert left_out(asked) == "all 24 trials are complete"
    assert compare(asked, "model", METRIC)["pairs"].tolist() == [12]


def test_a_trial_that_diverged_is_not_also_at_chance(df: pd.DataFrame) -> None:
    table = agg(df.assign(at_chance=df["diverged"]), "model", METRIC)
    assert table[["diverged", "at_chance"]].values.tolist() == [[0, 0], [4, 0]]
    assert "chance" not in left_out(df.assign(at_chance=df["diverged"]))


def test_from_the_folders(tmp_path: Path) -> None:
    for seed, losses in enumerate([[1.0, 0.5, 0.4], [1.0, 0.5, math.nan], [1.0, math.inf, 0.6]]):
        accuracies = [0.3, 0.99 if seed == 1 else 0.8, 0.8 if seed != 1 else 0.1]
        write_trial(tmp_path / f"T_{seed}", {"lr": 0.1, "seed": seed}, {"val_acc": accuracies, "val_loss": losses})
    df, history = analysis.load(tmp_path), analysis.load_history(tmp_path)
    assert df["diverged"].tolist() == [False, True, False]
    assert best(df, METRIC)["seed"].tolist() == [0, 2]
    table = curves(history, "lr", "val_acc")
    assert table["mean"].tolist() == pytest.approx([0.3, 0.8, 0.8])
    assert table[["count", "diverged"]].values.tolist() == [[2, 1]] * 3
    assert "left out: 1 diverged" in plot_curves(history, "val_acc").layout.title.text
    with pytest.raises(ValueError, match=r"no finite value\. Pass history\.drop\(columns='diverged'\)"):
        plot_curves(history[history["diverged"]], "val_acc")
    counted = curves(history.drop(columns="diverged"), "lr", "val_acc")
    assert counted["count"].tolist() == [3, 3, 3] and counted["diverged"].tolist() == [0, 0, 0]
