"""The plots draw the numbers of pandas, and their titles say what is left out."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

go = pytest.importorskip("plotly.graph_objects")

from analysis import agg, failure_rates, importance, load_example_history  # noqa: E402
from analysis.plots import (  # noqa: E402
    plot_axis,
    plot_curves,
    plot_failures,
    plot_importance,
    plot_parallel,
    plot_pivot,
    plot_sparsity,
)
from analysis.plots._lib.matrix import text_colour  # noqa: E402
from analysis.plots._lib.scales import scale  # noqa: E402
from analysis.plots._lib.style import CELL_SCALE, CLEAR, COLOURS, TEXT, cut, labels, short, view  # noqa: E402
from analysis.plots.sparsity import front, sparsity_ticks  # noqa: E402

ROOT = Path(__file__).parents[3]
MODELS = ["RigL", "SET", "<b>&"]
DENSITIES = [0.01, 0.05, 0.2]


def grid() -> pd.DataFrame:
    """3 models, 3 densities, 3 seeds. SET at 0.01: 2 failed, 1 incomplete; RigL at 0.05: 1 failed, 1 infinite."""
    rng = np.random.default_rng(0)
    rows = []
    for i, (model, on_perc, seed) in enumerate(itertools.product(MODELS, DENSITIES, range(3))):
        status, value = "complete", float(rng.uniform(0.8, 0.9) + 0.05 * np.log10(on_perc))
        if model == "SET" and on_perc == 0.01:
            status = "error" if seed else "incomplete"
        if model == "RigL" and on_perc == 0.05 and seed < 2:
            status, value = ("error", value) if seed else ("complete", float("inf"))
        row = {"model": model, "on_perc": on_perc, "kwinners": i % 2 == 0, "sizes": [(3, 1), (5,)][i % 2], "seed": seed}
        rows.append(
            {"val_acc_max": value, "val_acc_max_epoch": 1, "epochs": 3, **row, "status": status, "trial_id": f"t{i}"}
        )
    df = pd.DataFrame(rows).assign(diverged=False, error=None, trial_dir="", experiment_file_name="x")
    # Neither the order of the rows nor the index has a meaning.
    return df.sample(frac=1, random_state=0).set_axis([7] * len(df))


def history() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    trials = itertools.product(["b", "a"], [0.1, 0.2], range(3))
    rows = [
        {
            "trial_id": f"{model}{on}{seed}",
            "epoch": epoch,
            "val_acc": rng.uniform(),
            "model": model,
            "on": on,
            "seed": seed,
        }
        for model, on, seed in trials
        for epoch in range(1, 3 if (model, on, seed) == ("b", 0.1, 0) else 5)
    ]
    return pd.DataFrame(rows)


def complete(df: pd.DataFrame) -> pd.DataFrame:
    return df[(df["status"] == "complete") & np.isfinite(df["val_acc_max"])]


def traces(fig: go.Figure, meta: str, name: str | None = None) -> list[go.Scatter]:
    return [trace for trace in fig.data if trace.meta == meta and name in (None, trace.legendgroup)]


def numbers(values: object) -> list[float]:
    return np.asarray(values, dtype=float).tolist()  # type: ignore[arg-type]


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


def test_titles_say_how_many_trials_are_shown_and_why_others_are_left_out() -> None:
    df = grid()
    # Of the 9 trials with seed 0, one is incomplete, and one is infinite.
    at_chance = plot_axis(df.assign(at_chance=df["seed"] == 0), "model", "val_acc_max").layout.title.text
    assert "22 of 27 trials shown, 7 of them at chance level; left out: 3 failed" in at_chance
    counts = "22 of 27 trials shown; left out: 3 failed, 1 incomplete, 1 without a finite val_acc_max"
    for fig in (
        plot_axis(df, "on_perc", "val_acc_max"),
        plot_pivot(df, "model", "on_perc", "val_acc_max"),
        plot_sparsity(df, "val_acc_max"),
        plot_parallel(df, "val_acc_max"),
        plot_importance(df, "val_acc_max"),
    ):
        assert counts in fig.layout.title.text.replace('<br><span style="font-size:12px">', " ").replace("</span>", "")
    assert "all 22 trials shown" in plot_axis(complete(df), "on_perc", "val_acc_max").layout.title.text
    assert "means are over kwinners (2 values), sizes (2 values), seed (3 values)" in plot_pivot(
        df, "model", "on_perc", "val_acc_max"
    ).layout.title.text.replace('</span><br><span style="font-size:12px">', " ")


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


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        ([0.1, 0.0, 0.2], "linear", ["0", "0.1", "0.2"]),
        ([0.1, 0.05, 0.2], "linear", ["0.05", "0.1", "0.2"]),
        ([0.1, 0.001, 0.01], "log", ["0.001", "0.01", "0.1"]),
        ([1, 5, 10, 15, 20], "linear", ["1", "5", "10", "15", "20"]),
        ([-0.1, 0.01, 10.0], "linear", ["-0.1", "0.01", "10"]),
        ([True, False], "category", ["False", "True"]),
        (["b", "a"], "category", ["a", "b"]),
        ([(2,), (1, 3)], "category", ["(1, 3)", "(2,)"]),
        ([0.5, "cosine", None], "category", ["0.5", "cosine", "–"]),
        ([2.0, float("nan"), 1.0], "category", ["1", "2", "–"]),
        ([1, "1"], "category", ["1", "'1'"]),
    ],
)
def test_the_axis_suits_the_values(values: list[object], kind: str, texts: list[str]) -> None:
    found = scale(pd.Series(values))
    assert (found.kind, found.texts) == (kind, texts)
    places = found.places(values)
    assert places == [texts[i] for i in found.positions(values)] if kind == "category" else places == values
    assert found.layout()["type"] == kind


def test_the_mean_of_a_category_stands_on_its_trials() -> None:
    fig = plot_axis(grid(), "model", "val_acc_max")
    (points,), (line,) = traces(fig, "trials"), traces(fig, "means")
    assert points.offsetgroup == line.offsetgroup and points.offsetgroup, "an empty name is no group to plotly"


def test_epochs_have_whole_numbers() -> None:
    assert plot_curves(history(), "val_acc", "model").layout.xaxis.dtick == 1
    many = pd.concat([history().assign(epoch=lambda df, n=n: df["epoch"] + 4 * n) for n in range(10)])
    assert plot_curves(many, "val_acc", "model").layout.xaxis.dtick is None


def test_ticks_that_would_overlap_are_left_to_plotly() -> None:
    assert list(scale(pd.Series([0.0, 0.1, 0.2])).layout()["tickvals"]) == [0.0, 0.1, 0.2]
    assert "tickvals" not in scale(pd.Series([0.0, 0.001, 1.0])).layout()
    assert "tickvals" not in scale(pd.Series(range(100))).layout()


def cells(fig: go.Figure) -> tuple[list[list[float | None]], dict[tuple[str, str], str]]:
    heat, written = fig.data
    return [list(row) for row in heat.z], dict(zip(zip(written.y, written.x, strict=True), written.text, strict=True))


def test_pivot_has_the_mean_the_count_and_the_failures_in_each_cell() -> None:
    df = grid()
    df = df[(df["model"] != "<b>&") | (df["on_perc"] != 0.2)]
    fig = plot_pivot(df, "model", "on_perc", "val_acc_max")
    heat = fig.data[0]
    assert list(heat.y) == ["<b>&", "RigL", "SET"] and list(heat.x) == ["0.01", "0.05", "0.2"]
    expected = pd.pivot_table(complete(df), index="model", columns="on_perc", values="val_acc_max")
    z, texts = cells(fig)
    for i, model in enumerate(heat.y):
        for j, on_perc in enumerate(DENSITIES):
            mean = expected.loc[model, on_perc]
            assert z[i][j] is None if np.isnan(mean) else z[i][j] == pytest.approx(mean)
    assert texts["SET", "0.01"] == "–<br>2 failed<br>1 incomplete"
    assert texts["<b>&", "0.2"] == "–"
    assert texts["RigL", "0.05"] == f"{expected.loc['RigL', 0.05]:.3f}<br>n=1<br>1 failed<br>1 without value"
    assert texts["RigL", "0.2"] == f"{expected.loc['RigL', 0.2]:.3f}<br>n=3"
    assert (heat.zmin, heat.zmax) == (expected.min().min(), expected.max().max())
    assert "&lt;b&gt;&amp;" in heat.hovertext[0][0] and "2 failed" in heat.hovertext[2][0]
    assert fig.layout.yaxis.range == (2.5, -0.5) and fig.layout.yaxis.ticktext[0] == "&lt;b&gt;&amp;"
    assert (fig.layout.xaxis.title.text, fig.layout.yaxis.title.text) == ("on_perc", "model")


def test_pivot_takes_several_keys_in_the_order_of_their_values() -> None:
    df = grid()
    fig = plot_pivot(df, ["on_perc", "kwinners"], ["sizes", "seed"], "val_acc_max")
    assert list(fig.data[0].y) == [f"{on}, {k}" for on in DENSITIES for k in (False, True)]
    assert list(fig.data[0].x) == [f"{sizes}, {seed}" for sizes in ("(3, 1)", "(5,)") for seed in range(3)]
    z, _ = cells(fig)
    own = complete(df).groupby(["on_perc", "kwinners", "sizes", "seed"])["val_acc_max"].mean()
    assert z[5][2] == pytest.approx(own[0.2, True, (3, 1), 2])
    assert fig.layout.yaxis.title.text == "on_perc, kwinners"


def test_texts_contrast_with_dark_and_light_cells() -> None:
    assert text_colour(0.0, 0.0, 1.0) == "#FFFFFF" and text_colour(1.0, 0.0, 1.0) == "#000000"
    assert text_colour(None, 0.0, 1.0) == TEXT and text_colour(0.5, 0.5, 0.5) in ("#000000", "#FFFFFF")
    fig = plot_pivot(grid(), "model", "on_perc", "val_acc_max")
    colours = dict(zip(zip(fig.data[1].y, fig.data[1].x, strict=True), fig.data[1].textfont.color, strict=True))
    assert colours["SET", "0.01"] == TEXT and set(colours.values()) == {TEXT, "#000000", "#FFFFFF"}
    assert CELL_SCALE == "Cividis"


def test_failures_are_rates_with_counts() -> None:
    df = grid()
    df = df[(df["model"] != "RigL") | (df["on_perc"] != 0.2)]
    fig = plot_failures(df, "model", "on_perc")
    z, texts = cells(fig)
    assert z == [[0, 0, 0], [0, pytest.approx(1 / 3), None], [pytest.approx(2 / 3), 0, 0]]
    assert texts["SET", "0.01"] == "2 of 3" and texts["RigL", "0.2"] == "–" and texts["RigL", "0.01"] == "0 of 3"
    assert "3 of 24 trials failed; 1 incomplete, counted as not failed" in fig.layout.title.text
    rate = failure_rates(df, ["model", "on_perc"]).query("model == 'SET' and on_perc == 0.01").iloc[0]
    assert f"95%: {rate['low']:.1%} to {rate['high']:.1%}" in fig.data[0].hovertext[2][0]
    assert (fig.data[0].zmin, fig.data[0].zmax) == (0, 1)


def test_sparsity_has_densities_in_falling_order_and_the_front() -> None:
    df = grid()
    fig = plot_sparsity(df, "val_acc_max", by="model")
    table = complete(df).groupby(["model", "on_perc"])["val_acc_max"].mean().reset_index()
    on_front = [
        row
        for row in table.itertuples()
        if not any(
            o.on_perc <= row.on_perc and o.val_acc_max >= row.val_acc_max and o.Index != row.Index
            for o in table.itertuples()
        )
    ]
    (line,) = traces(fig, "front")
    assert numbers(line.x) == sorted(row.on_perc for row in on_front)
    assert numbers(line.y) == pytest.approx(sorted(row.val_acc_max for row in on_front))
    assert fig.layout.xaxis.type == "log" and fig.layout.xaxis.autorange == "reversed"
    assert list(fig.layout.xaxis.tickvals) == DENSITIES and list(fig.layout.xaxis.ticktext) == ["0.99", "0.95", "0.8"]
    assert fig.layout.xaxis.title.text == "sparsity = 1 - on_perc"
    (means,) = traces(fig, "means", "RigL")
    own = table[table["model"] == "RigL"]
    assert numbers(means.x) == own["on_perc"].tolist()
    assert numbers(means.y) == pytest.approx(own["val_acc_max"].tolist())


def test_the_front_of_a_loss_ties_and_another_column() -> None:
    table = pd.DataFrame(
        {"d": [0.1, 0.2, 0.2, 0.5, 0.05], "mean": [3.0, 2.0, 2.0, 2.5, np.nan], "count": [1, 1, 2, 1, 0]}
    )
    assert front(table, "d", lowest=True)[["d", "mean"]].values.tolist() == [[0.1, 3.0], [0.2, 2.0], [0.2, 2.0]]
    assert front(table, "d")[["d", "mean"]].values.tolist() == [[0.1, 3.0]]
    df = grid().rename(columns={"on_perc": "my_density"})
    fig = plot_sparsity(df, "val_acc_max", density="my_density")
    assert fig.layout.xaxis.title.text == "sparsity = 1 - my_density"
    many = scale(pd.Series([0.01, 0.0101, 0.2, 0.4]))
    assert sparsity_ticks(many)["ticktext"] == ["0.99", "0.8", "0.6"]


def test_parallel_has_a_place_for_each_value_and_the_best_on_top() -> None:
    df = grid()
    df["many"] = np.linspace(1, 2, len(df))
    df["spread"] = np.logspace(-40, 0, len(df))
    trace = plot_parallel(df.assign(many=list(range(27)), constant=1), "val_acc_max").data[0]
    own = complete(df).sort_values("val_acc_max")
    by_label = {dimension.label: dimension for dimension in trace.dimensions}
    assert list(by_label) == ["model", "on_perc", "kwinners", "sizes", "many", "spread", "val_acc_max"]
    assert numbers(trace.line.color) == numbers(by_label["val_acc_max"].values) == own["val_acc_max"].tolist()
    model = by_label["model"]
    assert list(model.ticktext) == ["<b>&", "RigL", "SET"] and list(model.tickvals) == [0, 1, 2]
    assert [model.ticktext[i] for i in model.values] == own["model"].tolist()
    assert [by_label["sizes"].ticktext[i] for i in by_label["sizes"].values] == own["sizes"].map(str).tolist()
    assert [DENSITIES[i] for i in by_label["on_perc"].values] == own["on_perc"].tolist()
    lowest = plot_parallel(df, "val_acc_max", ["seed"], lowest=True).data[0]
    assert numbers(lowest.line.color) == own["val_acc_max"].tolist()[::-1] and len(lowest.dimensions) == 2


def test_parallel_draws_many_numbers_as_numbers() -> None:
    df = pd.concat([grid(), grid()]).reset_index(drop=True)
    df["even"], df["spread"] = np.linspace(1, 2, len(df)), np.logspace(-4, 0, len(df))
    own = complete(df).sort_values("val_acc_max", kind="stable")
    even, spread = plot_parallel(df, "val_acc_max", ["even", "spread"]).data[0].dimensions[:2]
    assert numbers(even.values) == own["even"].tolist() and even.ticktext is None
    assert numbers(spread.values) == pytest.approx(np.log10(own["spread"]).tolist()) and len(spread.ticktext) == 6


def test_importance_beside_correlation() -> None:
    df = grid()
    fig = plot_importance(df, "val_acc_max")
    table = importance(df, "val_acc_max")
    left, right = fig.data
    assert list(left.y) == list(right.y) == table["parameter"].tolist()
    assert numbers(left.x) == table["importance"].tolist()
    assert numbers(right.x) == table["correlation"].fillna(0).tolist()
    texts = dict(zip(right.y, right.text, strict=True))
    assert texts["model"] == "no order"
    row = table[table["parameter"] == "on_perc"].iloc[0]
    assert texts["on_perc"] == f"{row['correlation']:+.2f}"
    assert fig.layout.xaxis.title.text == "importance" and fig.layout.xaxis2.title.text == "correlation"


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


def test_backgrounds_are_clear_and_a_template_changes_them() -> None:
    df = grid()
    for fig in (
        plot_axis(df, "on_perc", "val_acc_max"),
        plot_curves(history(), "val_acc", "model"),
        plot_failures(df, "model", "on_perc"),
        plot_importance(df, "val_acc_max"),
        plot_parallel(df, "val_acc_max"),
        plot_pivot(df, "model", "on_perc", "val_acc_max"),
        plot_sparsity(df, "val_acc_max"),
    ):
        assert fig.layout.paper_bgcolor is None and fig.layout.plot_bgcolor is None
        assert fig.layout.template.layout.paper_bgcolor == fig.layout.template.layout.plot_bgcolor == CLEAR
        assert fig.layout.margin.t < fig.layout.height
        json.loads(fig.to_json())


def test_long_names_are_cut_and_large_tables_grow() -> None:
    assert cut("a" * 28) == "a" * 28 and cut("a" * 20 + "b" * 20) == "a" * 14 + "…" + "b" * 13
    assert len(cut("x" * 99, 20)) == 20 and short("<b>") == "&lt;b&gt;"
    assert labels([1, "1", None]) == ["1", "'1'", "–"]
    df = pd.concat([grid().assign(arm=f"an_arm_with_a_name_that_is_quite_long_{i:02d}") for i in range(30)])
    fig = plot_pivot(df, "model", "arm", "val_acc_max")
    assert fig.layout.width > 30 * 56 and fig.layout.xaxis.tickangle == -90
    assert len(set(fig.data[0].x)) == 30 and max(map(len, fig.layout.xaxis.ticktext)) == 28
    assert plot_pivot(df, "arm", "model", "val_acc_max").layout.height > 30 * 14


def test_an_interval_that_is_too_long_does_not_flatten_the_rest() -> None:
    table = pd.DataFrame({"low": [-50.0, 0.1], "high": [50.0, 1.2]})
    assert view(pd.Series([0.0, 1.0]), table)["range"] == pytest.approx([-0.55, 1.55])
    assert view(pd.Series([0.0, 1.0]), table[1:])["range"] == pytest.approx([-0.05, 1.25])
    assert view(pd.Series([2.0]), pd.DataFrame({"low": [np.nan], "high": [np.nan]}))["range"] == pytest.approx(
        [1.99, 2.01]
    )


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
        (
            lambda df: plot_pivot(df, "modle", "on_perc", "val_acc_max"),
            r"Unknown column 'modle'\. Did you mean 'model'",
        ),
        (lambda df: plot_pivot(df, "model", "model", "val_acc_max"), "each named once"),
        (
            lambda df: plot_pivot(df[df["status"] == "error"], "model", "seed", "val_acc_max"),
            "Nothing to plot: .*; 3 failed",
        ),
        (lambda df: plot_failures(df, "model", "on_prec"), r"Unknown column 'on_prec'\. Did you mean 'on_perc'"),
        (lambda df: plot_failures(df[:0], "model", "on_perc"), "the DataFrame has no rows"),
        (lambda df: plot_failures(df.drop(columns="status"), "model", "on_perc"), "Unknown column 'status'"),
        (
            lambda df: plot_sparsity(df, "val_acc_max", density="on_prec"),
            r"Unknown column 'on_prec'\. Did you mean 'on_perc'",
        ),
        (
            lambda df: plot_sparsity(df, "val_acc_max", density="model"),
            "density must be a column of numbers, got 'model'",
        ),
        (
            lambda df: plot_sparsity(df.assign(on_perc=1.5), "val_acc_max"),
            r"on_perc must be in \(0, 1\] in each trial, got 1.5\. Filter these trials out first\.",
        ),
        (lambda df: plot_parallel(df, "val_acc_max", ["modle"]), r"Unknown column 'modle'\. Did you mean 'model'"),
        (
            lambda df: plot_parallel(df[:1].assign(seed=0, status="complete"), "val_acc_max"),
            r"plot_parallel\(df, metric, parameters=",
        ),
        (lambda df: plot_importance(df, "val_acc_mx"), r"Unknown column 'val_acc_mx'\. Did you mean 'val_acc_max'"),
        (lambda df: plot_curves(history(), "val_acc", "modle"), r"Unknown column 'modle'\. Did you mean 'model'"),
        (lambda df: plot_curves(df, "val_acc_max", "model"), "Unknown column 'epoch'"),
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


def test_without_plotly_the_message_says_what_to_install() -> None:
    code = "import sys; sys.modules['plotly'] = None; import analysis; import analysis.plots"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "ImportError: analysis.plots needs plotly, which is not installed" in result.stderr
    assert "pip install dynsparse[jupyter]" in result.stderr


def test_importing_analysis_does_not_import_plotly_and_plots_set_nothing_global() -> None:
    code = (
        "import sys, analysis; assert 'plotly' not in sys.modules\n"
        "import plotly.io as pio; old = pio.templates.default, list(pio.templates)\n"
        "import analysis.plots; assert (pio.templates.default, list(pio.templates)) == old\n"
        "assert not {'torch', 'ray', 'dynsparse', 'matplotlib'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
