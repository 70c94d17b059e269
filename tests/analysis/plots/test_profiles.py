"""plot_performance_profile: lines, bands, and what it says."""

import pytest

pytest.importorskip("plotly")

from support.grids import fail
from support.many_data_sets import noise, two_methods
from support.plot_frames import numbers, traces

from analysis import performance_profile
from analysis.plots import plot_performance_profile

METRIC = "val_acc_max"


def test_lines_and_bands_are_the_numbers() -> None:
    df = two_methods()
    fig = plot_performance_profile(df, "model", METRIC)
    table = performance_profile(df, "model", METRIC)
    for model in "ab":
        own = table[table["model"] == model]
        (line,), (band,) = traces(fig, "means", model), traces(fig, "band", model)
        assert numbers(line.x) == own["threshold"].tolist() and numbers(line.y) == own["share"].tolist()
        assert numbers(band.y) == [*own["high"], *own["low"][::-1]]
        assert line.hovertext[0].startswith(f"<b>{model}</b><br>share: ") and "n=48" in line.hovertext[0]
        assert line.hovertemplate.startswith("val_acc_max &gt; %{x}")
    assert fig.layout.yaxis.title.text == "share of trials with val_acc_max &gt; threshold"
    assert "all 96 trials shown" in fig.layout.title.text and "and its 95% interval" in fig.layout.title.text
    lowest = plot_performance_profile(df, "model", METRIC, lowest=True, thresholds=[0.2, 0.5])
    assert lowest.layout.yaxis.title.text == "share of trials with val_acc_max &lt; threshold"


def test_without_intervals_the_title_says_why() -> None:
    fig = plot_performance_profile(noise(9, ["a", "b"]), "model", "acc")
    assert "without an interval: a block has a" in fig.layout.title.text
    pooled = plot_performance_profile(noise(9, ["a", "b"]), "model", "acc", blocks="status")
    assert "and its 95% interval" in pooled.layout.title.text


def test_what_is_left_out_is_named() -> None:
    df = two_methods()
    fig = plot_performance_profile(fail(df, df["seed"] == 0), "model", METRIC)
    assert "84 of 96 trials shown; left out: 12 failed" in fig.layout.title.text
    only_a = plot_performance_profile(fail(df, df["model"] == "b"), "model", METRIC)
    assert [trace.legendgroup for trace in traces(only_a, "means")] == ["a"]


def test_messages() -> None:
    df = two_methods()
    with pytest.raises(ValueError, match="Unknown column 'modle'"):
        plot_performance_profile(df, "modle", METRIC)
    with pytest.raises(ValueError, match="Nothing to plot: no complete trial has a finite val_acc_max; 96 failed"):
        plot_performance_profile(fail(df, df["seed"] >= 0), "model", METRIC)
