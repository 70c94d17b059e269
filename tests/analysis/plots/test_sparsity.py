"""plot_sparsity: densities, and the Pareto front of the means."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("plotly")

from support.plot_frames import DENSITIES, complete, grid, numbers, traces

from analysis.plots import plot_sparsity
from analysis.plots._lib.scales import scale
from analysis.plots.sparsity import front, sparsity_ticks


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
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
    ],
)
def test_messages(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(grid())  # type: ignore[operator]
