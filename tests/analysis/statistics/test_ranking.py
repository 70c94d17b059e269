"""best and pareto: by hand, and pareto against its definition."""

import math

import pandas as pd
import pytest
from support.grids import fail, grid, noisy, shuffled

from analysis import best, pareto
from analysis.statistics.ranking import is_better_low

METRIC = "val_acc_max"


@pytest.fixture
def df() -> pd.DataFrame:
    """Trials 0 to 5 with values 5, 1, 4, 4, 2, 3."""
    df = grid(lambda on_perc, seed: 0, on_perc=[0.1, 0.2, 0.4], seed=[0, 1])
    return df.assign(val_acc_max=[5, 1, 4, 4, 2, 3], trial_time=[6.0, 5, 2, 3, 1, 2])


def test_best(df: pd.DataFrame) -> None:
    table = best(df, METRIC, 3)
    assert list(table.columns) == [METRIC, "on_perc", "seed", "trial_dir"]
    assert table.values.tolist() == [[5, 0.1, 0, "T_00000"], [4, 0.2, 0, "T_00002"], [4, 0.2, 1, "T_00003"]]
    assert best(df, METRIC, 2, lowest=True)[METRIC].tolist() == [1, 2]
    assert len(best(df, METRIC)) == 5 and len(best(df, METRIC, 99)) == 6


def test_best_is_of_complete_trials_with_a_value(df: pd.DataFrame) -> None:
    df = fail(df.astype({METRIC: float}), df["trial_id"] == "0")
    df.loc[2, METRIC] = math.inf
    assert best(df, METRIC, 1)["trial_dir"].tolist() == ["T_00003"]
    assert best(fail(df, df["seed"] >= 0), METRIC).empty


def test_equal_values_stay_in_the_order_of_the_trials() -> None:
    df = grid(lambda on_perc, seed: 0.5, on_perc=[0.1, 0.2], seed=range(20))
    assert best(shuffled(df), METRIC, 40)["trial_dir"].tolist() == df["trial_dir"].tolist()
    assert pareto(shuffled(df), METRIC, "on_perc")["trial_dir"].tolist() == df["trial_dir"].tolist()[:20]


def test_a_trial_without_a_finite_value_is_not_on_the_front(df: pd.DataFrame) -> None:
    df = df.astype({METRIC: float})
    df.loc[4, METRIC] = math.inf
    assert pareto(df, METRIC, "trial_time")["trial_dir"].tolist() == ["T_00002", "T_00000"]


@pytest.mark.parametrize(
    ("metric", "is_low"),
    [
        ("val_loss_min", True),
        ("test_error", True),
        ("val_ece", True),
        ("val_acc_max", False),
        ("val_rmse_min", True),
        ("val_r2_max", False),
    ],
)
def test_of_which_metrics_low_values_are_better(metric: str, is_low: bool) -> None:
    assert is_better_low(metric) == is_low


def test_pareto_by_hand(df: pd.DataFrame) -> None:
    # By cost: 2 at 1; 4 and 3 at 2, of which 4 is better; 4 at 3 is no more than 4 at 2; 1 at 5; 5 at 6.
    table = pareto(df, METRIC, "trial_time")
    assert list(table.columns) == ["trial_time", METRIC, "on_perc", "seed", "trial_dir"]
    assert table.values.tolist() == [[1, 2, 0.4, 0, "T_00004"], [2, 4, 0.2, 0, "T_00002"], [6, 5, 0.1, 0, "T_00000"]]
    # At 1, 2, 2, 3, 5, 6 stand 2, 4, 3, 4, 1, 5: lower than 2 is only the 1.
    assert pareto(df, METRIC, "trial_time", lowest=True)["trial_dir"].tolist() == ["T_00004", "T_00001"]


def test_ties_are_kept(df: pd.DataFrame) -> None:
    table = pareto(df.assign(trial_time=[6.0, 5, 2, 2, 1, 2]), METRIC, "trial_time")
    assert table["trial_dir"].tolist() == ["T_00004", "T_00002", "T_00003", "T_00000"]


