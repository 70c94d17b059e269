"""plot_axis: means, intervals, trials, groups and categories."""

import pytest

pytest.importorskip("plotly")

from support.plot_frames import MODELS, complete, grid, numbers, traces

from analysis import agg
from analysis.plots import plot_axis
from analysis.plots._lib.style import COLOURS


def test_axis_draws_the_means_their_intervals_and_every_trial() -> None:
    df = grid()
    fig = plot_axis(df, "on_perc", "val_acc_max", by="model")
    assert [trace.legendgroup for trace in traces(fig, "means")] == sorted(MODELS)
    for model in MODELS:
        own = complete(df[df["model"] == model])
        expected = own.groupby("on_perc")["val_acc_max"].agg(["mean", "count"])
        (line,), (band,), (points,) = (traces(fig, kind, model) for kind in ("means", "band", "trials"))
        assert numbers(line.x) == expected.index.tolist()
        assert numbers(line.y) == pytest.approx(expected["mean"].tolist())
        assert [text.split("<br>")[-1] for text in line.hovertext] == [f"n={n}" for n in expected["count"]]
        assert ["95%" in text for text in line.hovertext] == (expected["count"] > 1).tolist()
        assert sorted(zip(numbers(points.x), numbers(points.y), strict=True)) == sorted(
            zip(own["on_perc"], own["val_acc_max"], strict=True)
        )
        with_band = expected[expected["count"] > 1].index.tolist()
        assert numbers(band.x) == with_band + with_band[::-1]
        table = agg(own, "on_perc", "val_acc_max").set_index("on_perc").loc[with_band]
        assert numbers(band.y) == pytest.approx([*table["high"], *table["low"][::-1]])
        colours = {line.line.color, line.marker.color, points.marker.color}
        assert len(colours) == 1 and colours <= set(COLOURS)
    assert fig.layout.xaxis.title.text == "on_perc" and fig.layout.yaxis.title.text == "val_acc_max"
    assert "&lt;b&gt;&amp;" in [trace.name for trace in fig.data]


def test_hover_texts_have_the_trial_and_what_varies() -> None:
    df = grid().assign(constant=1)
    (points,) = traces(plot_axis(df, "on_perc", "val_acc_max"), "trials")
    own = complete(df)
    assert len(points.hovertext) == len(own)
    for text, y in zip(points.hovertext, points.y, strict=True):
        trial = own[own["val_acc_max"] == y].iloc[0]
        assert text.startswith(f"<b>trial_id: {trial['trial_id']}</b><br>")
        assert f"seed: {trial['seed']}" in text and f"sizes: {trial['sizes']}" in text and "constant" not in text


def test_only_the_best_groups_are_shown_and_the_title_says_so() -> None:
    df = grid()
    means = complete(df).groupby("model")["val_acc_max"].mean()
    for lowest in (False, True):
        fig = plot_axis(df, "on_perc", "val_acc_max", by="model", top=1, lowest=lowest)
        assert [t.legendgroup for t in traces(fig, "means")] == [means.idxmin() if lowest else means.idxmax()]
        assert "1 of 3 groups by model shown: those with the best mean val_acc_max" in fig.layout.title.text
        assert "18 in groups that are not shown" in fig.layout.title.text.replace("<br>", " ")


def test_categories_stand_side_by_side_with_bars() -> None:
    df = grid()
    for x, texts in (("kwinners", ["False", "True"]), ("sizes", ["(3, 1)", "(5,)"])):
        fig = plot_axis(df, x, "val_acc_max", by="on_perc")
        assert fig.layout.xaxis.type == "category" and list(fig.layout.xaxis.categoryarray) == texts
        assert fig.layout.scattermode == "group" and not traces(fig, "band")
        (line,) = traces(fig, "means", "0.2")
        table = agg(df[df["on_perc"] == 0.2], x, "val_acc_max")
        assert list(line.x) == texts and numbers(line.y) == pytest.approx(table["mean"].tolist())
        assert numbers(line.error_y.array) == pytest.approx((table["high"] - table["mean"]).tolist())


def test_the_mean_of_a_category_stands_on_its_trials() -> None:
    fig = plot_axis(grid(), "model", "val_acc_max")
    (points,), (line,) = traces(fig, "trials"), traces(fig, "means")
    assert points.offsetgroup == line.offsetgroup and points.offsetgroup, "an empty name is no group to plotly"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda df: plot_axis(df, "on_prec", "val_acc_max"), r"Unknown column 'on_prec'\. Did you mean 'on_perc'"),
        (lambda df: plot_axis(df, "on_perc", "val_acc"), r"Unknown column 'val_acc'\. Did you mean 'val_acc_max'"),
        (
            lambda df: plot_axis(df, "on_perc", "val_acc_max", by="modle"),
            r"Unknown column 'modle'\. Did you mean 'model'",
        ),
        (lambda df: plot_axis(df, "on_perc", "model"), "metric must be a column of numbers, got 'model'"),
        (
            lambda df: plot_axis(df, "on_perc", "val_acc_max", by="on_perc"),
            r"by must not name a column that is on an axis already, got \['on_perc'\]",
        ),
        (
            lambda df: plot_axis(df, "on_perc", "val_acc_max", top=0),
            r"top must be from 1 to 28, the number of .*, got 0\.",
        ),
        (lambda df: plot_axis(df.drop(columns="status"), "on_perc", "val_acc_max"), "Unknown column 'status'"),
        (lambda df: plot_axis(df[:0], "on_perc", "val_acc_max"), "the DataFrame has no rows"),
        (
            lambda df: plot_axis(df[df["status"] == "error"], "on_perc", "val_acc_max"),
            r"Nothing to plot: no complete trial has a finite val_acc_max; 3 failed\.",
        ),
    ],
)
def test_messages(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(grid())  # type: ignore[operator]
