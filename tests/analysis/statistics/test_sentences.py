"""What the sentences of compare say, and its errors."""

import pandas as pd
import pytest
from support.grids import fail, grid, noisy

from analysis import compare

METRIC = "val_acc_max"


def sentence(df: pd.DataFrame, axis: str = "on") -> str:
    return compare(df, axis, METRIC)["conclusion"][0]


def pairs(differences: list[float]) -> pd.DataFrame:
    return grid(lambda on, seed: 0.5 + on * differences[seed], on=[False, True], seed=range(len(differences)))


def test_lower() -> None:
    numbers = "95% interval -0.25 to -0.25, 12 pairs, paired t test: p = 0.00049"
    assert sentence(pairs([-0.25] * 12)) == f"val_acc_max is lower with on=True than with False: -0.25 ({numbers})."
    assert "p < 0.0001" in sentence(pairs([-0.25] * 20))


def test_equal() -> None:
    equal = "perhaps the axis has no effect on it, or nobody reads it."
    assert sentence(pairs([0.0] * 7)) == f"val_acc_max with on=False and with True is equal in all 7 pairs: {equal}"
    few = "too few pairs to tell."
    assert sentence(pairs([0.0])) == f"val_acc_max with on=False and with True is equal in the only pair: {few}"
    assert sentence(pairs([0.0] * 5)) == f"val_acc_max with on=False and with True is equal in all 5 pairs: {few}"


def test_trials_that_population_based_training_did_not_replace_are_no_evidence_of_equality() -> None:
    df = grid(lambda run, rate: 0.5 + rate / 100, run=["alone", "population"], rate=range(9))
    is_copy = (df["run"] == "population") & (df["rate"] > 6)
    df["rate"] = df["rate"].mask(is_copy, 10 + df["rate"])
    df["starts_from"] = ["1f2e3d@2" if copy else None for copy in is_copy]
    assert sentence(df, "run") == (
        "val_acc_max with run=alone and with population is equal in all 7 pairs. 4 complete trials without a partner "
        "took no part. 2 of them began as copies of others, so that the pairs are only those trials that "
        "population-based training did not replace. Compare one trial of each population: sort the complete trials by "
        "a validation metric, keep the last of each population with df.groupby([...]).tail(1), and drop the drawn keys."
    )
    # Equal copies have partners where the drawn keys are left out.
    assert "population-based" not in sentence(df.drop(columns="rate"), "run")


def test_no_clear_difference() -> None:
    df = grid(noisy(0), on=[False, True], seed=range(12))
    row = compare(df, "on", METRIC).iloc[0]
    assert row["p"] > 0.05
    numbers = f"95% interval {row['low']:.3g} to {row['high']:.3g}, 12 pairs, paired t test: p = {row['p']:.2g}"
    found = f"val_acc_max with on=True minus that with False: {row['difference']:+.3g}"
    assert row["conclusion"] == f"{found}, not enough evidence of a difference ({numbers})."


def test_a_difference_that_the_correction_takes_away_is_none() -> None:
    differences = [0.03, 0.002, 0.02, 0.01, 0.03, 0.0]
    df = grid(
        lambda on, x, seed: 0.5 + on * differences[2 * x + seed] + 0.001 * x * seed,
        on=[False, True],
        x=range(3),
        seed=[0, 1],
    )
    table = compare(df, ["on", "x"], METRIC)
    assert table["p"][0] <= 0.05 < table["p_holm"][0]
    assert "not enough evidence of a difference" in table["conclusion"][0]
    alone = (
        f"p = {table['p_holm'][0]:.2g} after Holm's correction; p = {table['p'][0]:.2g} if it were the only question"
    )
    assert alone in table["conclusion"][0]


def test_few_pairs_say_what_the_test_assumes() -> None:
    found = "val_acc_max with on=True minus that with False"
    assert sentence(pairs([0.25])) == f"{found}: +0.25 in the only pair: too few pairs to tell."
    clear = sentence(pairs([0.25, 0.26, 0.24]))
    assert clear.startswith("val_acc_max is higher with on=True than with False: +0.25 (95% interval 0.225 to 0.275")
    assert clear.endswith("The t test assumes normal differences, which 3 pairs cannot show.")
    assert "assumes" not in sentence(pairs([0.25, -0.26, 0.24]))


def test_tests_that_disagree() -> None:
    # One outlier makes the deviation large, but all signs are equal: 2 of 64 patterns.
    text = sentence(pairs([0.01, 0.011, 0.012, 0.013, 0.014, 0.5]))
    assert "not enough evidence" in text
    assert text.endswith("The sign-flip test, which assumes no distribution, finds one (p = 0.031): add seeds.")
    assert "sign-flip" not in sentence(pairs([0.01, 0.011, 0.012, 0.013, 0.014, 0.015]))


def test_equivalence_needs_a_margin() -> None:
    df = pairs([0.001, -0.001, 0.002, -0.002, 0.001, 0.0])
    assert "not enough evidence of a difference (95% interval" in sentence(df)
    row = compare(df, "on", METRIC, margin=0.005).iloc[0]
    assert row["p_equivalent"] < 0.05 and "equivalent within a margin of 0.005 (95% interval" in row["conclusion"]
    assert "two one-sided t tests: p =" in row["conclusion"]
    row = compare(df, "on", METRIC, margin=0.0001).iloc[0]
    assert row["p_equivalent"] > 0.05
    assert "not enough evidence of a difference, nor that it is below 0.0001" in row["conclusion"]
    for margin in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="margin must be above 0, in units of val_acc_max, got"):
            compare(df, "on", METRIC, margin=margin)


