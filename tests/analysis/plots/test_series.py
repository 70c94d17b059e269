"""Every plot takes a Series where it takes the name of a column."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

go = pytest.importorskip("plotly.graph_objects")

from analysis import as_trials  # noqa: E402
from analysis.plots import (  # noqa: E402
    plot_axis,
    plot_critical_difference,
    plot_curves,
    plot_failures,
    plot_importance,
    plot_learning,
    plot_parallel,
    plot_pareto,
    plot_performance_profile,
    plot_pivot,
    plot_rounds,
    plot_sparsity,
    plot_sweeps,
    plot_tickets,
)

AXES = {"model": ["SET", "RigL"], "on_perc": [0.1, 0.2], "seed": [0, 1, 2]}


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    grid = pd.MultiIndex.from_product(AXES.values(), names=AXES.keys()).to_frame(index=False)
    values = np.random.default_rng(0).uniform(0.8, 0.9, len(grid))
    return as_trials(grid.assign(val_acc_max=values), list(AXES), ["val_acc_max"])


@pytest.fixture(scope="module")
def history(df: pd.DataFrame) -> pd.DataFrame:
    parts = [df.assign(epoch=epoch, val_acc=df["val_acc_max"] - 0.1 / epoch) for epoch in (1, 2)]
    measured = {name: lambda df: 1 - df["val_acc"] for name in ("val_loss", "train_loss")}
    rows = pd.concat(parts, ignore_index=True).assign(train_acc=lambda df: df["val_acc"], **measured)
    return rows.assign(round=rows["epoch"] - 1, pruned=0.2 * (rows["epoch"] - 1))


@pytest.fixture(scope="module")
def pruned(df: pd.DataFrame) -> pd.DataFrame:
    """Columns of a sweep and of tickets."""
    study = {"sparsity": 1 - df["on_perc"], "prune_ratio": 1 - df["on_perc"], "pruning": df["model"]}
    return df.assign(**study, init=df["model"], criterion="l1", val_acc=df["val_acc_max"])


Call = Callable[[pd.DataFrame, Callable[[pd.DataFrame, str], object]], go.Figure]
TRIALS: dict[str, Call] = {
    "axis": lambda df, given: plot_axis(df, given(df, "on_perc"), given(df, "val_acc_max"), by=[given(df, "model")]),
    "critical difference": lambda df, given: plot_critical_difference(
        df, given(df, "model"), given(df, "val_acc_max"), blocks=[given(df, "on_perc"), "seed"]
    ),
    "failures": lambda df, given: plot_failures(df, given(df, "model"), [given(df, "on_perc"), given(df, "seed")]),
    "importance": lambda df, given: plot_importance(df, given(df, "val_acc_max")),
    "parallel": lambda df, given: plot_parallel(df, given(df, "val_acc_max"), [given(df, "model")]),
    "pareto": lambda df, given: plot_pareto(df, given(df, "val_acc_max"), given(df, "on_perc"), given(df, "model")),
    "profile": lambda df, given: plot_performance_profile(
        df, given(df, "model"), given(df, "val_acc_max"), blocks=given(df, "on_perc")
    ),
    "pivot": lambda df, given: plot_pivot(df, given(df, "model"), given(df, "on_perc"), given(df, "val_acc_max")),
    "sparsity": lambda df, given: plot_sparsity(df, given(df, "val_acc_max"), given(df, "model"), given(df, "on_perc")),
}
HISTORY: dict[str, Call] = {
    "curves": lambda df, given: plot_curves(df, given(df, "val_acc"), given(df, "model")),
    "learning": lambda df, given: plot_learning(df, given(df, "model")),
    "rounds": lambda df, given: plot_rounds(df, given(df, "val_acc"), given(df, "model")),
}
PRUNED: dict[str, Call] = {
    "sweeps": lambda df, given: plot_sweeps(df, given(df, "val_acc"), given(df, "pruning"), given(df, "seed")),
    "tickets": lambda df, given: plot_tickets(df, given(df, "val_acc"), given(df, "seed")),
}


@pytest.mark.parametrize(
    ("frame", "name"),
    [("df", name) for name in TRIALS] + [("history", n) for n in HISTORY] + [("pruned", n) for n in PRUNED],
)
def test_a_series_is_drawn_as_the_column_of_its_name(frame: str, name: str, request: pytest.FixtureRequest) -> None:
    rows = request.getfixturevalue(frame)
    call = {**TRIALS, **HISTORY, **PRUNED}[name]
    as_names, as_series = call(rows, lambda df, column: column), call(rows, lambda df, column: df[column])
    assert as_names == as_series
    renamed = call(rows, lambda df, column: df[column].rename(f"my_{column}"))
    # The panels of `plot_learning` are named by values alone.
    assert ("my_" in str(renamed.to_plotly_json())) == (name != "learning")
    with pytest.raises(ValueError, match="must have the index of the DataFrame"):
        call(rows, lambda df, column: df[column].tail(3))
    with pytest.raises(ValueError, match="A Series must have a name"):
        call(rows, lambda df, column: df[column].rename(None))


def test_a_computed_series_is_drawn(df: pd.DataFrame) -> None:
    error = (1 - df["val_acc_max"]).rename("error")
    fig = plot_axis(df, (df["on_perc"] > 0.1).rename("dense"), error)
    assert (fig.layout.xaxis.title.text, fig.layout.yaxis.title.text) == ("dense", "error")
    (means,) = [trace for trace in fig.data if trace.meta == "means"]
    assert list(means.y) == pytest.approx(error.groupby(df["on_perc"] > 0.1).mean().tolist())
    assert "error" not in df
