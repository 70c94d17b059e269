"""anova: a 2 x 2 by hand, larger grids against statsmodels."""

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from support.grids import fail, grid, noisy, shuffled

from analysis import anova

METRIC = "val_acc_max"


def test_two_by_two_by_hand() -> None:
    # Cells 1 2 / 3 8, each with two seeds 0.5 to either side. Grand mean 3.5; rows 1.5 and 5.5, columns 2 and 5;
    # together +-1 beyond that. 8 trials: 8 * 2**2, 8 * 1.5**2, 8 * 1**2 and 8 * 0.5**2 for the seeds.
    cells = {(0, 0): 1, (0, 1): 2, (1, 0): 3, (1, 1): 8}
    table = anova(grid(lambda a, b, seed: cells[a, b] + seed - 0.5, a=[0, 1], b=[0, 1], seed=[0, 1]), METRIC)
    assert list(table.columns) == ["term", "df", "sum_of_squares", "share", "F", "p"]
    assert table["term"].tolist() == ["a", "b", "a:b", "rest"] and table["df"].tolist() == [1, 1, 1, 4]
    assert table["sum_of_squares"].tolist() == pytest.approx([32, 18, 8, 2])
    assert table["share"].tolist() == pytest.approx([32 / 60, 18 / 60, 8 / 60, 2 / 60])
    assert table["F"].tolist()[:3] == pytest.approx([64, 36, 16])
    # The upper 1.61% of F(1, 4) lies above 16.
    assert table["p"][2] == pytest.approx(0.0161, abs=1e-4)
    assert math.isnan(table["F"][3]) and math.isnan(table["p"][3])


def test_against_statsmodels() -> None:
    df = grid(
        noisy(0, 0.05, a=0.1, c=0.5), a=[0, 1, 2], b=["x", "y"], c=[0.1, 0.2, 0.4], on=[True, False], seed=range(3)
    )
    df[METRIC] += 0.05 * (df["b"] == "x") * df["a"]
    model = ols(f"{METRIC} ~ (C(a) + C(b) + C(c) + C(on)) ** 2", df).fit()
    expected = anova_lm(model)
    names = [name.replace("C(", "").replace(")", "") for name in expected.index]
    expected = expected.set_axis(["rest" if name == "Residual" else name for name in names])
    table = anova(df, METRIC).set_index("term")
    assert set(table.index) == set(expected.index)
    expected = expected.loc[table.index]
    for ours, theirs in [("df", "df"), ("sum_of_squares", "sum_sq"), ("F", "F"), ("p", "PR(>F)")]:
        np.testing.assert_allclose(table[ours].astype(float), expected[theirs], rtol=1e-8)
    assert table["share"].sum() == pytest.approx(1)


def test_without_replicates_the_rest_is_what_three_do_together() -> None:
    df = grid(lambda a, b, c: a + 2 * b * c + 4 * (a ^ b ^ c), a=[0, 1], b=[0, 1], c=[0, 1])
    table = anova(df, METRIC).set_index("term")
    assert table.loc["rest", "df"] == 1 and table.loc["rest", "sum_of_squares"] == pytest.approx(8 * 2**2)
    assert table.loc["b:c", "sum_of_squares"] == pytest.approx(8 * 0.5**2)


