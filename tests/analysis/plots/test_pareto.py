"""plot_pareto: means of settings over their mean cost, and the front of these means."""

import numpy as np
import pandas as pd
import pytest

go = pytest.importorskip("plotly.graph_objects")

from support.grids import fail, grid, noisy  # noqa: E402

from analysis import as_trials  # noqa: E402
from analysis.plots import plot_pareto  # noqa: E402

METRIC = "val_acc_max"


@pytest.fixture
def df() -> pd.DataFrame:
    """RigL takes 1.6 times the operations of SET; 3 densities, 3 seeds, which differ a little in their cost."""
    df = grid(noisy(0, 0.01, on_perc=1.0), model=["RigL", "SET"], on_perc=[0.01, 0.05, 0.2], seed=range(3))
    factor = df["model"].map({"RigL": 1.6, "SET": 1.0})
    df["flops_train"] = 1e7 * df["on_perc"] * factor * (1 + 0.001 * df["seed"])
    return as_trials(df, ["model", "on_perc", "seed"], [METRIC, "flops_train"])


def drawn(fig: go.Figure, meta: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y)) for trace in fig.data if trace.meta == meta for x, y in zip(trace.x, trace.y, strict=True)
    ]


@pytest.mark.parametrize("lowest", [False, True])
def test_it_draws_the_means_of_plain_pandas_and_their_front(df: pd.DataFrame, lowest: bool) -> None:
    fig = plot_pareto(df, METRIC, by="model", lowest=lowest)
    table = df.groupby(["model", "on_perc"])[["flops_train", METRIC]].mean().reset_index()
    expected = list(zip(table["flops_train"] / 1e6, table[METRIC], strict=True))
    assert np.array(drawn(fig, "means")) == pytest.approx(np.array(expected))
    assert sorted(drawn(fig, "trials")) == pytest.approx(sorted(zip(df["flops_train"] / 1e6, df[METRIC], strict=True)))
    sign = -1 if lowest else 1
    front = [p for p in expected if not any(q != p and q[0] <= p[0] and sign * q[1] >= sign * p[1] for q in expected)]
    assert np.array(drawn(fig, "front")) == pytest.approx(np.array(sorted(front)))


def test_labels_have_units_and_the_axis_suits_the_costs(df: pd.DataFrame) -> None:
    axis = plot_pareto(df, METRIC).layout.xaxis
    assert axis.title.text == "flops_train (MFLOPs per example)" and axis.type == "log"
    thousands = plot_pareto(df.assign(flops_train=df["flops_train"] / 1e3), METRIC).layout.xaxis.title.text
    assert thousands == "flops_train (kFLOPs per example)"
    ratio = df.assign(flops_train_ratio=df["flops_train"] / 1e7)
    assert (
        plot_pareto(ratio, METRIC, "flops_train_ratio").layout.xaxis.title.text
        == "flops_train_ratio (1: dense network)"
    )
    one = plot_pareto(df[df["on_perc"] == 0.05], METRIC).layout.xaxis
    assert one.type is None, "a factor of 1.6 needs no logarithm"


def test_trials_that_are_left_out_are_counted(df: pd.DataFrame) -> None:
    df = fail(df, (df["model"] == "SET") & (df["seed"] == 0))
    df.loc[df["trial_id"] == "0", "flops_train"] = np.nan
    title = (
        plot_pareto(df, METRIC)
        .layout.title.text.replace('<br><span style="font-size:12px">', " ")
        .replace("</span>", "")
    )
    assert "1 of 18 trials left out without a finite flops_train; of the others, 14 of 17 trials shown" in title
    assert "left out: 3 failed" in title
    with pytest.raises(
        ValueError, match="Nothing to plot: no complete trial with a finite val_acc_max has a finite flops"
    ):
        plot_pareto(df.assign(flops_train=np.nan), METRIC)
    with pytest.raises(ValueError, match="No trial has logged 'flops_train'"):
        plot_pareto(df.drop(columns="flops_train"), METRIC)
    with pytest.raises(ValueError, match="metric and cost must be different columns"):
        plot_pareto(df, "flops_train")


def test_a_single_setting_is_one_point(df: pd.DataFrame) -> None:
    one = df[(df["model"] == "SET") & (df["on_perc"] == 0.05)]
    assert drawn(plot_pareto(one, METRIC), "front") == drawn(plot_pareto(one, METRIC), "means")


def many_methods(n: int) -> pd.DataFrame:
    """Return a grid in which method 0 is the cheapest and worst, and each other one costs more than the one before.

    Each method has two densities; the second costs a little more and is a little worse, so it is not on the front.
    """
    df = grid(
        lambda model, on_perc, seed: 0.5 + 0.05 * model - on_perc, model=range(n), on_perc=[0.1, 0.11], seed=[0, 1]
    )
    df["flops_train"] = 1e6 * (1 + df["model"] + df["on_perc"])
    return as_trials(
        df.assign(model="m" + df["model"].astype(str)), ["model", "on_perc", "seed"], [METRIC, "flops_train"]
    )


def test_groups_on_the_front_are_shown_first() -> None:
    df = many_methods(9)
    # Method 1 has almost the best mean, but it costs most. Method 0 has the worst, and is the cheapest.
    df.loc[df["model"] == "m1", "flops_train"] = 2e7
    df.loc[df["model"] == "m1", METRIC] = 0.79
    fig = plot_pareto(df, METRIC, by="model", top=8)
    names = {trace.name for trace in fig.data if trace.showlegend}
    assert names == {"Pareto front", *(f"m{i}" for i in (0, 2, 3, 4, 5, 6, 7, 8))}
    assert "8 of 9 groups by model shown" in fig.layout.title.text
    assert "on the front in groups" not in fig.layout.title.text


def test_the_front_is_that_of_all_settings_also_of_groups_that_are_not_shown() -> None:
    df = many_methods(10)
    fig = plot_pareto(df, METRIC, by="model")
    table = df[df["on_perc"] == 0.1].groupby("model")[["flops_train", METRIC]].mean()
    expected = list(zip(table["flops_train"] / 1e6, table[METRIC], strict=True))
    assert np.array(drawn(fig, "front")) == pytest.approx(np.array(expected))
    assert len(drawn(fig, "means")) == 2 * 7
    assert "3 of 10 settings on the front in groups that are not shown" in fig.layout.title.text
    bottom, _ = fig.layout.yaxis.range
    assert bottom < table[METRIC].min(), "the whole front is in the picture"
