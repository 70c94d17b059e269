"""compare: pairs, intervals and tests against scipy and statsmodels, and what its sentences say."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from support.grids import fail, grid, noisy, shuffled

import analysis
from analysis import compare
from analysis.statistics.paired_tests import FEWEST, MOST_EXACT, effect, holm, interval, p_value

METRIC = "val_acc_max"
COLUMNS = ["axis", "a", "b", "pairs", "mean_a", "mean_b", "difference", "low", "high", "p", "p_holm", "effect"]
COLUMNS += [
    "b_wins",
    "unpaired",
    "left_out_a",
    "left_out_b",
    "diverged_a",
    "diverged_b",
    "at_chance_a",
    "at_chance_b",
    "conclusion",
]


def from_differences(differences: list[float]) -> pd.DataFrame:
    """One pair of trials for each difference between on=True and on=False."""
    return grid(lambda on, seed: 0.5 + on * differences[seed], on=[False, True], seed=range(len(differences)))


def only_row(df: pd.DataFrame, axis: str = "on") -> dict[str, Any]:
    table = compare(df, axis, METRIC)
    assert len(table) == 1
    return table.iloc[0].to_dict()


def test_a_worked_example() -> None:
    # Of the 64 patterns of signs only + + + + + + and - - - - - - are as far from 0: p = 2 / 64.
    row = only_row(from_differences([0.125, 0.125, 0.25, 0.25, 0.375, 0.375]))
    assert list(row) == COLUMNS
    assert (row["axis"], row["a"], row["b"], row["pairs"], row["unpaired"]) == ("on", False, True, 6, 0)
    assert (row["mean_a"], row["mean_b"], row["difference"], row["b_wins"]) == (0.5, 0.75, 0.25, 1.0)
    assert row["p"] == row["p_holm"] == 2 / 64
    assert row["effect"] == pytest.approx(0.25 / math.sqrt(4 * 0.125**2 / 5))
    assert 0.125 <= row["low"] < 0.2 and 0.3 < row["high"] <= 0.375
    expected = f"95% interval {row['low']:.3g} to {row['high']:.3g}, 6 pairs, p = 0.031"
    assert row["conclusion"] == f"val_acc_max is higher with on=True than with False: +0.25 ({expected})."


def test_ties_count_half_and_say_nothing_about_the_sign() -> None:
    row = only_row(from_differences([0.25, 0.0, -0.25, 0.0, 0.5, 0.0]))
    assert row["b_wins"] == (2 + 3 / 2) / 6
    # 0.25, -0.25, 0.5: the sum 0.5 or more in size in 6 of the 8 patterns (all but +-(0.25 + 0.25 - 0.5)).
    assert row["p"] == 6 / 8


@pytest.mark.parametrize("n", [2, 5, 8, 12])
def test_few_pairs_against_scipys_permutation_test(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    expected = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True, axis=0
    )
    assert p_value(differences) == pytest.approx(expected.pvalue, abs=1e-12)


def test_rounded_values_tie_in_spite_of_rounding_errors() -> None:
    # 0.1 + 0.2 is not 0.3: as tenths, 4 of the 8 patterns of 1, 2, -3 reach 0, and all are as far as that.
    assert p_value(np.array([0.1, 0.2, -0.3])) == 1.0
    # + 0.1 + 0.2 + 0.3 - 0.4: of 16 patterns 0.2 or more in size are all but the 2 of 1 + 4 = 2 + 3.
    assert p_value(np.array([0.1, 0.2, 0.3, -0.4])) == 14 / 16
    assert p_value(1e-9 * np.array([0.1, 0.2, 0.3, -0.4])) == 14 / 16
    assert p_value(np.array([0.1])) == 1.0


@pytest.mark.parametrize("n", [MOST_EXACT + 1, 40, 216])
def test_many_pairs_against_scipys_t_test(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n), rng.normal(0.2, 1, n)
    assert p_value(b - a) == pytest.approx(scipy.stats.ttest_rel(b, a).pvalue, rel=1e-9)
    exact, differing = rng.normal(0.25, 1, MOST_EXACT), np.zeros(300)
    differing[:MOST_EXACT] = exact
    assert p_value(differing) == p_value(exact), "pairs that are equal do not turn few into many"


def test_the_two_tests_meet() -> None:
    # At the border the exact test and t agree, so that which one is used does not matter.
    for shift in (0.1, 0.3, 0.5, 0.8):
        differences = np.random.default_rng(5).normal(shift, 1, MOST_EXACT)
        assert p_value(differences) == pytest.approx(scipy.stats.ttest_1samp(differences, 0).pvalue, rel=0.3, abs=1e-3)


def test_degenerate_differences() -> None:
    assert p_value(np.zeros(9)) == 1.0 and math.isnan(p_value(np.array([])))
    assert p_value(np.full(30, 0.5)) == 2 * 0.5**30 and p_value(np.full(3, -0.5)) == 2 * 0.5**3
    assert effect(np.zeros(4)) == 0 and effect(np.full(4, -0.5)) == -math.inf and math.isnan(effect(np.array([1.0])))
    assert interval(np.full(30, 0.5), 0) == (0.5, 0.5)
    assert all(math.isnan(x) for x in interval(np.arange(FEWEST - 1.0), 0))


def test_interval_is_that_of_the_bootstrap_moved_outwards() -> None:
    differences = np.random.default_rng(1).normal(0.1, 1, 200)
    low, high = interval(differences, 0)
    plain = scipy.stats.bootstrap((differences,), np.mean, method="percentile", rng=np.random.default_rng(1))
    # With 200 pairs little is to be moved; the tolerance is that of 9999 resamples.
    assert (low, high) == pytest.approx(plain.confidence_interval, abs=0.012)
    assert interval(differences, 0) == (low, high)
    assert interval(differences, 1) == pytest.approx((low, high), abs=0.012) and interval(differences, 1) != (low, high)


def test_interval_of_few_pairs_is_hesterbergs_expanded_percentile_interval() -> None:
    rng = np.random.default_rng(2)
    differences = rng.normal(0.1, 1, 8)
    tail = scipy.stats.norm.cdf(-math.sqrt(8 / 7) * scipy.stats.t(7).ppf(0.975))
    expected = np.quantile(rng.choice(differences, (400_000, 8)).mean(axis=1), [tail, 1 - tail])
    # The mean of ten seeds, because the share in each tail is half a percent.
    assert np.mean([interval(differences, seed) for seed in range(10)], axis=0) == pytest.approx(expected, abs=0.015)


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [interval(rng.normal(1, 1, 8), 0) for _ in range(300)]
    share = np.mean([low <= 1 <= high for low, high in intervals])
    # 0.95 within three deviations of 300 throws; without the move outwards it is 0.88.
    assert 0.91 <= share <= 0.99


def test_effect_is_cohens_d() -> None:
    differences = np.array([1.0, 2.0, 3.0, 6.0])
    assert effect(differences) == pytest.approx(scipy.stats.ttest_1samp(differences, 0).statistic / math.sqrt(4))


@pytest.mark.parametrize("p", [[0.01], [0.04, 0.01, 0.03], [0.5, 0.5, 0.6, 0.001], [0.02, 0.02, 0.02]])
def test_holm_against_statsmodels(p: list[float]) -> None:
    expected = multipletests(p, method="holm")[1]
    assert holm(np.array(p)) == pytest.approx(expected)
    with_gap = holm(np.array([math.nan, *p]))
    assert math.isnan(with_gap[0]) and with_gap[1:] == pytest.approx(expected)


def test_every_pair_of_values_of_every_axis_and_holm_over_all() -> None:
    df = grid(noisy(0, on_perc=0.2), on_perc=[0.05, 0.1, 0.2], kwinners=[True, False], seed=range(4))
    table = compare(df, ["on_perc", "kwinners"], METRIC)
    assert table[["axis", "a", "b"]].values.tolist() == [
        ["on_perc", 0.05, 0.1],
        ["on_perc", 0.05, 0.2],
        ["on_perc", 0.1, 0.2],
        ["kwinners", False, True],
    ]
    assert table["pairs"].tolist() == [8, 8, 8, 12]
    assert table["p_holm"].tolist() == pytest.approx(multipletests(table["p"], method="holm")[1])
    alone = compare(df, "on_perc", METRIC)
    assert alone["p"].tolist() == table["p"].tolist()[:3] and alone["p_holm"][2] < table["p_holm"][2]
    assert "after Holm's correction" in table["conclusion"][1]
    wide = df.pivot(index=["kwinners", "seed"], columns="on_perc", values=METRIC)
    expected = (wide[0.2] - wide[0.05]).mean()
    assert table["difference"][1] == pytest.approx(expected) and table["mean_b"][1] == pytest.approx(wide[0.2].mean())


def test_pairs_agree_in_seed_but_not_in_where_the_files_are() -> None:
    # Seeds differ far more than on does, which only pairs by seed can see.
    df = grid(lambda on, seed: 0.1 * seed + 0.001 * on, on=[False, True], seed=range(8))
    df = df.assign(device=["cpu", "cuda"] * 8, data_dir=df["trial_dir"])
    row = only_row(df)
    assert row["pairs"] == 8 and row["difference"] == pytest.approx(0.001) and row["p"] == 2 / 2**8


def test_trials_that_agree_in_everything_are_averaged() -> None:
    df = grid(
        lambda on, seed, run: 0.5 + 0.25 * on * (seed + 1) + 0.125 * run, on=[False, True], seed=[0, 1], run=[-1, 1]
    )
    row = only_row(df.drop(columns="run"))
    assert (row["pairs"], row["mean_a"], row["mean_b"], row["unpaired"]) == (2, 0.5, 0.875, 0)


def test_what_has_no_partner_or_no_value_is_counted() -> None:
    df = from_differences([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    df = fail(df, df["on"] & (df["seed"] == 0))
    df = fail(df, ~df["on"] & (df["seed"] == 1), "incomplete")
    df.loc[~df["on"] & (df["seed"] == 2), METRIC] = math.inf
    row = only_row(df)
    assert (row["pairs"], row["unpaired"], row["left_out_a"], row["left_out_b"]) == (4, 3, 2, 1)
    assert row["difference"] == pytest.approx(0.55)


def test_values_of_all_kinds_and_missing_ones() -> None:
    df = grid(lambda sizes, seed: seed, sizes=[(3, 1), "auto", 2, None], seed=range(2))
    table = compare(df, "sizes", METRIC)
    assert table["a"].tolist()[:2] == [2, 2] and table["b"].tolist()[:2] == ["auto", (3, 1)]
    assert table["b"].isna().sum() == 3 and "sizes=nothing and" not in table["conclusion"][5]
    assert table["conclusion"][5].startswith("val_acc_max with sizes=(3, 1) and with nothing is equal in all 2 pairs")


@pytest.mark.parametrize(("n", "many"), [(8, 400), (30, 400)])
def test_false_alarms_on_noise(n: int, many: int) -> None:
    # Skewed noise, as accuracies have it. 5% of 400 is 20; more than 34 happens once in a thousand times.
    rng = np.random.default_rng(n)
    alarms = sum(p_value(rng.exponential(1, n) - rng.exponential(1, n)) <= 0.05 for _ in range(many))
    assert 6 <= alarms <= 34


def test_false_alarms_of_whole_comparisons() -> None:
    def alarm(seed: int) -> bool:
        df = grid(noisy(seed), on_perc=[0.05, 0.1, 0.2], on=[True, False], seed=range(3))
        return bool((compare(df, ["on_perc", "on"], METRIC)["p_holm"] <= 0.05).any())

    # At most 5% of 80 grids, not of 320 rows: 4 are expected, 11 happen once in a thousand times.
    assert sum(alarm(seed) for seed in range(80)) <= 10


def test_a_real_difference_is_found() -> None:
    df = grid(noisy(2, spread=0.01, on=0.01), on=[True, False], seed=range(40))
    assert only_row(df)["p"] < 0.01


def test_loaded_folders(notebook_run: Path) -> None:
    table = compare(analysis.load(notebook_run), ["kwinners", "hebbian_prune_perc"], METRIC)
    assert table[["a", "b", "pairs", "unpaired", "left_out_a", "left_out_b"]].values.tolist() == [
        [False, True, 32, 0, 4, 4],
        [0.0, 0.1, 16, 8, 8, 0],
        [0.0, 0.2, 16, 8, 8, 0],
        [0.1, 0.2, 24, 0, 0, 0],
    ]
    survivors = "(8 of 24 with hebbian_prune_perc=0.0, 0 of 24 with 0.1), so that the comparison is of survivors."
    assert table["conclusion"][1].endswith(survivors)


def test_order_of_rows_and_index_do_not_matter_and_arguments_stay() -> None:
    df = fail(grid(noisy(1), on=[True, False], on_perc=[0.1, 0.2], seed=range(5)), pd.Series([True] + [False] * 19))
    before = df.copy()
    table = compare(df, ["on", "on_perc"], METRIC)
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(compare(shuffled(df), ["on", "on_perc"], METRIC), table)
    pd.testing.assert_frame_equal(compare(df.set_axis([0] * len(df)), ["on", "on_perc"], METRIC), table)


def test_swapping_a_and_b_changes_the_sign_only() -> None:
    for seeds in (7, 30):
        df = grid(noisy(1, on=0.003), on=[True, False], seed=range(seeds))
        df = fail(df, df["trial_id"] == "0")
        row, swapped = only_row(df), only_row(df.assign(on=~df["on"]))
        assert swapped["difference"] == -row["difference"] and swapped["p"] == row["p"]
        assert (swapped["low"], swapped["high"]) == pytest.approx((-row["high"], -row["low"]), abs=1e-15)
        assert swapped["effect"] == -row["effect"] and swapped["b_wins"] == pytest.approx(1 - row["b_wins"])
        assert (row["left_out_a"], row["left_out_b"]) == (0, 1)
        assert (swapped["left_out_a"], swapped["left_out_b"]) == (1, 0)
