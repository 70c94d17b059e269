"""plot_pivot: cells, keys, colours and size."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("plotly")

from support.plot_frames import DENSITIES, cells, complete, grid

from analysis.plots import plot_pivot
from analysis.plots._lib.matrix import text_colour
from analysis.plots._lib.style import CELL_SCALE, TEXT, cut, labels, short


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


def test_long_names_are_cut_and_large_tables_grow() -> None:
    assert cut("a" * 28) == "a" * 28 and cut("a" * 20 + "b" * 20) == "a" * 14 + "…" + "b" * 13
    assert len(cut("x" * 99, 20)) == 20 and short("<b>") == "&lt;b&gt;"
    assert labels([1, "1", None]) == ["1", "'1'", "–"]
    df = pd.concat([grid().assign(arm=f"an_arm_with_a_name_that_is_quite_long_{i:02d}") for i in range(30)])
    fig = plot_pivot(df, "model", "arm", "val_acc_max")
    assert fig.layout.width > 30 * 56 and fig.layout.xaxis.tickangle == -90
    assert len(set(fig.data[0].x)) == 30 and max(map(len, fig.layout.xaxis.ticktext)) == 28
    assert plot_pivot(df, "arm", "model", "val_acc_max").layout.height > 30 * 14


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda df: plot_pivot(df, "modle", "on_perc", "val_acc_max"),
            r"Unknown column 'modle'\. Did you mean 'model'",
        ),
        (lambda df: plot_pivot(df, "model", "model", "val_acc_max"), "each named once"),
        (
            lambda df: plot_pivot(df[df["status"] == "error"], "model", "seed", "val_acc_max"),
            "Nothing to plot: .*; 3 failed",
        ),
    ],
)
def test_messages(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(grid())  # type: ignore[operator]
