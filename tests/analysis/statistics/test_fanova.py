"""fanova against the exact shares of an additive function, and on a function whose best region depends on one key."""

import subprocess
import sys

import numpy as np
import pytest
from support.grids import fail, grid, noisy

from analysis import anova, fanova

METRIC = "val_acc_max"


def test_shares_are_those_of_an_exact_analysis_of_variance() -> None:
    df = grid(noisy(0, 0.001, x=1.0, y=0.5), x=list(np.linspace(0, 1, 9)), y=list(np.linspace(0, 1, 9)), seed=range(3))
    table = fanova(df, METRIC).set_index("parameter")
    exact = anova(df, METRIC).set_index("term")["share"]
    assert table.index.tolist() == ["x", "y", "seed"]
    assert table["fanova"].sum() == pytest.approx(1) and table["ped_anova"].sum() == pytest.approx(1)
    # A forest smooths; the shares of an additive function are 0.8 and 0.2.
    assert table.loc["x", "fanova"] == pytest.approx(exact["x"], abs=0.05)
    assert table.loc["y", "fanova"] == pytest.approx(exact["y"], abs=0.05)


def test_among_the_best_another_key_may_matter() -> None:
    # With "bad" everything is bad, whatever x; among the good ones x decides, by less.
    df = grid(
        lambda kind, x, seed: -5.0 * (kind == "bad") + x * (kind == "good"),
        kind=["bad", "good"],
        x=list(np.linspace(0, 1, 20)),
        seed=range(2),
    )
    table = fanova(df, METRIC).set_index("parameter")
    assert table.loc["kind", "fanova"] > 0.9
    assert table.loc["x", "ped_anova"] > table.loc["kind", "ped_anova"] > table.loc["seed", "ped_anova"]
    worst = fanova(df.assign(**{METRIC: -df[METRIC]}), METRIC, higher_is_better=False).set_index("parameter")
    assert worst.loc["x", "ped_anova"] == pytest.approx(table.loc["x", "ped_anova"])


def test_a_wide_range_is_taken_as_logarithms() -> None:
    # Above 0.01, which is 99% of the range, the rate does not matter; over most of its powers of ten it does.
    rates = [float(each) for each in 10 ** np.linspace(-6, 0, 25)]
    df = grid(
        lambda learning_rate, momentum: min(np.log10(learning_rate), -2) + 0.2 * momentum,
        learning_rate=rates,
        momentum=list(np.linspace(0, 1, 12)),
    )
    exact = anova(df, METRIC).set_index("term")["share"]
    table = fanova(df, METRIC).set_index("parameter")
    assert table.loc["learning_rate", "fanova"] == pytest.approx(exact["learning_rate"], abs=0.05)


def test_of_a_loss_the_best_trials_are_the_lowest() -> None:
    df = grid(lambda x, y: x if x < 0.5 else 0.5 + y, x=list(np.linspace(0, 1, 20)), y=list(np.linspace(0, 1, 20)))
    lowest = fanova(df.rename(columns={METRIC: "val_loss_min"}), "val_loss_min")
    assert lowest.equals(fanova(df, METRIC, higher_is_better=False))
    assert not lowest.equals(fanova(df, METRIC))


def test_failed_trials_are_left_out_and_counted_and_too_few_are_refused() -> None:
    many = grid(noisy(0, x=1.0), x=[0.1, 0.2, 0.3], seed=range(6))
    table = fanova(fail(many, many["x"] == 0.3), METRIC)
    assert table[["n", "left_out"]].to_numpy().tolist() == [[12, 6]] * 2
    df = grid(noisy(0, x=1.0), x=[0.1, 0.2, 0.3], seed=range(4))
    assert len(fanova(df, METRIC)) == 2
    with pytest.raises(ValueError, match=r"^fanova needs at least 10 complete trials with a value of val_acc_max, got"):
        fanova(fail(df, df["x"] == 0.3), METRIC)


def test_a_missing_library_is_named_with_its_extra() -> None:
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from analysis import fanova, load_example\n"
        "fanova(load_example('quickstart'), 'val_acc_max')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: fanova needs the package optuna" in result.stderr
