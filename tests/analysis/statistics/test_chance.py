"""Which trials never left chance level, in tables, comparisons and their sentences."""

import itertools

import pandas as pd
import pytest
from support.grids import fail, grid

from analysis import agg, as_trials, compare, left_out, pivot, survivorship
from analysis.frame.values import is_missing
from analysis.statistics.chance import is_at_chance
from analysis.statistics.common_settings import Setting, common_settings, listed_settings

METRIC = "val_acc_max"


@pytest.fixture
def df() -> pd.DataFrame:
    """Models a and b at 0.01 and 0.1, 4 seeds. At 0.01, all trials of a and the first of b are at chance."""
    df = grid(
        lambda model, on_perc, seed: 0.1 if on_perc == 0.01 and (model == "a" or seed == 0) else 0.9 - 0.01 * seed,
        model=["a", "b"],
        on_perc=[0.01, 0.1],
        seed=range(4),
    )
    return as_trials(df.assign(at_chance=df[METRIC] == 0.1), ["model", "on_perc", "seed"], [METRIC])


def texts(df: pd.DataFrame) -> list[str]:
    return [str(setting) for setting in settings_at_chance(df)]


def settings_at_chance(df: pd.DataFrame) -> list[Setting]:
    return common_settings(df, is_at_chance(df))


def test_a_note_counts_them_and_names_their_settings(df: pd.DataFrame) -> None:
    where = "on_perc=0.01 (5 of 8), model=a and on_perc=0.01 (4 of 4)"
    assert left_out(df) == (
        f"all 16 trials are complete; 5 of 16 complete trials never left chance level and are counted: {where}"
    )
    one = df[df["seed"] == 3]
    assert left_out(one) == (
        "all 4 trials are complete; 1 of 4 complete trials never left chance level and is counted: "
        "model=a and on_perc=0.01 (1 of 1)"
    )
    assert "chance" not in left_out(df.drop(columns="at_chance")) + left_out(df[df["on_perc"] == 0.1])


def test_a_failed_trial_is_left_out_already(df: pd.DataFrame) -> None:
    df = fail(df, df["at_chance"])
    assert left_out(df) == "left out: 5 failed of 16 trials"
    assert agg(df, "model", METRIC)["at_chance"].tolist() == [0, 0]


def test_the_shortest_setting_comes_first(df: pd.DataFrame) -> None:
    assert texts(df) == ["on_perc=0.01 (5 of 8)", "model=a and on_perc=0.01 (4 of 4)"]
    # With b at 3 of 4, the density alone says it.
    more = df.assign(at_chance=df["at_chance"] | ((df["on_perc"] == 0.01) & (df["seed"] < 2)))
    assert texts(more) == ["on_perc=0.01 (6 of 8)"]


def test_it_names_nothing_where_only_the_seed_varies(df: pd.DataFrame) -> None:
    same = df[(df["model"] == "b") & (df["on_perc"] == 0.01)]
    assert texts(same) == []
    assert left_out(same).endswith("; 1 of 4 complete trials never left chance level and is counted")


@pytest.mark.parametrize("drawn", range(8))
def test_the_settings_cover_every_trial_at_chance(drawn: int) -> None:
    df = grid(lambda **_: 0.1, a=[0, 1, 2], b=["x", None], c=[(1,), (2, 3)], seed=range(3))
    df = as_trials(df, ["a", "b", "c", "seed"], [METRIC])
    df["at_chance"] = pd.Series(range(len(df))).mul(7919).add(drawn * 31).mod(97).lt(12 * (1 + drawn % 4))
    settings = settings_at_chance(df)
    covered = pd.Series(False, index=df.index)
    for setting in settings:
        inside = pd.Series(True, index=df.index)
        for name, value in setting.values.items():
            inside &= df[name].isna() if is_missing(value) else df[name].map(lambda each, value=value: each == value)
        assert (setting.marked, setting.total) == (df.loc[inside, "at_chance"].sum(), inside.sum())
        covered |= inside
    assert covered[df["at_chance"]].all()
    lengths = [len(setting.values) for setting in settings]
    assert lengths == sorted(lengths)