def test_unequal_failures() -> None:
    df = grid(lambda on_perc, seed: on_perc + 0.01 * seed, on_perc=[0.05, 0.1], seed=range(72))
    df = fail(df, ((df["on_perc"] == 0.05) & (df["seed"] < 24)) | ((df["on_perc"] == 0.1) & (df["seed"] < 2)))
    text = sentence(df, "on_perc")
    assert text.endswith(
        "22 complete trials without a partner took no part. Trials failed unequally (24 of 72 with on_perc=0.05, "
        "2 of 72 with 0.1), so that the comparison is of survivors."
    )
    unfinished = fail(df, (df["on_perc"] == 0.05) & (df["seed"] == 30), "incomplete")
    assert "Trials failed or gave no value unequally (25 of 72 with" in sentence(unfinished, "on_perc")


def test_failures_that_are_alike_are_not_mentioned() -> None:
    df = grid(noisy(0), on=[False, True], seed=range(40))
    assert "survivors" not in sentence(fail(df, df["seed"] < 9))
    assert "partner" not in sentence(fail(df, df["seed"] < 9))
    assert "1 complete trial without" in sentence(fail(df, df["on"] & (df["seed"] == 0)))


def test_a_mean_that_few_pairs_decide() -> None:
    text = sentence(pairs([0.01] * 9 + [-0.8]))
    assert text.endswith("Yet it is higher with on=True in 90% of the pairs: a few large differences decide.")
    assert "higher with on=False in 90%" in sentence(pairs([-0.01] * 9 + [0.8]))


def test_no_pair() -> None:
    df = pairs([0.1] * 3)
    assert sentence(fail(df, df["on"])) == (
        "val_acc_max with on=False and with True cannot be compared: none of the 3 trials with on=True has a value."
    )
    assert sentence(fail(df, df["on"] == (df["seed"] == 0))) == (
        "val_acc_max with on=False and with True cannot be compared: no two complete trials agree in all of seed."
    )


def test_what_changes_along_with_the_axis() -> None:
    df = pairs([0.25] * 6).assign(decay=lambda df: df["on"].map({True: "cosine", False: "none"}))
    assert sentence(df).endswith(
        'decay never has the same value in both; df.drop(columns=["decay"]) compares them together.'
    )
    assert compare(df.drop(columns=["decay"]), "on", METRIC)["pairs"][0] == 6
    assert "decay, rate never have the same value" in sentence(df.assign(rate=df["on"] * 0.1))


def test_of_three_values_only_the_two_that_are_compared_count() -> None:
    df = grid(noisy(0), model=["a", "b", "c"], seed=range(3)).assign(decay=lambda df: (df["model"] == "b") * 0.5)
    conclusions = compare(df, "model", METRIC).set_index(["a", "b"])["conclusion"]
    assert "decay never has the same value in both" in conclusions["a", "b"]
    assert "decay" not in conclusions["a", "c"]


def test_a_correction_for_two_rows_is_said() -> None:
    df = grid(noisy(0, on=0.1, off=0.1), on=[False, True], off=[False, True], seed=range(6))
    assert all("after Holm's correction" in each for each in compare(df, ["on", "off"], METRIC)["conclusion"])


def test_the_smallest_p() -> None:
    assert "p < 0.0001)" in sentence(grid(noisy(0, on=0.1), on=[False, True], seed=range(40)))


def test_errors() -> None:
    df = pairs([0.1, 0.2])
    for axis, metric, message in [
        ("onn", METRIC, r"Unknown column 'onn'\. Did you mean 'on'"),
        ("on", "val_acc", r"Unknown column 'val_acc'\. Did you mean 'val_acc_max'"),
        ("on", "trial_dir", f"metric must be a column of numbers, got 'trial_dir' of type {df['trial_dir'].dtype}"),
        (
            "constant",
            METRIC,
            r"constant must .*, but has only the value 1\. Hyperparameters that vary: on, seed\.$",
        ),
        (METRIC, METRIC, r"axis must be a hyperparameter, got 'val_acc_max'\. Hyperparameters that vary: on, seed\.$"),
        ("status", METRIC, "axis must be a hyperparameter, got 'status'"),
        ([], METRIC, r"axis must be at least one hyperparameter, each named once, got \[\]"),
        (["on", "on"], METRIC, r"each named once, got \['on', 'on'\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            compare(df, axis, metric)
    with pytest.raises(ValueError, match=r"but has no value, because there is no trial\. .*: none"):
        compare(df[:0], "on", METRIC)
    with pytest.raises(ValueError, match="Unknown column 'status'"):
        compare(df.drop(columns="status"), "on", METRIC)
    many = grid(noisy(0), lr=range(21), on=[True, False])
    message = r"lr must have at most 20 values, but has 21\. Filter .* use correlation\(df, 'val_acc_max'\)"
    with pytest.raises(ValueError, match=message):
        compare(many, "lr", METRIC)


def test_a_clear_difference_within_the_margin_and_one_beyond_it_are_named() -> None:
    df = grid(noisy(0, 0.002, on=0.01), on=[0, 1], seed=range(12))
    [within] = compare(df, "on", "val_acc_max", margin=0.02)["conclusion"]
    assert "equivalent within a margin of 0.02" in within
    assert within.endswith("Small as it is, the difference is clear: p < 0.0001.")
    [beyond] = compare(df, "on", "val_acc_max", margin=0.005)["conclusion"]
    assert beyond.endswith("Its whole interval is beyond the margin of 0.005.")
    [lower] = compare(df.assign(val_acc_max=-df["val_acc_max"]), "on", "val_acc_max", margin=0.005)["conclusion"]
    assert lower.endswith("Its whole interval is beyond the margin of 0.005.")
    assert "margin" not in compare(df, "on", "val_acc_max")["conclusion"][0]
