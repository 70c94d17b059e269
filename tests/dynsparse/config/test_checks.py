"""Each check: what it takes, in which type it gives it, and the whole text with which it refuses."""

import math
from pathlib import Path

import numpy as np
import pytest

from dynsparse.config.checks import Choice, Flag, Number, Optional, Several, Sizes, Text, Whole
from dynsparse.config.suggest import near_matches

FRACTION = Number(0, 1)
DENSITY = Number(0, 1, low_open=True)
MOMENTUM = Number(0, 1, high_open=True)
BETWEEN = Number(-1, 2.5, low_open=True, high_open=True)
RATE = Number(0)
FACTOR = Number(0, None, low_open=True)
MODELS = Choice({"Dense": 1, "RigL": 2, "SET": 3})


@pytest.mark.parametrize(
    ("check", "value", "result"),
    [
        (FRACTION, 0, 0.0),
        (FRACTION, 1, 1.0),
        (FRACTION, 0.25, 0.25),
        (FRACTION, np.float64(0.25), 0.25),
        (DENSITY, 1, 1.0),
        (DENSITY, 5e-324, 5e-324),
        (MOMENTUM, 0, 0.0),
        (MOMENTUM, math.nextafter(1, 0), math.nextafter(1, 0)),
        (BETWEEN, -0.5, -0.5),
        (RATE, 0, 0.0),
        (RATE, 1e300, 1e300),
        (FACTOR, 1.5, 1.5),
        (Whole(0), 0, 0),
        (Whole(1), 3.0, 3),
        (Whole(1), 2**63 - 1, 2**63 - 1),
        (Flag(), True, True),
        (Flag(), False, False),
        (Text(), "cuda:0", "cuda:0"),
        (Text(), Path("a") / "b", str(Path("a") / "b")),
        (MODELS, "SET", "SET"),
        (Choice(("fixed", "legacy_2019")), "fixed", "fixed"),
        (Sizes(), [300, 100.0], (300, 100)),
        (Sizes(), (1,), (1,)),
        (Sizes(), [], ()),
        (Optional(FRACTION), None, None),
        (Optional(FRACTION), 1, 1.0),
        (Optional(Whole(1)), 2.0, 2),
    ],
)
def test_takes_and_converts(check, value, result):
    read = check.read("key", value)
    assert read == result
    assert type(read) is type(result) or isinstance(value, np.floating)
    if isinstance(read, tuple):
        assert {type(each) for each in read} <= {int}


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (FRACTION, 1.5, "key must be in [0, 1], got 1.5."),
        (FRACTION, -0.1, "key must be in [0, 1], got -0.1."),
        (FRACTION, math.nan, "key must be a number in [0, 1], got nan."),
        (FRACTION, "0.5", "key must be a number in [0, 1], got '0.5'."),
        (FRACTION, True, "key must be a number in [0, 1], got True."),
        (FRACTION, None, "key must be a number in [0, 1], got None."),
        (
            FRACTION,
            [0.1, 0.2],
            "key must be a number in [0, 1], got [0.1, 0.2]. Use tune.grid_search([...]) for several.",
        ),
        (DENSITY, 0, "key must be in (0, 1], got 0."),
        (DENSITY, 1.0001, "key must be in (0, 1], got 1.0001."),
        (MOMENTUM, 1, "key must be in [0, 1), got 1."),
        (MOMENTUM, -1, "key must be in [0, 1), got -1."),
        (BETWEEN, -1, "key must be in (-1, 2.5), got -1."),
        (BETWEEN, 2.5, "key must be in (-1, 2.5), got 2.5."),
        (RATE, -1, "key must be at least 0, got -1."),
        (RATE, math.inf, "key must be a number at least 0, got inf."),
        (RATE, 10**400, f"key must be a number at least 0, got {10**400}."),
        (FACTOR, 0, "key must be above 0, got 0."),
        (FACTOR, -math.inf, "key must be a number above 0, got -inf."),
        (Whole(1), 0, "key must be an integer of at least 1, got 0."),
        (Whole(1), 1.5, "key must be an integer of at least 1, got 1.5."),
        (Whole(1), "3", "key must be an integer of at least 1, got '3'."),
        (Whole(0), True, "key must be an integer of at least 0, got True."),
        (Whole(0), None, "key must be an integer of at least 0, got None."),
        (Whole(0), math.inf, "key must be an integer of at least 0, got inf."),
        (Whole(0), math.nan, "key must be an integer of at least 0, got nan."),
        (Whole(0), 2**63, "key must be below 2**63, got 9223372036854775808."),
        (Flag(), 1, "key must be True or False, got 1."),
        (Flag(), "True", "key must be True or False, got 'True'."),
        (Flag(), None, "key must be True or False, got None."),
        (Text(), "", "key must be a non-empty string, got ''."),
        (Text(), 7, "key must be a non-empty string, got 7."),
        (Text(), None, "key must be a non-empty string, got None."),
        (MODELS, "RigeL", "Unknown key 'RigeL'. Did you mean 'RigL'? Available: Dense, RigL, SET."),
        (MODELS, "rigl", "Unknown key 'rigl'. Did you mean 'RigL'? Available: Dense, RigL, SET."),
        (MODELS, "xyz", "Unknown key 'xyz'. Available: Dense, RigL, SET."),
        (MODELS, None, "key must be one of Dense, RigL, SET, got None."),
        (MODELS, 3, "key must be one of Dense, RigL, SET, got 3."),
        # A list where a grid was meant.
        (
            MODELS,
            ["Dense", "SET"],
            "key must be one of Dense, RigL, SET, got ['Dense', 'SET']. Use tune.grid_search([...]) for several.",
        ),
        (
            Sizes(),
            300,
            "key must be a list of integers of at least 1, got 300. Write [300], or [300, 100] for two layers; with "
            "--set, (300,) or (300,100).",
        ),
        (Sizes(), "100", "key must be a list of integers of at least 1, got '100'."),
        (Sizes(), None, "key must be a list of integers of at least 1, got None."),
        (Sizes(), [100, 0], "key must be a list of integers of at least 1, got [100, 0]."),
        (Sizes(), [100, [50]], "key must be a list of integers of at least 1, got [100, [50]]."),
        (
            Several(MODELS),
            "SET",
            "key must be a list of distinct values, each one of Dense, RigL, SET, got the string 'SET'. Write a list: "
            "['SET'] or ['SET', ...]; with --set, \"key=('SET',)\" or \"key=('SET',...)\".",
        ),
        (
            Several(FRACTION),
            0.1,
            "key must be a list of distinct values, each in [0, 1], got 0.1. Write a list: [0.1] or [0.1, ...]; with "
            '--set, "key=(0.1,)" or "key=(0.1,...)".',
        ),
        (Optional(FRACTION), 2, "key must be in [0, 1], got 2."),
        (Optional(Text()), "", "key must be a non-empty string, got ''."),
    ],
)
def test_refuses(check, value, message):
    with pytest.raises(ValueError) as error:
        check.read("key", value)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (FRACTION, "in [0, 1]"),
        (BETWEEN, "in (-1, 2.5)"),
        (RATE, "at least 0"),
        (FACTOR, "above 0"),
        (Whole(2), "an integer of at least 2"),
        (Flag(), "True or False"),
        (Text(), "a non-empty string"),
        (MODELS, "one of Dense, RigL, SET"),
        (Sizes(), "a list of integers of at least 1"),
        (Optional(DENSITY), "None or in (0, 1]"),
    ],
)
def test_says_what_it_takes(check, text):
    assert str(check) == text


