"""performance_profile: by hand, and against numbers of rliable."""

import math

import numpy as np
import pandas as pd
import pytest
from support.grids import fail, grid, shuffled
from support.many_data_sets import two_methods

from analysis import performance_profile

METRIC = "val_acc_max"


def test_by_hand() -> None:
    df = grid(lambda on, seed: [0.1, 0.2, 0.3, 0.4][seed] + on, on=[0, 1], seed=range(4))
    table = performance_profile(df, "on", METRIC, thresholds=[0.3, 0.0, 1.15])
    assert list(table) == ["on", "threshold", "share", "low", "high", "count", "left_out"]
    assert table[["on", "threshold", "share"]].values.tolist() == [
        [0, 0.0, 1.0],
        [0, 0.3, 0.25],  # a value at the threshold is not above it
        [0, 1.15, 0.0],
        [1, 0.0, 1.0],
        [1, 0.3, 1.0],
        [1, 1.15, 0.75],
    ]
    assert table[["low", "high"]].values[[0, 2, 3]].tolist() == [[1, 1], [0, 0], [1, 1]]
    below = performance_profile(df, "on", METRIC, thresholds=[0.3], lowest=True)
    assert below["share"].tolist() == [0.5, 0.0]
    as_loss = df.rename(columns={METRIC: "val_loss_min"})
    assert performance_profile(as_loss, "on", "val_loss_min", thresholds=[0.3])["share"].tolist() == [0.5, 0.0]


def test_against_rliable() -> None:
    table = performance_profile(two_methods(), "model", METRIC, thresholds=[0.3, 0.6, 0.9, 1.2])
    # create_performance_profile of rliable 1.2.0, 20,000 resamples. Shares are multiples of 1/48.
    shares = [0.9375, 0.66666667, 0.39583333, 0.10416667, 0.95833333, 0.75, 0.39583333, 0.16666667]
    low = [0.875, 0.54166667, 0.29166667, 0.04166667, 0.89583333, 0.64583333, 0.27083333, 0.08333333]
    high = [1.0, 0.79166667, 0.5, 0.1875, 1.0, 0.85416667, 0.52083333, 0.25]
    assert table["share"].tolist() == pytest.approx(shares)
    assert table["low"].tolist() == pytest.approx(low, abs=1 / 48 + 1e-6)
    assert table["high"].tolist() == pytest.approx(high, abs=1 / 48 + 1e-6)


def test_thresholds_span_the_metric_and_the_area_is_the_mean() -> None:
    df = two_methods()
    table = performance_profile(df, "model", METRIC)
    assert (
        table.groupby("model")["threshold"].agg(["min", "max", "size"]).values.tolist()
        == [[df[METRIC].min(), df[METRIC].max(), 51]] * 2
    )
    fine = performance_profile(df, "model", METRIC, thresholds=np.linspace(0, 2, 401))
    areas = fine.groupby("model")["share"].mean() * 2
    # The sum over steps of 0.005.
    assert areas.tolist() == pytest.approx(df.groupby("model")[METRIC].mean().tolist(), abs=0.006)
    falls = fine.groupby("model")["share"].apply(lambda share: (share.diff().dropna() <= 0).all())
    assert falls.all() and (fine["low"] <= fine["share"]).all() and (fine["share"] <= fine["high"]).all()


def test_what_is_left_out_is_counted() -> None:
    df = two_methods()
    df = fail(df, (df["model"] == "b") & (df["seed"] == 0))
    df.loc[(df["model"] == "a") & (df["task"] == 0), METRIC] = math.inf
    table = performance_profile(df, "model", METRIC, thresholds=[0.5])
    assert table["count"].tolist() == [40, 42] and table["left_out"].tolist() == [8, 6]
    only_a = performance_profile(fail(df, df["model"] == "b"), "model", METRIC, thresholds=[0.5])
    assert only_a["count"].tolist() == [40, 0] and only_a["share"].isna().tolist() == [False, True]


def test_a_single_trial_in_a_block_gives_no_interval() -> None:
    df = two_methods()
    table = performance_profile(df[df["seed"] == 0], "model", METRIC, thresholds=[0.5])
    assert table[["low", "high"]].isna().all(axis=None) and table["share"].notna().all()
    pooled = performance_profile(df[df["seed"] == 0], "model", METRIC, thresholds=[0.5], blocks="constant")
    assert pooled["low"].notna().all()


def test_values_of_all_kinds() -> None:
    df = grid(lambda sizes, seed: seed, sizes=[(3, 1), "auto", 2, None], seed=range(3))
    table = performance_profile(df, "sizes", METRIC, thresholds=[0.5])
    assert table["sizes"].tolist()[:3] == [2, "auto", (3, 1)] and table["sizes"].isna().tolist()[3]
    assert table["share"].tolist() == pytest.approx([2 / 3] * 4)


def test_order_of_rows_and_index_do_not_matter_and_arguments_stay() -> None:
    df = two_methods()
    before, table = df.copy(), performance_profile(df, "model", METRIC)
    pd.testing.assert_frame_equal(performance_profile(shuffled(df), "model", METRIC), table)
    pd.testing.assert_frame_equal(performance_profile(df.set_axis([0] * len(df)), "model", METRIC), table)
    pd.testing.assert_frame_equal(df, before)
    assert performance_profile(df, "model", METRIC, seed=1)["low"].tolist() != table["low"].tolist()


def test_messages() -> None:
    df = two_methods()
    with pytest.raises(ValueError, match="Unknown column 'modle'"):
        performance_profile(df, "modle", METRIC)
    with pytest.raises(ValueError, match="metric must be a column of numbers, got 'model'"):
        performance_profile(df, "task", "model")
    with pytest.raises(ValueError, match="constant must have several values to compare, but has only the value 1"):
        performance_profile(df, "constant", METRIC)
    with pytest.raises(ValueError, match="trial_id must have at most 20 values, but has 96"):
        performance_profile(df, "trial_id", METRIC)
    with pytest.raises(ValueError, match="blocks must not name a column that has another role, got 'val_acc_max'"):
        performance_profile(df, "model", METRIC, blocks=["val_acc_max"])
    with pytest.raises(ValueError, match=r"Group keys \['share'\] have the names of columns of the result"):
        performance_profile(df.rename(columns={"model": "share"}), "share", METRIC)
    for thresholds in ([], [0.5, math.nan], [math.inf]):
        with pytest.raises(ValueError, match="thresholds must be at least one number, each finite, got"):
            performance_profile(df, "model", METRIC, thresholds=thresholds)
    with pytest.raises(ValueError, match=r"No complete trial has a finite val_acc_max, so there is no profile\."):
        performance_profile(fail(df, df["seed"] >= 0), "model", METRIC)
