"""The notebook's functions against its own figures, and the tidy aggregates against plain pandas."""

import math
from pathlib import Path

import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint
from support.trial_folders import write_trial

import analysis
from analysis import agg, failure_rates, mean_and_std, round_mean, stats

# The notebook's tables of val_acc_max at on_perc=0.2, weight_prune_perc=0,
# for hebbian_prune_perc 0.1 to 0.5: mean and deviation of the two trials without k-winners, of the two
# with, and [min, max, mean, deviation] of all four.
PUBLISHED = [
    ((0.957, 0.011), (0.956, 0.012), [0.947, 0.965, 0.956, 0.009]),
    ((0.960, 0.004), (0.966, 0.006), [0.958, 0.970, 0.963, 0.005]),
    ((0.963, 0.001), (0.964, 0.000), [0.963, 0.964, 0.964, 0.001]),
    ((0.967, 0.002), (0.967, 0.000), [0.966, 0.968, 0.967, 0.001]),
    ((0.970, 0.003), (0.972, 0.002), [0.968, 0.973, 0.971, 0.002]),
]


def two_values(mean: float, std: float) -> pd.Series:
    """The two values with this mean and sample standard deviation."""
    return pd.Series([mean - std / math.sqrt(2), mean + std / math.sqrt(2)])


@pytest.mark.parametrize(("without", "with_", "all_four"), PUBLISHED)
def test_the_notebooks_figures(without: tuple[float, float], with_: tuple[float, float], all_four: list[float]) -> None:
    # Both tables show the same four trials, so the values behind one must give the other. This holds for the
    # sample's deviation only: with the population's the first row would reach from 0.944 to 0.968.
    pairs = [two_values(*without), two_values(*with_)]
    assert [mean_and_std(pair) for pair in pairs] == [f"{m:.3f} ± {s:.3f}" for m, s in (without, with_)]
    # Half a unit of the last digit for the mean, the deviation and the result: 0.0005 * (1 + 0.71 + 1).
    assert stats(pd.concat(pairs)) == pytest.approx(all_four, abs=0.00136)


def test_published_deviation_of_two_trials() -> None:
    # hebbian_prune_perc=0, weight_prune_perc=0, on_perc=0.2: two trials, so the extremes are the values.
    assert stats(pd.Series([0.959, 0.971])) == [0.959, 0.971, 0.965, pytest.approx(0.009, abs=0.001)]
    assert stats(pd.Series([0.959, 0.971]))[3] != pytest.approx(0.006, abs=0.001)


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # numpy, of the deviation of inf
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.7], "0.600 ± 0.141"),
        ([0.97149], "0.971 (n=1)"),
        ([0.97149, math.nan], "0.971 (n=1)"),
        ([0.5, 0.5], "0.500 ± 0.000"),
        ([], "–"),
        ([math.nan], "–"),
        ([math.inf, 1.0], "inf (n=2)"),
    ],
)
def test_mean_and_std(values: list[float], expected: str) -> None:
    assert mean_and_std(pd.Series(values, dtype=float)) == expected


@pytest.mark.parametrize(("values", "expected"), [([29], 29), ([21, 22, 22], 22), ([23, 24], 24), ([24, 25], 24)])
def test_round_mean(values: list[int], expected: int) -> None:
    result = round_mean(pd.Series(values))
    assert result == expected and isinstance(result, int)


def test_round_mean_and_stats_of_nothing() -> None:
    assert math.isnan(round_mean(pd.Series([], dtype=float)))
    assert all(math.isnan(value) for value in stats(pd.Series([], dtype=float)))
    assert stats(pd.Series([0.12345]))[:3] == [0.123, 0.123, 0.123] and math.isnan(stats(pd.Series([0.1]))[3])


@pytest.mark.parametrize("by", ["on_perc", ["on_perc"], ["on_perc", "hebbian_prune_perc"], "hidden_sizes"])
def test_agg_equals_plain_pandas(notebook_run: Path, by: str | list[str]) -> None:
    df = analysis.load(notebook_run)
    table = agg(df, by, "val_acc_max")
    keys = [by] if isinstance(by, str) else by
    statistics = [
        "mean",
        "std",
        "low",
        "high",
        "min",
        "max",
        "count",
        "failed",
        "stopped",
        "incomplete",
        "diverged",
        "without_value",
    ]
    statistics += ["at_chance"]
    assert list(table.columns) == [*keys, *statistics]
    assert table[["count", "failed", "stopped", "incomplete", "diverged", "without_value"]].to_numpy().sum() == len(df)
    for row in table.to_dict("records"):
        group = df
        for key in keys:
            group = group[group[key] == row[key]] if key != "hidden_sizes" else group
        values = group.loc[group["status"] == "complete", "val_acc_max"]
        assert (row["count"], row["failed"]) == (len(values), (group["status"] == "error").sum())
        expected = [values.mean(), values.std(), values.min(), values.max()]
        assert [row[name] for name in ("mean", "std", "min", "max")] == pytest.approx(expected, nan_ok=True)