def test_nothing_left_for_the_rest() -> None:
    table = anova(grid(lambda a, b: a * b, a=[0, 1], b=[0, 1]), METRIC)
    assert table["df"].tolist() == [1, 1, 1, 0] and table["sum_of_squares"][3] == 0
    assert table["share"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert table["F"].isna().all() and table["p"].isna().all()


def test_a_rest_of_zero_and_a_constant_metric() -> None:
    table = anova(grid(lambda a, seed: a, a=[0, 1], seed=range(4)), METRIC)
    assert table["F"][0] == math.inf and table["p"][0] == 0 and table["share"].tolist() == [1, 0]
    table = anova(grid(lambda a, seed: 0.1, a=[0, 1, 2], seed=range(3)), METRIC)
    assert table["sum_of_squares"].tolist() == [0, 0] and table["share"].isna().all() and table["p"].isna().all()


def test_order_of_rows_does_not_matter_and_arguments_stay() -> None:
    df = grid(noisy(0), a=[(1, 2), None, "x"], b=[True, False], seed=range(3))
    before = df.copy()
    table = anova(df, METRIC)
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(anova(shuffled(df), METRIC), table)


def message(df: pd.DataFrame, metric: str = METRIC) -> str:
    with pytest.raises(ValueError) as caught:
        anova(df, metric)
    return str(caught.value)


def test_a_grid_with_failures() -> None:
    df = grid(noisy(0), on_perc=[0.05, 0.1, 0.2], model=["a", "b"], seed=range(3))
    failed = fail(df, (df["on_perc"] == 0.05) & ((df["model"] == "b") | (df["seed"] == 0)))
    assert message(failed) == (
        "anova needs a full grid, but 2 of 6 combinations lack trials: on_perc=0.05, model='a' has 2 of 3 complete "
        "trials (1 failed, incomplete, diverged or without a value). Filter the trials, starting with "
        "df[df['on_perc'] != 0.05], or keep only the values without missing trials."
    )
    assert anova(failed[failed["on_perc"] != 0.05], METRIC)["df"].tolist() == [1, 1, 1, 8]
    always = message(fail(df, df["model"] == "b"))
    assert "3 of 6 combinations lack trials: on_perc=0.05, model='b' has 0 of 3" in always
    assert "df[df['model'] != 'b']" in always


def test_the_value_that_lacks_the_largest_share_is_named_whatever_the_sizes_of_the_axes() -> None:
    df = grid(noisy(0), a=[0, 1], b=range(5))
    # Of a=1 two of five are left, of b=0 one of two.
    assert "starting with df[df['a'] != 1]" in message(fail(df, (df["a"] == 1) & (df["b"] < 3)))


def test_a_grid_with_a_hole_or_a_missing_value() -> None:
    df = grid(noisy(0), sizes=[None, (3,), (3, 1)], on=[True, False])
    text = message(df.drop(index=0))
    assert "1 of 6 combinations lack trials: sizes=None, on=True has 0 of 1 complete trials. Filter" in text
    assert "df[df['sizes'].notna()]" in text


def test_an_axis_that_follows_from_another() -> None:
    df = grid(noisy(0), model=["a", "b"], seed=range(3)).assign(decay=lambda df: (df["model"] == "a") * 0.5)
    assert "decay follows from model. Leave it out with df.drop(columns=['decay'])." in message(df)


def test_drawn_values_are_refused_at_once() -> None:
    df = grid(lambda seed: seed, seed=range(60))
    rng = np.random.default_rng(0)
    df = df.assign(**{f"x{i}": rng.uniform(size=60) for i in range(6)})
    assert message(df) == (
        "Drawn hyperparameters (x0, x1, x2, x3, x4 and x5) cannot be factors of anova, because each value is in one "
        "sample only: use importance or fanova."
    )


def test_drawn_values_beside_a_grid_are_refused_in_one_sentence() -> None:
    rng = np.random.default_rng(0)
    df = grid(noisy(0), on=[0.1, 0.2], sample=range(8), seed=range(2))
    drawn = {name: dict(enumerate(rng.uniform(size=8).round(6))) for name in ("rate", "drop")}
    df = df.assign(**{name: df["sample"].map(values) for name, values in drawn.items()}).drop(columns="sample")
    assert message(df) == (
        "Drawn hyperparameters (rate and drop) cannot be factors of anova, because each value is in one sample only: "
        "use importance or fanova, or leave them out with df.drop(columns=['rate', 'drop'])."
    )
    assert anova(df.drop(columns=["rate", "drop"]), METRIC)["term"].tolist() == ["on", "rest"]
    # Numbers that were typed are arms.
    arms = df.assign(**{name: df[name].rank(method="dense") for name in drawn})
    assert "follows from rate. Leave it out with df.drop(columns=['drop'])" in message(arms)


def test_many_numbers_of_a_grid_are_not_drawn() -> None:
    df = grid(noisy(0), on=[0.1, 0.2], size=range(100, 2600, 100), seed=range(2))
    assert "1 of 50 combinations lack trials: on=0.1, size=300 has 0 of 2" in message(
        fail(df, (df["on"] == 0.1) & (df["size"] == 300))
    )


@pytest.mark.parametrize("beside", [{}, {"on": [0.1, 0.2]}])
def test_numbers_that_are_typed_for_each_arm_are_not_drawn(beside: dict[str, list[float]]) -> None:
    df = grid(noisy(0), **beside, arm=range(4), seed=range(2))
    for name, values in {"size": [1024, 2048, 4096, 8192], "rate": [0.0125, 0.025, 0.05, 0.1]}.items():
        df[name] = df["arm"].map(dict(enumerate(values)))
    assert "follows from size. Leave it out with df.drop(columns=['rate'])" in message(df.drop(columns="arm"))


def test_other_errors() -> None:
    df = grid(noisy(0), on=[True, False], seed=range(3))
    assert "Unknown column 'val_acc'" in message(df, "val_acc")
    text = df["trial_dir"].dtype
    assert message(df, "trial_dir") == f"metric must be a column of numbers, got 'trial_dir' of type {text}."
    only_seed = "No hyperparameter varies except seed. Hyperparameters that vary: seed."
    assert message(df[df["on"]]) == only_seed
    assert "lack trials" in message(fail(df, df["on"] | True))


def test_equal_numbers_have_no_variance_although_their_mean_is_rounded() -> None:
    df = grid(lambda a, b, seed: 0.1, a=[0, 1], b=[0, 1, 2], seed=[0, 1])
    assert df[METRIC].mean() != 0.1
    table = anova(df, METRIC)
    assert not table["sum_of_squares"].any() and table[["share", "F", "p"]].isna().all(axis=None)
