"""plot_curves: the mean of each epoch."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("plotly")

from support.plot_frames import grid, history, numbers, traces

from analysis import load_example_history
from analysis.plots import plot_curves


def test_epochs_have_whole_numbers() -> None:
    assert plot_curves(history(), "val_acc", "model").layout.xaxis.dtick == 1
    many = pd.concat([history().assign(epoch=lambda df, n=n: df["epoch"] + 4 * n) for n in range(10)])
    assert plot_curves(many, "val_acc", "model").layout.xaxis.dtick is None


def test_curves_draw_the_mean_of_each_epoch() -> None:
    df = history()
    fig = plot_curves(df, "val_acc", ["model", "on"])
    assert [trace.legendgroup for trace in traces(fig, "means")] == ["a, 0.1", "a, 0.2", "b, 0.1", "b, 0.2"]
    expected = df[(df["model"] == "b") & (df["on"] == 0.1)].groupby("epoch")["val_acc"].agg(["mean", "std", "count"])
    (line,), (band,) = traces(fig, "means", "b, 0.1"), traces(fig, "band", "b, 0.1")
    assert list(line.x) == [1, 2, 3, 4] and numbers(line.y) == pytest.approx(expected["mean"].tolist())
    assert [text.split("<br>")[-1] for text in line.hovertext] == ["n=3", "n=3", "n=2", "n=2"]
    # The t quantile of 2 degrees of freedom, from a table.
    half = 4.30265 * expected["std"][1] / np.sqrt(3)
    assert (band.y[0], band.y[-1]) == pytest.approx((expected["mean"][1] + half, expected["mean"][1] - half), rel=1e-5)
    assert "all 12 trials shown" in fig.layout.title.text and fig.layout.xaxis.title.text == "epoch"


def test_one_curve_of_all_trials() -> None:
    df = history()
    (band, line) = plot_curves(df, "val_acc").data
    assert numbers(line.y) == pytest.approx(df.groupby("epoch")["val_acc"].mean().tolist())
    assert not line.showlegend and band.fillcolor == "rgba(0, 114, 178, 0.22)"


def test_the_old_order_of_arguments_is_an_error_that_shows_the_new_one() -> None:
    df = load_example_history("quickstart")
    with pytest.raises(
        ValueError, match=r"got metric='on_perc' and by='val_acc'. Write plot_curves\(history, 'val_acc', 'o"
    ):
        plot_curves(df, "on_perc", "val_acc")
    with pytest.raises(ValueError, match=r"Write plot_curves\(history, 'val_acc', \['model', 'on_perc'\]\)"):
        plot_curves(df, ["model", "on_perc"], "val_acc")
    with pytest.raises(ValueError, match=r"Write plot_curves\(history, 'val_acc', None\)"):
        plot_curves(df, None, "val_acc")


def test_curves_show_the_best_groups() -> None:
    df = history()
    df.loc[df["trial_id"] == "a0.10", "val_acc"] = np.nan
    last = df[df["epoch"] == 4].groupby(["model", "on"])["val_acc"].mean()
    for lowest in (False, True):
        fig = plot_curves(df, "val_acc", ["model", "on"], top=2, lowest=lowest)
        shown = {f"{model}, {on}" for model, on in last.sort_values(ascending=lowest).index[:2]}
        assert {trace.legendgroup for trace in fig.data} == shown
        assert "2 of 4 groups by model, on shown: those with the best last val_acc" in fig.layout.title.text
        n = 6 - ("a, 0.1" in shown)
        assert f"{n} of 12 trials shown; left out: 1 without a finite val_acc" in fig.layout.title.text
        assert f"{11 - n} in groups that are not shown" in fig.layout.title.text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda df: plot_curves(history(), "val_acc", "modle"), r"Unknown column 'modle'\. Did you mean 'model'"),
        (lambda df: plot_curves(df, "val_acc_max", "model"), "This table has one row per trial"),
        (lambda df: plot_curves(history(), "val_ac", "model"), r"Unknown column 'val_ac'\. Did you mean 'val_acc'"),
        (lambda df: plot_curves(history(), "val_acc", "model", top=29), "top must be from 1 to 28"),
        (
            lambda df: plot_curves(history().assign(val_acc=np.nan), "val_acc", "model"),
            "the column 'val_acc' has no finite value",
        ),
    ],
)
def test_messages(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(grid())  # type: ignore[operator]


def test_panels_share_the_lines_and_the_axis() -> None:
    df = history()
    fig = plot_curves(df, "val_acc", "model", panel="on")
    assert [title.text for title in fig.layout.annotations] == ["on=0.1", "on=0.2"]
    assert [trace.name for trace in fig.data if trace.showlegend] == ["a", "b"]
    expected = df[(df["model"] == "b") & (df["on"] == 0.2)].groupby("epoch")["val_acc"].mean()
    *_, line = traces(fig, "means", "b")
    assert line.xaxis == "x2" and numbers(line.y) == pytest.approx(expected.tolist())
    assert fig.layout.yaxis.title.text == "val_acc" and fig.layout.yaxis2.title.text is None
    assert fig.layout.yaxis.range == fig.layout.yaxis2.range
    # A line that a panel lacks keeps its colour in the others.
    alone = plot_curves(df[(df["model"] == "b") | (df["on"] == 0.1)], "val_acc", "model", panel="on")
    assert {trace.line.color for trace in traces(alone, "means", "b")} == {"#D55E00"}
    with pytest.raises(ValueError, match="on an axis already"):
        plot_curves(df, "val_acc", ["model", "on"], panel="on")