@pytest.fixture
def few(tmp_path: Path) -> pd.DataFrame:
    """on_perc=0.1: two complete; 0.2: one of each; 0.3: failed only; none given: one complete."""
    trials = [
        (0.1, "ok"),
        (0.1, "ok"),
        (0.2, "ok"),
        (0.2, "failed"),
        (0.2, "open"),
        (0.2, "blank"),
        (0.3, "failed"),
    ]
    for n, (on_perc, fate) in enumerate(trials):
        acc = [float("nan")] if fate == "blank" else [0.5 + n / 10]
        error = "boom" if fate == "failed" else None
        config = {"on_perc": on_perc, "seed": n, "constant": 1}
        write_trial(tmp_path / f"T_{n}", config, {"val_acc": acc}, done=fate in ("ok", "blank"), error=error)
    write_trial(tmp_path / "T_7", {"seed": 7, "constant": 1}, {"val_acc": [0.9]})
    return analysis.load(tmp_path)


def test_agg_counts_what_it_leaves_out(few: pd.DataFrame) -> None:
    table = agg(few, "on_perc", "val_acc_max")
    assert table["on_perc"].tolist()[:3] == [0.1, 0.2, 0.3] and math.isnan(table["on_perc"][3])
    assert table["count"].tolist() == [2, 1, 0, 1]
    assert table["failed"].tolist() == [0, 1, 1, 0]
    assert table["incomplete"].tolist() == [0, 1, 0, 0]
    assert table["without_value"].tolist() == [0, 1, 0, 0]
    assert table["mean"].tolist()[:2] == pytest.approx([0.55, 0.7]) and math.isnan(table["mean"][2])
    assert table["std"].isna().tolist() == [False, True, True, True]
    few.loc[few["seed"] == 4, "status"] = "stopped"
    table = agg(few, "on_perc", "val_acc_max")
    assert table["stopped"].tolist() == [0, 1, 0, 0] and table["incomplete"].sum() == 0


def test_agg_gives_the_t_interval_of_the_mean(notebook_run: Path) -> None:
    df = analysis.load(notebook_run)
    table = agg(df, ["on_perc", "hebbian_prune_perc"], "val_acc_max").set_index(["on_perc", "hebbian_prune_perc"])
    values = df[(df["on_perc"] == 0.1) & (df["hebbian_prune_perc"] == 0.2)]["val_acc_max"]
    expected = scipy.stats.t.interval(0.95, len(values) - 1, values.mean(), scipy.stats.sem(values))
    assert table.loc[(0.1, 0.2), ["low", "high"]].tolist() == pytest.approx(list(expected), rel=1e-12)
    assert table.loc[(0.05, 0.0), ["low", "high"]].isna().all()


def test_agg_of_two_trials_by_hand(few: pd.DataFrame) -> None:
    # 0.5 and 0.6: deviation 0.0707, over the root of 2 it is 0.05; t with one degree of freedom is 12.706.
    table = agg(few, "on_perc", "val_acc_max")
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx(
        [0.55 - 12.706 * 0.05, 0.55 + 12.706 * 0.05], abs=1e-4
    )
    assert table["low"].isna().tolist() == table["high"].isna().tolist() == [False, True, True, True]


def test_rows_are_in_the_order_of_the_keys_whatever_that_of_the_trials(few: pd.DataFrame) -> None:
    shuffled = few.sample(frac=1, random_state=0)
    table = agg(few, ["on_perc", "status"], "val_acc_max")
    pd.testing.assert_frame_equal(agg(shuffled, ["on_perc", "status"], "val_acc_max"), table)
    pd.testing.assert_frame_equal(failure_rates(shuffled, "on_perc"), failure_rates(few, "on_perc"))


def test_agg_does_not_change_its_frame(few: pd.DataFrame) -> None:
    before = few.copy()
    agg(few, ["on_perc", "seed"], "val_acc_max")
    pd.testing.assert_frame_equal(few, before)


def test_agg_of_keys_of_different_kinds(tmp_path: Path) -> None:
    for n, value in enumerate(["auto", None, 0.5, [1, 2], [1, 2], 2]):
        write_trial(tmp_path / f"T_{n}", {"x": value}, {"val_acc": [0.5]})
    table = agg(analysis.load(tmp_path), "x", "val_acc_max")
    assert table["x"].tolist()[:4] == [0.5, 2, "auto", (1, 2)] and pd.isna(table["x"][4])
    assert table["count"].tolist() == [1, 1, 1, 2, 1]


def test_failure_rates(few: pd.DataFrame) -> None:
    table = failure_rates(few, "on_perc")
    assert list(table.columns) == ["on_perc", "failed", "total", "rate", "low", "high"]
    assert table.iloc[:, 1:4].values.tolist() == [[0, 2, 0.0], [1, 4, 0.25], [1, 1, 1.0], [0, 1, 0.0]]


def test_failure_rates_of_two_keys(notebook_run: Path) -> None:
    table = failure_rates(analysis.load(notebook_run), ["on_perc", "hebbian_prune_perc"])
    failed = table[table["failed"] > 0]
    assert failed.iloc[:, :5].values.tolist() == [[0.05, 0.0, 8, 8, 1.0]]
    assert table["total"].tolist() == [8] * 9


@pytest.mark.parametrize(("n_failed", "total"), [(0, 1), (1, 1), (0, 72), (2, 72), (24, 72), (72, 72)])
def test_interval_of_a_failure_rate(n_failed: int, total: int) -> None:
    df = pd.DataFrame({"a": 1, "status": ["error"] * n_failed + ["complete"] * (total - n_failed)})
    low, high = failure_rates(df, "a").loc[0, ["low", "high"]]
    assert (low, high) == pytest.approx(proportion_confint(n_failed, total, method="wilson"), abs=1e-12)
    assert 0 <= low <= n_failed / total <= high <= 1 and low < high
