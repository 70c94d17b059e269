"""Equality of hyperparameters: it does not depend on how a value was written."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.trial_folders import write_trial

import analysis
from analysis.frame.settings import setting
from analysis.frame.values import hashable, n_values, sort_key


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("<function f at 0x7f000001>", "<function f>"),
        ("<function <lambda> at 0x7F>", "<function <lambda>>"),
        (
            "<bound method A.f of <__main__.A object at 0x000001F2A3B4C5D8>>",
            "<bound method A.f of <__main__.A object>>",
        ),
        ("functools.partial(<function f at 0x7f01>, x=1)", "functools.partial(<function f>, x=1)"),
        (("<object at 0x1>", 3), ("<object>", 3)),
        ("{'b', 'a'}", "{'a', 'b'}"),
        ("{<A object at 0x7f01>}", "{<A object>}"),
        ("loaded at 0x7f01", "loaded at 0x7f01"),
        ("/home/me/project/nets.py:lenet", "nets.py:lenet"),
        (r"C:\project\nets.py:lenet", "nets.py:lenet"),
        ("see /home/me/nets.py: it is there", "see /home/me/nets.py: it is there"),
        ('{"a": 1}', '{"a": 1}'),
        ("{model}", "{model}"),
    ],
)
def test_what_says_only_how_a_value_was_written_is_removed(written: Any, kept: Any) -> None:
    assert setting(written) == kept
    assert setting(kept) is kept


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (None, math.nan),
        ((1, None), (1.0, math.nan)),
        ([{"n": 1}], [{"n": 1.0}]),
        ({"sizes": [1, {"b": 2.0, "a": 1}]}, {"sizes": [1.0, {"a": 1, "b": 2}]}),
    ],
)
def test_equal_values_have_one_key(one: Any, other: Any) -> None:
    assert sort_key(hashable(one)) == sort_key(hashable(other))


def test_missing_values_are_one_value() -> None:
    assert n_values(pd.Series([None, math.nan, "a", float("nan")], dtype=object)) == 2
    assert n_values(pd.Series([1, 1.0, 2], dtype=object)) == 2


METRIC = "val_acc_max"


def test_trials_with_one_function_at_several_addresses_are_pairs(tmp_path: Path) -> None:
    for x in (1, 2):
        for seed in range(8):
            config = {"x": x, "seed": seed, "reward_fn": f"<function f at 0x7f00{x}{seed}>"}
            write_trial(tmp_path / f"T_{x}{seed}", config, {"val_acc": [0.5 + 0.1 * x + 0.01 * seed]})
    df = analysis.load(tmp_path)
    (row,) = analysis.compare(df, "x", METRIC).to_dict("records")
    assert (row["pairs"], round(row["difference"], 9)) == (8, 0.1)
    assert set(df["reward_fn"]) == {"<function f>"} and list(analysis.varying(df)) == ["x", "seed"]
    assert analysis.issues(df).empty
    assert set(analysis.load_history(tmp_path)["reward_fn"]) == {"<function f>"}


def test_trials_that_differ_in_an_address_only_are_named(tmp_path: Path) -> None:
    for n in range(4):
        config = {
            "lr": 0.1,
            "losses": ["{'c', 'b', 'a'}", "{'b', 'c', 'a'}"][n % 2],
            "act": f"<function <lambda> at 0x7f0{n // 2}>",
        }
        write_trial(tmp_path / f"T_{n}", config, {"val_acc": [0.5]})
    found = analysis.issues(analysis.load(tmp_path))
    assert found["problem"].tolist() == [
        "trials such as T_0 and T_2 differ only in memory addresses in act; they count as repeats of one setting"
    ]


def test_values_that_are_equal_are_one_row_of_every_table(tmp_path: Path) -> None:
    values = [1, 1.0, 2, None, 0.0, -0.0, "a"]
    for n, value in enumerate(values):
        write_trial(tmp_path / f"T_{n}", {"x": value, "y": n % 2, "seed": n}, {"val_acc": [0.1 * n]})
    write_trial(tmp_path / "T_7", {"y": 0, "seed": 7}, {"val_acc": [0.7]})
    df = analysis.load(tmp_path)
    assert analysis.agg(df, "x", METRIC)["count"].tolist() == [2, 2, 1, 1, 2]
    assert analysis.survivorship(df, "x", METRIC)["n"].tolist() == [2, 2, 1, 1, 2]
    assert len(analysis.pivot(df, "x", None, METRIC)) == 5
    assert analysis.varying(df)["x"] == 5
    (row,) = analysis.differences(df, by="y").query("parameter == 'x'").to_dict("records")
    assert row[0][:4] == (0.0, 1, 2, "a") and row[1][:2] == (0.0, 1)
