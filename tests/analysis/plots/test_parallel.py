"""plot_parallel: a place for each value, the best on top."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("plotly")

from support.plot_frames import DENSITIES, complete, grid, numbers

from analysis.plots import plot_parallel


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda df: plot_parallel(df, "val_acc_max", ["modle"]), r"Unknown column 'modle'\. Did you mean 'model'"),
        (
            lambda df: plot_parallel(df[:1].assign(seed=0, status="complete"), "val_acc_max"),
            r"plot_parallel\(df, metric, parameters=",
        ),
    ],
)
def test_messages(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(grid())  # type: ignore[operator]
