"""A Series where a function takes the name of a column: the same result as with the column, for every function."""

from collections.abc import Callable

import pandas as pd
import pytest

import analysis
from analysis import agg, compare

# Each function with a metric that is a column, and with the same metric as a Series of another name.
METRIC_CALLS: dict[str, Callable[[pd.DataFrame, object], pd.DataFrame]] = {
    "agg": lambda df, metric: agg(df, "model", metric),
    "anova": lambda df, metric: analysis.anova(df, metric),
    "best": lambda df, metric: analysis.best(df, metric),
    "compare": lambda df, metric: compare(df, ["model", "on_perc"], metric),
    "compare_ranks": lambda df, metric: analysis.compare_ranks(df, "model", metric, blocks="on_perc"),
    "contrasts": lambda df, metric: analysis.contrasts(df, "model", metric, within="on_perc"),
    "correlation": lambda df, metric: analysis.correlation(df, metric),
    "friedman": lambda df, metric: analysis.friedman(df, "model", metric, blocks="on_perc"),
    "importance": lambda df, metric: analysis.importance(df, metric),
    "interquartile_mean": lambda df, metric: analysis.interquartile_mean(df, "model", metric),
    "mean_ranks": lambda df, metric: analysis.mean_ranks(df, "model", metric, blocks="on_perc"),
    "interactions": lambda df, metric: analysis.interactions(df, "model", metric),
    "power": lambda df, metric: analysis.power(df, "model", metric),
    "pareto": lambda df, metric: analysis.pareto(df, metric, "on_perc"),
    "pareto, cost": lambda df, cost: analysis.pareto(df, "val_acc_last", cost, lowest=True),
    "performance_profile": lambda df, metric: analysis.performance_profile(df, "model", metric),
    "probability_of_improvement": lambda df, metric: analysis.probability_of_improvement(df, "model", metric),
    "survivorship": lambda df, metric: analysis.survivorship(df, "model", metric),
}
HISTORY_CALLS: dict[str, Callable[[pd.DataFrame, object], pd.DataFrame]] = {
    "curves": lambda history, metric: analysis.curves(history, "model", metric),
    "epochs_to": lambda history, metric: analysis.epochs_to(history, metric, 0.5),
}
# Each function with a group or an axis.
GROUP_CALLS: dict[str, Callable[[pd.DataFrame, object], pd.DataFrame]] = {
    "agg": lambda df, by: agg(df, by, "val_acc_max"),
    "agg, list": lambda df, by: agg(df, ["on_perc", by], "val_acc_max"),
    "compare": lambda df, by: compare(df, by, "val_acc_max"),
    "compare_ranks": lambda df, by: analysis.compare_ranks(df, by, "val_acc_max", blocks=["on_perc", "seed"]),
    "compare_ranks, blocks": lambda df, by: analysis.compare_ranks(df, "on_perc", "val_acc_max", blocks=[by, "seed"]),
    "contrasts": lambda df, by: analysis.contrasts(df, by, "val_acc_max", within="on_perc"),
    "contrasts, within": lambda df, by: analysis.contrasts(df, "on_perc", "val_acc_max", within=by),
    "failure_rates": lambda df, by: analysis.failure_rates(df, by),
    "friedman": lambda df, by: analysis.friedman(df, by, "val_acc_max", blocks=["on_perc", "seed"]),
    "interquartile_mean": lambda df, by: analysis.interquartile_mean(df, ["on_perc", by], "val_acc_max"),
    "mean_ranks": lambda df, by: analysis.mean_ranks(df, by, "val_acc_max", blocks=["on_perc", "seed"]),
    "performance_profile": lambda df, by: analysis.performance_profile(df, by, "val_acc_max"),
    "probability_of_improvement": lambda df, by: analysis.probability_of_improvement(df, by, "val_acc_max"),
    "survivorship": lambda df, by: analysis.survivorship(df, by, "val_acc_max"),
}


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return analysis.load_example("quickstart")


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return analysis.load_example_history("quickstart")


@pytest.mark.parametrize("call", METRIC_CALLS.values(), ids=METRIC_CALLS)
def test_a_metric_as_a_series(df: pd.DataFrame, call: Callable[[pd.DataFrame, object], pd.DataFrame]) -> None:
    gap = df["val_acc_max"] - df["val_acc_min"]
    before = df.copy()
    pd.testing.assert_frame_equal(call(df, gap.rename("gap")), call(df.assign(gap=gap), "gap"))
    pd.testing.assert_frame_equal(df, before)
    with pytest.raises(ValueError, match="A Series must have a name, got one named None"):
        call(df, gap.rename(None))
    with pytest.raises(ValueError, match="A Series must have the index of the DataFrame, got 'gap' with another one"):
        call(df.iloc[1:], gap.rename("gap"))


@pytest.mark.parametrize("call", HISTORY_CALLS.values(), ids=HISTORY_CALLS)
def test_a_metric_of_a_history(history: pd.DataFrame, call: Callable[[pd.DataFrame, object], pd.DataFrame]) -> None:
    error = 1 - history["val_acc"]
    expected = call(history.assign(error_rate=error), "error_rate")
    pd.testing.assert_frame_equal(call(history, error.rename("error_rate")), expected)


@pytest.mark.parametrize("call", GROUP_CALLS.values(), ids=GROUP_CALLS)
def test_a_group_as_a_series(df: pd.DataFrame, call: Callable[[pd.DataFrame, object], pd.DataFrame]) -> None:
    grows = (df["model"] != "SparseModel").rename("model")
    pd.testing.assert_frame_equal(call(df, grows), call(df.assign(model=grows), "model"))


def test_groups_of_a_history(history: pd.DataFrame) -> None:
    late = (history["epoch"] > 4).rename("late")
    table = analysis.curves(history, [late, "model"], "val_acc")
    pd.testing.assert_frame_equal(table, analysis.curves(history.assign(late=late), ["late", "model"], "val_acc"))


def test_agg_of_series_by_hand() -> None:
    df = analysis.as_trials(
        pd.DataFrame({"density": [0.1, 0.1, 0.2, 0.4], "accuracy": [0.5, 0.7, 0.8, 0.9]}), ["density"]
    )
    is_sparse = (df["density"] < 0.3).rename("is_sparse")
    table = agg(df, is_sparse, (100 * df["accuracy"]).rename("percent"))
    assert table["is_sparse"].tolist() == [False, True]
    assert table["mean"].tolist() == pytest.approx([90, 200 / 3]) and table["count"].tolist() == [1, 3]


def test_compare_of_series_by_hand() -> None:
    # A Series with the name of the axis takes its place: the two higher densities become one value.
    df = pd.DataFrame({"density": [0.1, 0.1, 0.2, 0.2, 0.4, 0.4], "seed": [0, 1] * 3})
    df = analysis.as_trials(df.assign(accuracy=[0.5, 0.6, 0.8, 0.8, 1, 0.8]), ["density", "seed"], ["accuracy"])
    [row] = compare(df, (df["density"] > 0.1).rename("density"), 100 * df["accuracy"]).to_dict("records")
    assert (row["axis"], row["a"], row["b"], row["pairs"]) == ("density", False, True, 2)
    # Seed 0: (80 + 100) / 2 - 50 = 40. Seed 1: 80 - 60 = 20.
    assert row["difference"] == pytest.approx(30)
    assert row["conclusion"].startswith("accuracy with density=True minus that with False: +30, not enough evidence")
