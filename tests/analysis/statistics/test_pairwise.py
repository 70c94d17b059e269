"""compare: pairs, intervals and tests against scipy and statsmodels, and what its sentences say."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired
from support.grids import fail, grid, noisy, shuffled

import analysis
from analysis import compare
from analysis.statistics.paired_tests import (
    FEWEST,
    MOST_EXACT,
    effect,
    equivalence_test,
    holm,
    sign_flip_test,
    t_test,
)

METRIC = "val_acc_max"
Numbers = NDArray[np.float64]
COLUMNS = ["axis", "a", "b", "pairs", "mean_a", "mean_b", "difference", "low", "high", "p", "p_holm", "p_sign"]
COLUMNS += [
    "effect",
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
    # Mean 0.25, standard deviation sqrt(4 * 0.125**2 / 5) = 0.1118: t = 0.25 / (0.1118 / sqrt(6)) = 5.477, and 97.5% of
    # Student's t with 5 degrees of freedom lie below 2.5706.
    row = only_row(from_differences([0.125, 0.125, 0.25, 0.25, 0.375, 0.375]))
    assert list(row) == COLUMNS
    assert (row["axis"], row["a"], row["b"], row["pairs"], row["unpaired"]) == ("on", False, True, 6, 0)
    assert (row["mean_a"], row["mean_b"], row["difference"], row["b_wins"]) == (0.5, 0.75, 0.25, 1.0)
    assert row["p"] == row["p_holm"] == pytest.approx(2 * scipy.stats.t.sf(5.4772, 5), rel=1e-3)
    half = 2.5706 * math.sqrt(4 * 0.125**2 / 5 / 6)
    assert (row["low"], row["high"]) == pytest.approx((0.25 - half, 0.25 + half), rel=1e-4)
    # Of the 64 patterns of signs only + + + + + + and - - - - - - are as far from 0.
    assert row["p_sign"] == 2 / 64
    assert row["effect"] == pytest.approx(0.25 / math.sqrt(4 * 0.125**2 / 5))
    numbers = "95% interval 0.133 to 0.367, 6 pairs, paired t test: p = 0.0028"
    assert row["conclusion"] == f"val_acc_max is higher with on=True than with False: +0.25 ({numbers})."


def test_ties_count_half_and_say_nothing_about_the_sign() -> None:
    row = only_row(from_differences([0.25, 0.0, -0.25, 0.0, 0.5, 0.0]))
    assert row["b_wins"] == (2 + 3 / 2) / 6
    # 0.25, -0.25, 0.5: the sum 0.5 or more in size in 6 of the 8 patterns (all but +-(0.25 + 0.25 - 0.5)).
    assert row["p_sign"] == 6 / 8


@pytest.mark.parametrize("n", [2, 3, 5, 12, 216])
def test_t_against_scipys_paired_test(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n), rng.normal(0.2, 1, n)
    expected = scipy.stats.ttest_rel(b, a)
    assert t_test(b - a) == pytest.approx((expected.pvalue, *expected.confidence_interval(0.95)), rel=1e-9)


@pytest.mark.parametrize("n", [2, 4, 30])
def test_equivalence_against_statsmodels(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n), rng.normal(0.2, 1, n)
    assert equivalence_test(b - a, 0.7) == pytest.approx(ttost_paired(b, a, -0.7, 0.7)[0], rel=1e-9)


@pytest.mark.parametrize("n", [6, 8, 12])
def test_sign_flips_against_scipys_permutation_test(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    expected = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True, axis=0
    )
    assert sign_flip_test(differences, 0) == pytest.approx(expected.pvalue, abs=1e-12)


def test_sign_flips_of_many_pairs_are_drawn() -> None:
    differences = np.random.default_rng(5).normal(0.3, 1, MOST_EXACT + 1)
    exact = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True, axis=0
    )
    drawn = sign_flip_test(differences, 0)
    # Four deviations of 9,999 throws.
    assert drawn == pytest.approx(exact.pvalue, abs=4 * math.sqrt(exact.pvalue / 9999)) and drawn != exact.pvalue
    assert sign_flip_test(differences, 0) == drawn != sign_flip_test(differences, 1)
    assert sign_flip_test(np.full(40, 0.5) + np.arange(40) / 1000, 0) == 1 / 10000
    # Pairs that are equal do not turn few into many.
    padded = np.concatenate([differences[:8], np.zeros(300)])
    assert sign_flip_test(padded, 0) == sign_flip_test(differences[:8], 0)


def test_rounded_values_tie_in_spite_of_rounding_errors() -> None:
    # 0.1 + 0.2 is not 0.3: as tenths, 4 of the 8 patterns of 1, 2, -3 reach 0, and all are as far as that.
    padding = np.zeros(FEWEST)
    assert sign_flip_test(np.array([0.1, 0.2, -0.3, *padding]), 0) == 1.0
    # + 0.1 + 0.2 + 0.3 - 0.4: of 16 patterns 0.2 or more in size are all but the 2 of 1 + 4 = 2 + 3.
    four = np.array([0.1, 0.2, 0.3, -0.4, *padding])
    assert sign_flip_test(four, 0) == sign_flip_test(1e-9 * four, 0) == 14 / 16


def test_degenerate_differences() -> None:
    assert t_test(np.zeros(9)) == (1, 0, 0) and sign_flip_test(np.zeros(9), 0) == 1
    for few in (np.array([]), np.array([0.1])):
        assert all(map(math.isnan, t_test(few))) and math.isnan(equivalence_test(few, 1))
        assert math.isnan(sign_flip_test(few, 0))
    # Equal differences, or such that differ by rounding, have no deviation. They are no proof.
    assert t_test(np.full(3, -0.5)) == (0.25, -0.5, -0.5)
    assert t_test(np.array([0.3, 0.1 + 0.2]))[0] == 0.5
    assert equivalence_test(np.full(30, 0.5), 1) == 2.0**-29 and equivalence_test(np.full(30, 0.5), 0.5) == 1
    assert effect(np.zeros(4)) == 0 and effect(np.full(4, -0.5)) == -math.inf and math.isnan(effect(np.array([1.0])))


def test_trials_of_changed_data_are_not_compared_together() -> None:
    df = grid(lambda on, seed: seed, on=[False, True], seed=range(3)).assign(dataset_name="x.csv")
    df["data_hash"] = np.where(df["on"], "1e5", "0d4")
    row = only_row(df)
    assert row["pairs"] == 0 and "df.drop" not in row["conclusion"]
    assert "data_hash never has the same value in both; train both on the same data" in row["conclusion"]


def test_a_difference_that_is_rounding_is_0() -> None:
    # As floats, 0.3 - (0.1 + 0.2) is -5.6e-17; the mean of 0.3 - 0.1, 0.1 - 0.3 and the like is no exact 0 either.
    values = {False: [0.1 + 0.2, 0.1, 0.7, 0.8], True: [0.3, 0.8, 0.1, 0.7]}
    noise = np.mean(np.array(values[True]) - np.array(values[False]))
    assert noise != 0 and abs(noise) < 1e-15
    df = grid(lambda on, seed: values[on][seed], on=[False, True], seed=range(4))
    assert only_row(df)["difference"] == 0.0 and "minus that with False: +0," in only_row(df)["conclusion"]
    equal = df[df["seed"] == 0]
    assert only_row(equal)["b_wins"] == 0.5 and "is equal in the only pair" in only_row(equal)["conclusion"]
    # A small difference of small values is none of rounding.
    assert only_row(equal.assign(**{METRIC: [1e-20, 3e-20]}))["difference"] == pytest.approx(2e-20)


def test_differences_that_are_equal_but_for_rounding_have_an_infinite_effect() -> None:
    differences = np.array([0.2, 0.3, 0.4, 0.8]) - np.array([0.1, 0.2, 0.3, 0.7])
    assert np.ptp(differences) > 0 and effect(differences) == math.inf


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


def test_against_has_the_pairs_with_one_value_and_corrects_for_them_only() -> None:
    df = grid(noisy(0), model=["a", "b", "c", "d"], on=[0, 1], seed=range(3))
    table = compare(df, "model", METRIC, against="b", margin=0.02)
    assert table[["a", "b"]].values.tolist() == [["b", "a"], ["b", "c"], ["b", "d"]]
    wide = df.pivot(index=["on", "seed"], columns="model", values=METRIC)
    for row in table.to_dict("records"):
        test = scipy.stats.ttest_rel(wide[row["b"]], wide["b"])
        interval = test.confidence_interval()
        expected = [(wide[row["b"]] - wide["b"]).mean(), interval.low, interval.high, test.pvalue]
        assert [row[name] for name in ("difference", "low", "high", "p")] == pytest.approx(expected)
        assert row["b_wins"] == pytest.approx((wide[row["b"]] > wide["b"]).mean())
        assert row["conclusion"].startswith(f"{METRIC} with model={row['b']} minus that with b: ")
    assert table["p_holm"].tolist() == pytest.approx(multipletests(table["p"], method="holm")[1])


def test_against_is_one_value_of_one_axis() -> None:
    df = grid(noisy(0), model=["SET", "RigL"], sizes=[(300, 100), (100,)], seed=range(3))
    for given in ((300, 100), [300, 100], "(300, 100)"):
        assert compare(df, "sizes", METRIC, against=given)[["a", "b"]].values.tolist() == [[(300, 100), (100,)]]
    with pytest.raises(
        ValueError, match=r"^Unknown value of model 'STE'\. Did you mean 'SET'\? Available: RigL, SET\.$"
    ):
        compare(df, "model", METRIC, against="STE")
    with pytest.raises(ValueError, match=r"^against takes a single axis, got \['model', 'sizes'\]\. Call compare once"):
        compare(df, ["model", "sizes"], METRIC, against="SET")


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
    assert table["b"].isna().sum() == 3 and "sizes=None and" not in table["conclusion"][5]
    assert table["conclusion"][5].startswith("val_acc_max with sizes=(3, 1) and with None is equal in all 2 pairs")


def normal(rng: np.random.Generator, size: tuple[int, int]) -> Numbers:
    return rng.normal(0, 1, size)


def skewed(rng: np.random.Generator, size: tuple[int, int]) -> Numbers:
    """Logarithms of accuracies near 1: the error is a lognormal around 2%."""
    return np.log(1 - 0.02 * rng.lognormal(0, 0.5, size))


def heteroscedastic(rng: np.random.Generator, size: tuple[int, int]) -> Numbers:
    """Pairs of two densities, of which one has three times the noise of the other."""
    return rng.normal(0, 1, size) * np.where(np.arange(size[1]) % 2, 1, 3)


def bounded(rng: np.random.Generator, size: tuple[int, int]) -> Numbers:
    """Accuracies over 360 examples that are right with a probability near 0.97, which itself varies."""
    return rng.binomial(360, rng.beta(97, 3, size)) / 360


NOISES = [normal, skewed, heteroscedastic, bounded]


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("noise", NOISES)
def test_false_claims_and_coverage(noise: Callable[..., Numbers], n: int) -> None:
    # Three methods without a difference, in n pairs each: a family of three comparisons.
    rng = np.random.default_rng(n)
    many = 400
    methods = [noise(rng, (many, n)) for _ in range(3)]
    families = [[t_test(b[i] - a[i]) for a, b in itertools.combinations(methods, 2)] for i in range(many)]
    claims = sum((holm(np.array([p for p, _, _ in family])) <= 0.05).any() for family in families)
    # 5% of 400 is 20; more than 34 happens once in a thousand times.
    assert claims <= 34
    covered = np.mean([low <= 0 <= high for family in families for _, low, high in family])
    # As of 400 intervals, because the three of a family are not independent. Unlike noise makes intervals too wide.
    assert 0.92 <= covered <= 0.99


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