def test_near_matches():
    known = ["hebbian_grow", "hebbian_prune_perc", "weight_prune_perc", "seed"]
    assert near_matches("hebian_prune_perc", known) == ["hebbian_prune_perc", "weight_prune_perc"]
    assert near_matches("SEED", known) == ["seed"]
    assert near_matches("xyz", known) == []
    assert near_matches(5, known) == []


SINGLE = Number(0, single=True)
SINGLE_SHARE = Number(0, 1, high_open=True, single=True)


@pytest.mark.parametrize("value", [0, 0.1, 1.2e-38, 3.4e38, 1 / 3])
def test_a_number_that_float32_holds_keeps_all_its_digits(value: float) -> None:
    assert SINGLE.read("key", value) == value


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (
            SINGLE,
            3.5e38,
            "key must be at least 0 and a number that float32 holds, 0 or from 1.2e-38 to 3.4e+38, got 3.5e+38.",
        ),
        (SINGLE, 1e300, "got 1e+300."),
        (SINGLE, 1e-39, "key must be at least 0 and a number that float32 holds"),
        (SINGLE, 1e-60, "got 1e-60."),
        (
            SINGLE_SHARE,
            1 - 1e-9,
            "key must be in [0, 1) in float32 too, which rounds numbers above 0.99999997 to 1, got",
        ),
        (SINGLE_SHARE, 1.0, "key must be in [0, 1), got 1.0."),
    ],
)
def test_a_number_that_float32_does_not_hold(check: Number, value: float, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        check.read("key", value)
    assert message in str(raised.value)


def test_zero_has_no_sign() -> None:
    assert math.copysign(1, Number(0).read("key", -0.0)) == 1
    assert math.copysign(1, Number(-1).read("key", -0.0)) == 1
