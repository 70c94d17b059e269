"""correlation against scipy."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from support.grids import fail, grid, noisy, shuffled

from analysis import correlation

METRIC = "val_acc_max"
COLUMNS = ["axis", "n", "pearson", "low", "high", "p", "spearman", "spearman_low", "spearman_high", "spearman_p"]


@pytest.fixture
def df() -> pd.DataFrame:
    return grid(
        noisy(0, 0.05, prune_ratio=-0.1, rate=0.02),
        prune_ratio=[0.1, 0.5, 0.8, 0.85, 0.95],
        rate=[1, 2, 3],
        on=[True, False],
        model=["a", "b"],
        seed=range(2),
    )


def test_against_scipy(df: pd.DataFrame) -> None:
    table = correlation(df, METRIC)
    assert list(table.columns) == COLUMNS
    assert table["axis"].tolist() == ["prune_ratio", "rate"], "neither switches, texts, constants nor the seed"
    for row in table.to_dict("records"):
        pearson = scipy.stats.pearsonr(df[row["axis"]], df[METRIC])
        spearman = scipy.stats.spearmanr(df[row["axis"]], df[METRIC])
        assert row["n"] == 120 and [row["pearson"], row["p"]] == pytest.approx(list(pearson), rel=1e-9)
        assert [row["low"], row["high"]] == pytest.approx(list(pearson.confidence_interval(0.95)), rel=1e-9)
        assert [row["spearman"], row["spearman_p"]] == pytest.approx(list(spearman), rel=1e-9)
        # Fieller, Hartley and Pearson, 1957: the variance of atanh of a correlation of ranks is 1.06 / (n - 3).
        half = scipy.stats.norm.ppf(0.975) * math.sqrt(1.06 / 117)
        expected = [math.tanh(math.atanh(spearman.statistic) + sign * half) for sign in (-1, 1)]
        assert [row["spearman_low"], row["spearman_high"]] == pytest.approx(expected, rel=1e-9)


def test_interval_of_ranks_holds_the_truth_as_often_as_it_says() -> None:
    # For two normals with correlation r that of the ranks is 6 / pi * arcsin(r / 2).
    rng, r = np.random.default_rng(0), 0.6
    truth, n_held = 6 / math.pi * math.asin(r / 2), 0
    for _ in range(200):
        x, noise = rng.normal(size=(2, 40))
        drawn = pd.DataFrame({"x": x, METRIC: r * x + math.sqrt(1 - r**2) * noise, "status": "complete"})
        row = correlation(drawn, METRIC, axes=["x"]).iloc[0]
        n_held += row["spearman_low"] <= truth <= row["spearman_high"]
    # 190 within three deviations of 200 throws.
    assert 180 <= n_held <= 199


def test_where_and_axes(df: pd.DataFrame) -> None:
    table = correlation(df, METRIC, axes=["seed", "prune_ratio"], where="prune_ratio <= 0.85 and on")
    part = df[(df["prune_ratio"] <= 0.85) & df["on"]]
    assert table["axis"].tolist() == ["seed", "prune_ratio"] and table["n"].tolist() == [48, 48]
    expected = [scipy.stats.pearsonr(part[name], part[METRIC])[0] for name in ("seed", "prune_ratio")]
    assert table["pearson"].tolist() == pytest.approx(expected)
    assert correlation(df, METRIC, where="rate == 1")["axis"].tolist() == ["prune_ratio"]


def test_a_perfect_and_an_undefined_correlation() -> None:
    row = correlation(grid(lambda x: x, x=[1, 2, 4, 8]), METRIC).iloc[0]
    assert (row["pearson"], row["low"], row["high"], row["spearman"]) == pytest.approx((1, 1, 1, 1))
    constant = correlation(grid(lambda x: 0.5, x=[1, 2, 4, 8]), METRIC).iloc[0]
    assert constant[COLUMNS[2:]].isna().all() and constant["n"] == 4
    few = correlation(grid(lambda x: 1 / x, x=[1, 2, 4]), METRIC).iloc[0]
    assert few["spearman"] == pytest.approx(-1) and math.isnan(few["low"]) and few["n"] == 3
    assert correlation(grid(lambda x: x, x=[1, 2]), METRIC)["pearson"].isna().all()


def test_only_complete_trials_with_both_values(df: pd.DataFrame) -> None:
    part = fail(df, df["on"])
    part.loc[1:4, METRIC] = [math.nan, math.inf, 0.9, 0.9]
    part["rate"] = part["rate"].where(part["rate"] != 2)
    used = part[(part["status"] == "complete") & np.isfinite(part[METRIC])]
    table = correlation(part, METRIC).set_index("axis")
    assert table["n"].to_dict() == {"prune_ratio": len(used), "rate": used["rate"].notna().sum()}
    present = used.dropna(subset="rate")
    assert table.loc["rate", "pearson"] == pytest.approx(np.corrcoef(present["rate"], present[METRIC])[0, 1])


def test_order_of_rows_does_not_matter_and_arguments_stay(df: pd.DataFrame) -> None:
    before = df.copy()
    table = correlation(df, METRIC, where="on")
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(correlation(shuffled(df), METRIC, where="on"), table)


def test_errors(df: pd.DataFrame) -> None:
    for arguments, message in [
        ({"metric": "val_acc"}, r"Unknown column 'val_acc'\. Did you mean 'val_acc_max'"),
        ({"metric": "trial_dir"}, r"metric must be a column of numbers, got 'trial_dir'"),
        ({"axes": "rate"}, r"axes must be a list of names, got 'rate'\. Write \['rate'\]"),
        ({"axes": ["prune_ration"]}, r"Unknown column 'prune_ration'\. Did you mean 'prune_ratio'"),
        ({"axes": ["model"]}, r"axes must be columns of numbers, got 'model'\. Use compare or importance for it"),
        ({"axes": ["on"]}, r"axes must be columns of numbers, got 'on'"),
        ({"axes": ["constant"]}, r"constant has a single value among the 120 trials\. .*vary: prune_ratio, rate, on"),
        ({"where": "prune_ration < 1"}, r"where 'prune_ration < 1' cannot be read\. Unknown column 'prune_ration'"),
        ({"where": "rate =="}, r"where 'rate ==' cannot be read: "),
        ({"where": "rate + 1"}, r"where 'rate \+ 1' contains rate \+ 1\. Allowed are"),
        ({"where": "rate > 3"}, r"where 'rate > 3' leaves no trial of 120"),
        ({"where": "rate == 1 and prune_ratio == 0.1"}, r"No numeric axis varies among the 8 trials\. .*on, model"),
    ]:
        with pytest.raises(ValueError, match=message):
            correlation(df, **{"metric": METRIC, **arguments})