@pytest.mark.parametrize("lowest", [False, True])
def test_pareto_is_what_no_other_beats(lowest: bool) -> None:
    df = grid(noisy(0), on_perc=[0.05, 0.1, 0.2, 0.4], seed=range(20))
    df = fail(df, df["seed"] == 3).assign(val_acc_max=lambda df: df[METRIC].round(2))
    used = df[df["status"] == "complete"]
    points = [(-value if lowest else value, cost) for value, cost in zip(used[METRIC], used["on_perc"], strict=True)]

    def is_beaten(value: float, cost: float) -> bool:
        return any(v >= value and c <= cost and (v, c) != (value, cost) for v, c in points)

    expected = {name for name, point in zip(used["trial_dir"], points, strict=True) if not is_beaten(*point)}
    table = pareto(df, METRIC, "on_perc", lowest=lowest)
    assert set(table["trial_dir"]) == expected and len(table) == len(expected)
    assert table["on_perc"].is_monotonic_increasing and list(table.columns).count("on_perc") == 1


def test_a_low_loss_and_few_flops_are_better_without_being_told(df: pd.DataFrame) -> None:
    df = df.assign(val_loss_min=df[METRIC], flops_train=df["trial_time"])
    pd.testing.assert_frame_equal(
        pareto(df, "val_loss_min", "flops_train"), pareto(df, "val_loss_min", "flops_train", lowest=True)
    )
    assert pareto(df, "flops_train", METRIC)["trial_dir"].tolist() == ["T_00001", "T_00004"]
    # A trial of version 0.1 among new ones has no value.
    df.loc[4, "flops_train"] = math.nan
    assert pareto(df, METRIC, "flops_train")["trial_dir"].tolist() == ["T_00002", "T_00000"]


@pytest.mark.parametrize("metric", ["val_loss_min", "val_ece_last", "dead_units_l0_last", "noise_loss@0.3_min"])
def test_names_of_metrics_that_are_better_low(metric: str, df: pd.DataFrame) -> None:
    frame = df.rename(columns={METRIC: metric})
    assert pareto(frame, metric, "trial_time")["trial_dir"].tolist() == ["T_00004", "T_00001"]


def test_order_of_rows_does_not_matter_and_arguments_stay(df: pd.DataFrame) -> None:
    before = df.copy()
    tables = best(df, METRIC, 4), pareto(df, METRIC, "trial_time")
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(best(shuffled(df), METRIC, 4), tables[0])
    pd.testing.assert_frame_equal(pareto(shuffled(df), METRIC, "trial_time"), tables[1])


def test_errors(df: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        best(df, METRIC, 0)
    with pytest.raises(ValueError, match=r"Unknown column 'val_acc'\. Did you mean 'val_acc_max'"):
        best(df, "val_acc")
    with pytest.raises(ValueError, match=r"Unknown column 'trial_tme'\. Did you mean 'trial_time'"):
        pareto(df, METRIC, "trial_tme")
    with pytest.raises(
        ValueError, match=r"No trial has logged 'flops_train': version 0\.1 .* Run the trials again, or"
    ):
        pareto(df, METRIC, "flops_train")
    with pytest.raises(ValueError, match="metric must be a column of numbers, got 'trial_dir'"):
        pareto(df, METRIC, "trial_dir")
    with pytest.raises(ValueError, match="metric and cost must be different columns, got 'val_acc_max' for both"):
        pareto(df, METRIC, METRIC)
    for call in (lambda df: best(df, METRIC), lambda df: pareto(df, METRIC, "trial_time")):
        with pytest.raises(ValueError, match="Unknown column 'status'"):
            call(df.drop(columns="status"))
        with pytest.raises(ValueError, match="Unknown column 'trial_dir'"):
            call(df.drop(columns="trial_dir"))
