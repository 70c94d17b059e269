"""power: against published numbers, statsmodels and simulated grids."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower
from support.grids import fail, grid, noisy, shuffled

from analysis import contrasts, power

METRIC = "val_acc_max"
COLUMNS = ["axis", "a", "b", "comparisons", "noise", "seeds", "df", "smallest_difference", "difference", "power_now"]
COLUMNS += ["seeds_needed"]


def with_noise(noise: float, **axes: Any) -> pd.DataFrame:
    """Return a grid in which the trials of each setting have exactly this standard deviation."""
    df = grid(noisy(0), **axes)
    settings = [name for name in axes if name != "seed"]
    standard = df.groupby(settings)[METRIC].transform(lambda each: (each - each.mean()) / each.std())
    return df.assign(**{METRIC: 0.5 + noise * standard})


def only_row(df: pd.DataFrame, **kwargs: Any) -> dict[str, Any]:
    [row] = power(df, "on", METRIC, **kwargs).to_dict("records")
    return row


def test_cohens_table() -> None:
    # Cohen 1988, table 2.4.1: 64 trials in each of two groups find a difference of half a standard deviation with a
    # power of 0.80 at a level of 5%; 26 find one of 0.8 (table 2.3.5: the power is 0.81).
    df = with_noise(0.02, on=[False, True], seed=range(64)).drop(columns="seed")
    row = only_row(df, difference=0.5 * 0.02)
    assert list(row) == COLUMNS
    assert (row["axis"], row["comparisons"], row["seeds"], row["df"]) == ("on", 1, 64, 126)
    assert row["noise"] == pytest.approx(0.02) and row["power_now"] == pytest.approx(0.80, abs=5e-3)
    assert row["seeds_needed"] == 64 and row["smallest_difference"] == pytest.approx(0.01, rel=5e-3)
    assert only_row(df, difference=0.8 * 0.02)["seeds_needed"] == 26


def test_one_axis_with_shared_seeds_is_a_paired_t_test() -> None:
    # G*Power: 34 pairs find d_z = 0.5 with a power of 0.8078.
    df = with_noise(0.02, on=[False, True], seed=range(34))
    wide = df.pivot_table(index="seed", columns="on", values=METRIC)
    row = only_row(df, difference=0.5 * float((wide[True] - wide[False]).std()))
    assert row["power_now"] == pytest.approx(0.8078, abs=5e-5) and row["df"] == 33 and row["seeds_needed"] == 34


def test_against_statsmodels() -> None:
    df = with_noise(0.02, on=[False, True], seed=range(6)).drop(columns="seed")
    row = only_row(df, power=0.9, difference=0.03)
    # statsmodels counts claims in the wrong direction, too; there are 5 in 100,000.
    effect = TTestIndPower().solve_power(nobs1=6, alpha=0.05, power=0.9)
    assert row["smallest_difference"] == pytest.approx(0.02 * effect, rel=1e-6)
    assert row["power_now"] == pytest.approx(TTestIndPower().power(1.5, 6, 0.05), abs=5e-5)
    assert row["seeds_needed"] == math.ceil(TTestIndPower().solve_power(1.5, alpha=0.05, power=0.9))
    shared = with_noise(0.02, on=[False, True], seed=range(6))
    row = only_row(shared, difference=0.03)
    expected = TTestPower().power(0.03 / (row["noise"] * math.sqrt(2)), 6, 0.05, df=5)
    assert row["power_now"] == pytest.approx(expected, abs=5e-5)


def test_a_row_for_each_contrast_at_the_level_of_all_contrasts() -> None:
    df = with_noise(0.02, on=[0, 1, 2], depth=[1, 2], seed=range(4)).drop(columns="seed")
    table = power(df, "on", METRIC, within="depth")
    assert list(table) == ["depth", *COLUMNS] and table["depth"].tolist() == [1, 1, 1, 2, 2, 2]
    assert list(zip(table["a"], table["b"], strict=True)) == 2 * [(0, 1), (0, 2), (1, 2)]
    assert table["comparisons"].tolist() == [6] * 6 and table["df"].tolist() == [18] * 6
    found = table["smallest_difference"][0]
    assert TTestPower().power(found / (0.02 * math.sqrt(2)), 4, 0.05 / 6, df=18) == pytest.approx(0.8, abs=1e-6)
    # Averaged over both depths, each value has twice as many trials, and there are three contrasts.
    row = power(df, "on", METRIC).to_dict("records")[0]
    assert row["comparisons"] == 3 and row["noise"] == pytest.approx(0.02)
    ratio = row["smallest_difference"] / (0.02 * math.sqrt(2))
    assert TTestPower().power(ratio, 8, 0.05 / 3, df=18) == pytest.approx(0.8, abs=1e-6)


def test_a_noisy_value_does_not_hide_what_the_other_pairs_show() -> None:
    df = with_noise(0.02, on=[0, 1, 2, 3], seed=range(6)).drop(columns="seed")
    mean = df.groupby("on")[METRIC].transform("mean")
    df[METRIC] = mean + (df[METRIC] - mean) * np.where(df["on"] == 3, 10, 1)
    rows = power(df, "on", METRIC).to_dict("records")
    quiet, noisy = [row for row in rows if row["b"] < 3], [row for row in rows if row["b"] == 3]
    assert len(quiet) == len(noisy) == 3
    for row in quiet:
        # Two values with five degrees of freedom each.
        assert row["noise"] == pytest.approx(0.02) and row["df"] == pytest.approx(10)
        expected = TTestIndPower().solve_power(nobs1=6, alpha=0.05 / 6, power=0.8)
        assert row["smallest_difference"] == pytest.approx(0.02 * expected, rel=1e-3)
    for row in noisy:
        assert row["noise"] == pytest.approx(math.sqrt((0.02**2 + 0.2**2) / 2))
        # Welch's degrees of freedom.
        assert row["df"] == pytest.approx(5 * (0.02**2 + 0.2**2) ** 2 / (0.02**4 + 0.2**4))
        expected = TTestPower().solve_power(nobs=6, alpha=0.05 / 6, power=0.8) * row["noise"] * math.sqrt(2)
        assert row["smallest_difference"] == pytest.approx(expected, rel=0.02)


def test_against_has_the_rows_of_the_contrasts() -> None:
    df = with_noise(0.02, on=[0, 1, 2, 3], depth=[1, 2], seed=range(4))
    table, compared = (call(df, "on", METRIC, within="depth", against=2) for call in (power, contrasts))
    assert table[["depth", "a", "b"]].equals(compared[["depth", "a", "b"]])
    assert table["comparisons"].tolist() == [6] * 6
    # Each test has the level 0.05 / 6 instead of 0.05 / 12.
    rows = power(df, "on", METRIC, within="depth")
    whole = {(row["depth"], *sorted([row["a"], row["b"]])): row for row in rows.to_dict("records")}
    for row in table.to_dict("records"):
        before = whole[row["depth"], *sorted([row["a"], row["b"]])]
        assert row["noise"] == pytest.approx(before["noise"])
        assert row["smallest_difference"] < before["smallest_difference"]


def test_half_of_the_smallest_difference_is_asked_for_by_default() -> None:
    row = only_row(with_noise(0.02, on=[False, True], seed=range(5)).drop(columns="seed"))
    assert row["difference"] == row["smallest_difference"] / 2
    assert row["power_now"] < 0.8 and 5 < row["seeds_needed"] <= 4 * 5
    with_more = only_row(
        with_noise(0.02, on=[False, True], seed=range(row["seeds_needed"])).drop(columns="seed"),
        difference=row["difference"],
    )
    assert with_more["power_now"] >= 0.8


def test_the_power_of_simulated_grids() -> None:
    # A difference of the size that power names is found about as often as it says.
    rng = np.random.default_rng(0)
    base = grid(lambda **_: 0.0, model=["a", "b", "c"], on_perc=[0.1, 0.2], seed=range(5))
    is_there = (base["model"] == "b") & (base["on_perc"] == 0.1)
    pilot = with_noise(1.0, model=["a", "b", "c"], on_perc=[0.1, 0.2], seed=range(5))
    row = power(pilot, "model", METRIC, within="on_perc").iloc[0]
    size = row["smallest_difference"] / row["noise"]
    n_times, found = 100, {"pooled": 0, "auto": 0}
    for _ in range(n_times):
        y = rng.normal(size=len(base)) + rng.normal(size=5)[base["seed"]] + size * is_there
        for errors in found:
            table = contrasts(base.assign(**{METRIC: y}), "model", METRIC, within="on_perc", errors=errors)
            found[errors] += int((table["p_adjusted"][[0, 2]] <= 0.05).sum())
    # 0.8 of 200, within three deviations of pairs that share a value.
    assert 0.68 <= found["pooled"] / (2 * n_times) <= 0.92
    # The noise of the compared trials costs some power that no pilot with equal noise foresees.
    assert 0.55 <= found["auto"] / (2 * n_times) <= found["pooled"] / (2 * n_times)


def test_unequal_noise_needs_unequal_seeds() -> None:
    rng = np.random.default_rng(0)
    df = grid(lambda u, v, seed: rng.normal(0, 20 if v == 0 else 1), u=[0, 1], v=[0, 1], seed=range(8))
    table = power(df, "u", METRIC, within="v", difference=2.0)
    assert table["noise"][0] > 10 * table["noise"][1]
    assert table["seeds_needed"][0] > 50 * table["seeds_needed"][1]
    rare = power(df, "u", METRIC, within="v", difference=1e-4)
    assert rare["seeds_needed"][0] == math.inf


def test_lost_trials_and_settings() -> None:
    df = with_noise(0.02, on=[0, 1], depth=[1, 2], seed=range(4))
    lost = power(fail(df, df["trial_id"] == "0"), "on", METRIC)
    assert lost["seeds"].tolist() == [15 / 4]
    table = power(fail(df, (df["on"] == 1) & (df["depth"] == 2)), "on", METRIC, within="depth")
    assert table["comparisons"].tolist() == [1, 1]
    assert table.loc[1, COLUMNS[4:]].isna().all() and table.loc[0, COLUMNS[4:]].notna().all()


def test_order_does_not_matter_and_arguments_stay() -> None:
    df = grid(noisy(0), on=[0, 1], depth=[1, 2], seed=range(4))
    before = df.copy()
    table = power(df, "on", METRIC, within="depth")
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(power(shuffled(df), "on", METRIC, within="depth"), table)
    late = (df["depth"] > 1).rename("depth")
    expected = power(df.assign(depth=late), "on", METRIC, within="depth")
    pd.testing.assert_frame_equal(power(df, "on", METRIC, within=late), expected)


def test_wrong_arguments() -> None:
    df = grid(noisy(0), on=[0, 1], depth=[1, 2], seed=range(4))

    def message(**kwargs: Any) -> str:
        with pytest.raises(ValueError) as caught:
            power(df, "on", METRIC, **kwargs)
        return str(caught.value)

    for wrong in (0, -0.1, math.nan, math.inf):
        assert message(difference=wrong) == (
            f"difference must be a positive number, got {wrong!r}. Give it in the unit of the metric."
        )
    for wrong in (0.05, 1, 80):
        assert message(power=wrong) == f"power must be in (0.05, 1), got {wrong!r}. The usual one is 0.8."
    assert message(within="on").startswith("within must be hyperparameters other than axis, 'on'")
    with pytest.raises(ValueError, match="The noise needs repeated settings"):
        power(df[df["seed"] == 0], "on", METRIC)