def test_only_the_first_settings_are_listed() -> None:
    values = list(itertools.product(range(8), range(2)))
    df = grid(lambda **_: 0.1, a=range(8), b=range(4), seed=[0])
    df["at_chance"] = [(a, b) in values and (a + b) % 2 == 0 for a, b in zip(df["a"], df["b"], strict=True)]
    assert left_out(df).endswith(", and 3 more") and left_out(df).count(" of 1)") == 5


def test_tables_count_them(df: pd.DataFrame) -> None:
    table = agg(df, ["model", "on_perc"], METRIC)
    assert list(table.columns)[-6:] == ["failed", "stopped", "incomplete", "diverged", "without_value", "at_chance"]
    expected = df.groupby(["model", "on_perc"])["at_chance"].sum().tolist()
    assert table["at_chance"].tolist() == expected == [4, 0, 1, 0]
    # The numbers include them.
    assert table["mean"].tolist() == pytest.approx(df.groupby(["model", "on_perc"])[METRIC].mean().tolist())
    cells = pivot(df, "model", "on_perc", METRIC)[0.01].tolist()
    assert cells == ["0.100 ± 0.000 (4 at chance)", "0.685 ± 0.390 (1 at chance)"]
    assert agg(df.drop(columns="at_chance"), "model", METRIC)["at_chance"].tolist() == [0, 0]
    assert survivorship(df, "model", METRIC)["at_chance"].tolist() == [4, 1]


def test_a_comparison_counts_them_on_each_side(df: pd.DataFrame) -> None:
    table = compare(df, ["model", "on_perc"], METRIC)
    assert table[["at_chance_a", "at_chance_b"]].values.tolist() == [[4, 1], [5, 0]]
    assert table["conclusion"][0].endswith(
        " With model=a, 4 of 8 complete trials never left chance level and are counted: on_perc=0.01 (4 of 4). "
        "With model=b, 1 of 8 complete trials never left chance level and is counted: on_perc=0.01 (1 of 4)."
    )
    assert table["conclusion"][1].endswith(
        " With on_perc=0.01, 5 of 8 complete trials never left chance level and are counted: model=a (4 of 4), "
        "model=b (1 of 4)."
    )
    silent = compare(df.drop(columns="at_chance"), ["model", "on_perc"], METRIC)
    assert not silent["conclusion"].str.contains("chance").any()
    same = ["mean_a", "mean_b", "difference", "p_holm", "effect"]
    pd.testing.assert_frame_equal(silent[same], table[same])


def test_a_setting_that_another_one_covers_is_not_named(df: pd.DataFrame) -> None:
    df = df.assign(at_chance=df["on_perc"] == 0.01, rate=((df["on_perc"] == 0.01) & (df["seed"] == 3)) * 0.1)
    df = as_trials(df, ["model", "on_perc", "rate", "seed"], [METRIC])
    assert texts(df) == ["on_perc=0.01 (8 of 8)"]


def test_how_settings_are_listed() -> None:
    settings = [Setting({"sizes": None}, 1, 2), *(Setting({"rate": rate}, 2, 2) for rate in range(5))]
    assert listed_settings(settings[:1]) == ": sizes=None (1 of 2)"
    assert listed_settings(settings[:5]).endswith(", rate=3 (2 of 2)")
    assert listed_settings(settings).endswith(", rate=3 (2 of 2), and 1 more")


def test_trials_at_chance_are_counted_where_a_hyperparameter_is_missing() -> None:
    df = grid(lambda sizes, seed: 0.1, sizes=[None, (3,)], seed=range(3)).assign(at_chance=True)
    assert agg(as_trials(df, ["sizes", "seed"], [METRIC]), "sizes", METRIC)["at_chance"].tolist() == [3, 3]
