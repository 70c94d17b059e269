"""probability_of_improvement: by hand, against scipy's Mann-Whitney statistic and numbers of rliable."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from support.grids import fail, grid, shuffled
from support.many_data_sets import two_methods

from analysis import probability_of_improvement

METRIC = "val_acc_max"


def test_by_hand() -> None:
    # Task 0: of the 4 pairs b is higher in 3, and equal in 1. Task 1: b is never higher.
    numbers = {("a", 0): [1, 2], ("b", 0): [2, 3], ("a", 1): [5, 6], ("b", 1): [3, 4]}
    df = grid(lambda model, task, seed: numbers[model, task][seed], model=["a", "b"], task=[0, 1], seed=[0, 1])
    [row] = probability_of_improvement(df, "model", METRIC).to_dict("records")
    assert row["probability"] == (3.5 / 4 + 0) / 2
    assert (row["axis"], row["a"], row["b"], row["blocks"], row["left_out_blocks"]) == ("model", "a", "b", 2, 0)
    assert (row["count_a"], row["count_b"], row["left_out_a"], row["left_out_b"]) == (4, 4, 0, 0)
    [lowest] = probability_of_improvement(df, "model", METRIC, lowest=True).to_dict("records")
    assert lowest["probability"] == 1 - row["probability"]
    loss = probability_of_improvement(df.rename(columns={METRIC: "val_loss_min"}), "model", "val_loss_min")
    assert loss["probability"][0] == 1 - row["probability"]


def test_against_rliable() -> None:
    [row] = probability_of_improvement(two_methods(), "model", METRIC).to_dict("records")
    # get_interval_estimates of rliable 1.2.0 with probability_of_improvement(b, a), 5,000 resamples.
    assert row["probability"] == pytest.approx(0.60677083, abs=1e-8)
    assert (row["low"], row["high"]) == pytest.approx((0.49479167, 0.71360677), abs=0.008)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 3), (20, 30)])
def test_one_block_against_scipy(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n).round(1), rng.normal(0.5, 1, m).round(1)
    df = grid(lambda model, seed: (b if model else a)[min(seed, (m if model else n) - 1)], model=[0, 1], seed=range(30))
    df = df[df["seed"] < np.where(df["model"], m, n)]
    [row] = probability_of_improvement(df, "model", METRIC).to_dict("records")
    assert row["probability"] == pytest.approx(scipy.stats.mannwhitneyu(b, a).statistic / (n * m))
    assert (row["count_a"], row["count_b"]) == (n, m) and row["low"] <= row["probability"] <= row["high"]
    draws_a, draws_b = rng.choice(a, (4000, n)), rng.choice(b, (4000, m))
    expected = scipy.stats.mannwhitneyu(draws_b, draws_a, axis=1, method="asymptotic").statistic / (n * m)
    assert (row["low"], row["high"]) == pytest.approx(np.quantile(expected, [0.025, 0.975]), abs=0.03)


def test_every_pair_in_the_order_of_the_values_and_a_sign_that_turns() -> None:
    df = grid(lambda on, task, seed: seed % 3 + on, on=[0.2, 0.05, 0.1], task=range(3), seed=range(4))
    table = probability_of_improvement(df, "on", METRIC)
    assert table[["a", "b"]].values.tolist() == [[0.05, 0.1], [0.05, 0.2], [0.1, 0.2]]
    swapped = probability_of_improvement(df.assign(on=-df["on"]), "on", METRIC)
    assert swapped["probability"].tolist()[::-1] == pytest.approx((1 - table["probability"]).tolist())


def test_blocks_of_one_value_only_are_left_out() -> None:
    df = two_methods()
    df = fail(df, (df["model"] == "a") & (df["task"] == 0))
    df = fail(df, df["task"] == 5, "incomplete")
    df.loc[(df["model"] == "b") & (df["task"] == 1) & (df["seed"] > 0), METRIC] = math.nan
    [row] = probability_of_improvement(df, "model", METRIC).to_dict("records")
    assert (row["blocks"], row["left_out_blocks"], row["left_out_a"], row["left_out_b"]) == (4, 2, 16, 15)
    assert (row["count_a"], row["count_b"]) == (32, 25)
    assert math.isnan(row["low"]) and math.isnan(row["high"]), "a block has a single trial of b"
    [nothing] = probability_of_improvement(fail(df, df["model"] == "a"), "model", METRIC).to_dict("records")
    assert math.isnan(nothing["probability"]) and (nothing["blocks"], nothing["left_out_blocks"]) == (0, 6)


def test_all_are_equal_or_all_are_better() -> None:
    equal = grid(lambda on, seed: 0.5, on=[0, 1], seed=range(4))
    columns = ["probability", "low", "high"]
    assert probability_of_improvement(equal, "on", METRIC)[columns].values.tolist() == [[0.5, 0.5, 0.5]]
    better = grid(lambda on, seed: on + 0.1 * seed, on=[0, 1], seed=range(4))
    assert probability_of_improvement(better, "on", METRIC)[columns].values.tolist() == [[1, 1, 1]]


def test_order_of_rows_and_index_do_not_matter_and_arguments_stay() -> None:
    df = two_methods()
    before, table = df.copy(), probability_of_improvement(df, "model", METRIC)
    pd.testing.assert_frame_equal(probability_of_improvement(shuffled(df), "model", METRIC), table)
    pd.testing.assert_frame_equal(probability_of_improvement(df.set_axis([0] * len(df)), "model", METRIC), table)
    pd.testing.assert_frame_equal(df, before)
    assert probability_of_improvement(df, "model", METRIC, seed=1)["low"].tolist() != table["low"].tolist()


def test_messages() -> None:
    df = two_methods()
    with pytest.raises(ValueError, match="Unknown column 'modle'"):
        probability_of_improvement(df, "modle", METRIC)
    with pytest.raises(ValueError, match="metric must be a column of numbers, got 'model'"):
        probability_of_improvement(df, "task", "model")
    with pytest.raises(ValueError, match="constant must have several values to compare, but has only the value 1"):
        probability_of_improvement(df, "constant", METRIC)
    with pytest.raises(ValueError, match="trial_id must have at most 20 values, but has 96"):
        probability_of_improvement(df, "trial_id", METRIC)
    with pytest.raises(ValueError, match="blocks must not name a column that has another role, got 'model'"):
        probability_of_improvement(df, "model", METRIC, blocks=["model"])
