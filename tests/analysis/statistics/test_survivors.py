"""survivorship: worked by hand, and against plain pandas."""

import math

import pandas as pd
import pytest
from support.grids import fail, grid, noisy, shuffled

from analysis import survivorship

METRIC = "val_acc_max"
RANKS = ["rank_complete", "rank_balanced", "rank_failed_as_worst"]


@pytest.fixture
def flattered() -> pd.DataFrame:
    """b is worse than a wherever both finish, but fails at the hard setting, which a does badly."""
    values = {("a", 1): 0.9, ("a", 2): 0.3, ("b", 1): 0.8, ("b", 2): 0.0}
    df = grid(lambda model, hard: values[model, hard], model=["a", "b"], hard=[1, 2])
    return fail(df, (df["model"] == "b") & (df["hard"] == 2))


def test_failures_that_decide_the_order(flattered: pd.DataFrame) -> None:
    table = survivorship(flattered, "model", METRIC)
    counts = ["n", "failed", "at_chance", "mean_complete", "mean_balanced", "n_balanced", "mean_failed_as_worst"]
    assert list(table.columns) == ["model", *counts, *RANKS]
    assert table.iloc[0, :7].tolist() == ["a", 2, 0, 0, pytest.approx(0.6), 0.9, 1]
    assert table.iloc[1, :7].tolist() == ["b", 1, 1, 0, pytest.approx(0.8), 0.8, 1]
    # The worst value seen is 0.3, that of a; what the failed trial had got to does not count.
    assert table["mean_failed_as_worst"].tolist() == pytest.approx([0.6, (0.8 + 0.3) / 2])
    assert table[RANKS].values.tolist() == [[2, 1, 1], [1, 2, 2]]


def test_lower_is_better(flattered: pd.DataFrame) -> None:
    losses = flattered.assign(val_acc_max=1 - flattered[METRIC])
    table = survivorship(losses, "model", METRIC, lowest=True)
    assert table["mean_failed_as_worst"].tolist() == pytest.approx([0.4, (0.2 + 0.7) / 2])
    assert table[RANKS].values.tolist() == [[2, 1, 1], [1, 2, 2]]


def test_a_value_that_is_no_number_has_failed_and_an_unfinished_trial_has_not() -> None:
    df = grid(noisy(0), model=["a", "b", "c"], seed=range(6))
    df = fail(df, (df["model"] == "c") & (df["seed"] == 5), "incomplete")
    df.loc[(df["model"] == "b") & (df["seed"] < 2), METRIC] = [math.nan, math.inf]
    table = survivorship(df, "model", METRIC)
    assert table["n"].tolist() == [6, 4, 5] and table["failed"].tolist() == [0, 2, 0]
    assert table["n_balanced"].tolist() == [3, 3, 3]
    balanced = df[df["seed"].between(2, 4)].groupby("model")[METRIC].mean()
    assert table["mean_balanced"].tolist() == pytest.approx(balanced.tolist())
    assert table["mean_failed_as_worst"][2] == table["mean_complete"][2]


def test_a_combination_that_was_not_tried_with_every_value_is_not_balanced(flattered: pd.DataFrame) -> None:
    table = survivorship(flattered[flattered["status"] == "complete"], "model", METRIC)
    assert table["failed"].tolist() == [0, 0] and table["n_balanced"].tolist() == [1, 1]


def test_without_failures_all_agree() -> None:
    df = grid(lambda model, seed: 0.5, model=["a", "b"], seed=range(3))
    table = survivorship(df, "model", METRIC)
    assert (table[["mean_complete", "mean_balanced", "mean_failed_as_worst"]] == 0.5).all(axis=None)
    assert (table[RANKS] == 1).all(axis=None), "equal means share a rank"


def test_a_value_that_always_failed() -> None:
    df = grid(noisy(0), model=["a", "b"], seed=range(3))
    table = survivorship(fail(df, df["model"] == "b"), "model", METRIC)
    assert table["mean_complete"].isna().tolist() == [False, True] and table["mean_balanced"].isna().all()
    assert table["rank_failed_as_worst"].tolist() == [1, 2] and math.isnan(table["rank_complete"][1])
    assert table["mean_failed_as_worst"][1] == pytest.approx(df.loc[df["model"] == "a", METRIC].min())


def test_order_of_rows_does_not_matter_and_arguments_stay() -> None:
    df = grid(noisy(1), sizes=[(3, 1), None, 2], seed=range(4))
    df = fail(df, df["trial_id"].isin(["0", "5"]))
    before = df.copy()
    table = survivorship(df, "sizes", METRIC)
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(survivorship(shuffled(df), "sizes", METRIC), table)
    assert table["sizes"].tolist()[:2] == [2, (3, 1)] and table["n"].tolist() == [4, 3, 3]


def test_errors(flattered: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"Unknown column 'modle'\. Did you mean 'model'"):
        survivorship(flattered, "modle", METRIC)
    with pytest.raises(ValueError, match=r"constant must have .*, but has only the value 1\. .*: model, hard\.$"):
        survivorship(flattered, "constant", METRIC)
    with pytest.raises(ValueError, match="metric must be a column of numbers, got 'model'"):
        survivorship(flattered, "hard", "model")
    with pytest.raises(ValueError, match=r"Group keys \['n'\] have the names of columns of the result\. Rename"):
        survivorship(flattered.rename(columns={"hard": "n"}), "n", METRIC)
