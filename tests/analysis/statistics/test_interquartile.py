"""interquartile_mean: by hand, and against numbers of rliable."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from support.grids import fail, grid, shuffled
from support.many_data_sets import two_methods

import analysis
from analysis import agg, interquartile_mean

METRIC = "val_acc_max"


def test_by_hand() -> None:
    # Of 0, ..., 9 the middle six are 2, ..., 7: the two outermost at either end are left out. Of 10 is floor(2.5) = 2.
    df = grid(lambda on, seed: [1000.0 if on else 9.0, 0, 1, 2, 3, 4, 5, 6, 7, 8][seed], on=[0, 1], seed=range(10))
    table = interquartile_mean(df, "on", METRIC)
    assert table["mean"].tolist() == [4.5, 4.5], "an outlier changes nothing"
    assert table["count"].tolist() == [10, 10]
    assert agg(df, "on", METRIC)["mean"].tolist() == [4.5, 103.6]
    three = grid(lambda seed: seed, seed=range(3)).assign(on=0)
    assert interquartile_mean(three, "on", METRIC)["mean"].tolist() == [1.0]


def test_against_rliable() -> None:
    df = two_methods()
    table = interquartile_mean(df, "model", METRIC)
    assert table["model"].tolist() == ["a", "b"] and table["count"].tolist() == [48, 48]
    # get_interval_estimates of rliable 1.2.0 with aggregate_iqm, 50,000 resamples. The limits vary with the resamples.
    assert table["mean"].tolist() == pytest.approx([0.7568875, 0.82553333], abs=1e-8)
    assert table["low"].tolist() == pytest.approx([0.65906667, 0.7269875], abs=0.005)
    assert table["high"].tolist() == pytest.approx([0.8523626, 0.91846667], abs=0.005)


def test_blocks_narrow_the_interval() -> None:
    # Tasks differ far more than seeds do, which only resampling within the tasks can see.
    df = grid(lambda task, seed: task + 0.01 * (seed * seed % 7), task=range(5), seed=range(6)).assign(model="a")
    [within] = interquartile_mean(df, "model", METRIC).to_dict("records")
    [pooled] = interquartile_mean(df, "model", METRIC, blocks="constant").to_dict("records")
    assert within["mean"] == pooled["mean"] and within["high"] - within["low"] < 0.05 < pooled["high"] - pooled["low"]
    assert within["low"] <= within["mean"] <= within["high"]


def test_one_block_is_the_plain_bootstrap() -> None:
    numbers = np.random.default_rng(0).normal(0, 1, 40)
    df = grid(lambda seed: numbers[seed], seed=range(40)).assign(model="a")
    [row] = interquartile_mean(df, "model", METRIC).to_dict("records")
    resampled = np.random.default_rng(5).choice(numbers, (20_000, 40))
    limits = np.quantile(scipy.stats.trim_mean(resampled, 0.25, axis=1), [0.025, 0.975])
    assert (row["low"], row["high"]) == pytest.approx(limits, abs=0.02)


def test_the_seed_changes_the_resamples_only() -> None:
    df = two_methods()
    first, again, other = (interquartile_mean(df, "model", METRIC, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert first["mean"].tolist() == other["mean"].tolist() and first["low"].tolist() != other["low"].tolist()


def test_a_single_trial_in_a_block_gives_no_interval() -> None:
    df = two_methods()
    df = df[(df["model"] == "a") | (df["task"] > 0) | (df["seed"] == 0)]
    table = interquartile_mean(df, "model", METRIC)
    assert table["low"].isna().tolist() == table["high"].isna().tolist() == [False, True]
    assert table["mean"].notna().all()


def test_what_is_left_out_is_counted_as_in_agg() -> None:
    df = two_methods().assign(at_chance=False, diverged=False)
    df = fail(df, (df["model"] == "a") & (df["seed"] == 0))
    df = fail(df, (df["model"] == "b") & (df["seed"] == 0) & (df["task"] == 0), "incomplete")
    df.loc[(df["model"] == "b") & (df["seed"] == 1) & (df["task"] == 1), "diverged"] = True
    df.loc[(df["model"] == "b") & (df["seed"] == 2) & (df["task"] == 1), METRIC] = math.inf
    df.loc[(df["model"] == "b") & (df["seed"] == 3) & (df["task"] == 1), "at_chance"] = True
    table, expected = interquartile_mean(df, "model", METRIC), agg(df, "model", METRIC)
    counts = ["model", "count", "failed", "stopped", "incomplete", "diverged", "without_value", "at_chance"]
    pd.testing.assert_frame_equal(table[counts], expected[counts])
    assert list(table) == ["model", "mean", "low", "high", *counts[1:]]


def test_groups_of_several_keys_and_a_group_without_a_value() -> None:
    df = two_methods()
    df = fail(df, (df["model"] == "b") & (df["task"] == 3))
    table = interquartile_mean(df, ["task", "model"], METRIC)
    assert table[["task", "model"]].values.tolist() == [[task, model] for task in range(6) for model in "ab"]
    empty = (table["task"] == 3) & (table["model"] == "b")
    assert table.loc[empty, ["mean", "low", "high"]].isna().all(axis=None) and table.loc[empty, "count"].tolist() == [0]
    own = df[(df["task"] == 1) & (df["model"] == "a")][METRIC]
    assert table["mean"][2] == pytest.approx(scipy.stats.trim_mean(own, 0.25))
    assert analysis.hyperparameters(table) == ["task", "model"]


def test_order_of_rows_and_index_do_not_matter_and_arguments_stay() -> None:
    df = two_methods()
    before, table = df.copy(), interquartile_mean(df, "model", METRIC)
    pd.testing.assert_frame_equal(interquartile_mean(shuffled(df), "model", METRIC), table)
    pd.testing.assert_frame_equal(interquartile_mean(df.set_axis([0] * len(df)), "model", METRIC), table)
    pd.testing.assert_frame_equal(df, before)
    assert interquartile_mean(df[:0], "model", METRIC).empty


def test_messages() -> None:
    df = two_methods()
    with pytest.raises(ValueError, match="Unknown column 'modle'"):
        interquartile_mean(df, "modle", METRIC)
    with pytest.raises(ValueError, match="metric must be a column of numbers, got 'model'"):
        interquartile_mean(df, "task", "model")
    with pytest.raises(ValueError, match="blocks must not name a column that has another role, got 'model'"):
        interquartile_mean(df, "model", METRIC, blocks=["model"])
    with pytest.raises(ValueError, match=r"Unknown column 'tsk'\. Did you mean 'task'"):
        interquartile_mean(df, "model", METRIC, blocks="tsk")
    with pytest.raises(ValueError, match=r"Group keys \['low'\] have the names of columns of the result"):
        interquartile_mean(df.assign(low=1), "low", METRIC)
