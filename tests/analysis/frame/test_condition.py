"""Conditions that select trials: what they mean, that they run no code, and that tables can be typed back."""

import ast
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.trial_folders import write_trial

import analysis
from analysis import select

DF = pd.DataFrame(
    {
        "model": ["SET", "RigL", "SET", "Dense"],
        "on_perc": [0.1, 0.2, math.nan, 1.0],
        "kwinners": [True, False, True, True],
        "hidden_sizes": [(300, 100), (100,), (300, 100), ()],
        "clip_norm": pd.Series([None, 1.0, None, 2.0], dtype=object),
        "config/epochs": [1, 2, 3, 4],
        "noise_acc@0.3_max": [0.1, 0.2, 0.3, 0.4],
        "lambda": [1, 2, 3, 4],
        "seed": [0, 1, 2, 3],
        "layers": ['{"n": 1}', '{"n": 2}', '{"n": 1}', "[]"],
        "Experiment Name": ["a b", "None", "–", "x == 1"],
    }
)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("model == SET", [0, 2]),
        ("SET == model", [0, 2]),
        ("model == 'SET' and not seed == 0", [2]),
        ("model in [SET, Dense]", [0, 2, 3]),
        ("model not in ('SET', 'Dense')", [1]),
        ("seed in {0, 3}", [0, 3]),
        ("seed in (3,)", [3]),
        ("kwinners", [0, 2, 3]),
        ("not kwinners or seed == 0", [0, 1]),
        ("kwinners == true and (seed > 2 or model == SET)", [0, 2, 3]),
        ("hidden_sizes == (300, 100)", [0, 2]),
        ("hidden_sizes == [300.0, 100]", [0, 2]),
        ("hidden_sizes in [(100,), ()]", [1, 3]),
        ("clip_norm is None", [0, 2]),
        ("clip_norm == None", [0, 2]),
        ("clip_norm == –", [0, 2]),
        ("clip_norm is not null", [1, 3]),
        ("clip_norm in [None, 1]", [0, 1, 2]),
        ("on_perc == nan", [2]),
        ("on_perc < 0.15", [0]),
        ("on_perc > -inf", [0, 1, 3]),
        ("on_perc != 0.1", [1, 2, 3]),
        ("0.05 <= on_perc < 0.3", [0, 1]),
        ("config/epochs > 2", [2, 3]),
        ("`config/epochs` > 2", [2, 3]),
        ("noise_acc@0.3_max >= 0.3", [2, 3]),
        ("lambda == 2", [1]),
        ("lambda > seed", [0, 1, 2, 3]),
        ("layers == {'n': 1.0}", [0, 2]),
        ("Experiment Name == 'a b'", [0]),
        ("Experiment Name == 'None'", [1]),
        ("Experiment Name == '–'", [2]),
        ("Experiment Name == 'x == 1'", [3]),
        ("model >= RigL", [0, 1, 2]),
    ],
)
def test_meaning(condition: str, rows: list[int]) -> None:
    assert select(DF, condition).index.tolist() == rows


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("seed ==", "cannot be read: invalid syntax"),
        ("seed = 1", "Write == to compare."),
        ("(seed == 1) & kwinners", "contains (seed == 1) & kwinners. Allowed are columns, values,"),
        ("seed == 1 || kwinners", "Write `and`, `or` and `not`."),
        ("modle == SET", "Unknown column 'modle'. Did you mean 'model'?"),
        ("`nope` == 1", "Unknown column 'nope'."),
        ("SET == RigL", "Unknown column 'SET'."),
        ("model == SETT", "Unknown value of model 'SETT'. Did you mean 'SET'? Available: Dense, RigL, SET."),
        ("model", "is not a condition. Write one such as 'on_perc == 0.1'."),
        ("1", "is not a condition"),
        ("model < 3", "asks for the order of values of different kinds. Values of model: 'Dense', 'RigL', 'SET'."),
        ("seed in 3", "has no list after `in`"),
        ("model is SET", "has `is` before something else than None. Write == or !=."),
        ("config/epochs + 1 > 2", "contains config/epochs + 1."),
        ("seed > 9", "leaves no trial of 4. Values of seed: 0, 1, 2, 3."),
        ("clip_norm > 2", "leaves no trial of 4. Values of clip_norm: 1.0, 2.0, –."),
        ("not " * 20_000 + "kwinners", "nested too deeply"),
        ("(" * 5_000 + "1", "cannot be read"),
        ("seed\x00 == 1", "cannot be read"),
        ("model == \ud800", "cannot be read"),
        ("seed == " + "9" * 10_000, "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_messages(condition: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        select(DF, condition)
    assert str(raised.value).startswith("where ") and message in str(raised.value)
    with pytest.raises(ValueError, match="where must be a condition as text"):
        select(DF, DF["seed"] > 0)  # type: ignore[arg-type]


CODE = [
    "@Path('x').touch()",
    "df.to_csv('x')",
    "model.str.len() == 3",
    "__import__('os').system('touch x')",
    "seed == __import__('os').system('touch x')",
    "seed in [open('x', 'w')]",
    "[open('x', 'w') for _ in seed] == seed",
    "(lambda: open('x', 'w'))()",
    'f\'{open("x", "w")}\' == model',
    "`open('x', 'w')` == 1",
    "`__import__`('os')",
    "(x := open('x', 'w'))",
    "seed[0] == 1",
    "seed ** 9 ** 9 ** 9 == 1",
    "seed == 1; open('x', 'w')",
    "{**open('x', 'w')} == seed",
    "seed if open('x', 'w') else seed",
    "await open('x', 'w')",
    "hidden_sizes == (300, *open('x', 'w'))",
]


@pytest.mark.parametrize(
    ("condition", "fixed"),
    [
        ("model != half.py:rigl_half", "model != 'half.py:rigl_half'"),
        ("seed < 1 and model in [half.py:rigl_half, SET]", "seed < 1 and model in ['half.py:rigl_half', SET]"),
        ("pattern == 2:4 and model == 'half.py:rigl_half'", "pattern == '2:4' and model == 'half.py:rigl_half'"),
        ("model == half.py", "model == 'half.py'"),
    ],
)
def test_a_value_that_needs_quotes_is_shown_with_them(condition: str, fixed: str) -> None:
    models = ["half.py:rigl_half", "SET", "half.py"]
    df = pd.DataFrame({"model": models, "seed": [0, 1, 2], "pattern": ["2:4", "none", None]})
    with pytest.raises(ValueError) as caught:
        select(df, condition)
    assert str(caught.value).endswith(f'Put quotes around a text that is not a single word: "{fixed}".')
    assert len(select(df, fixed.replace(" and ", " or ")))
    with pytest.raises(ValueError, match="Put quotes around a text, and backticks around a column"):
        select(df, "modl == half.py:rigl_half")


@pytest.mark.parametrize("condition", CODE)
def test_code_is_never_run(condition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^where .*(contains|cannot be read)"):
        select(DF, condition)
    assert list(tmp_path.iterdir()) == []


def test_no_kind_of_expression_but_those_that_are_listed_is_read() -> None:
    allowed = {"BoolOp", "UnaryOp", "Compare", "Name", "Constant", "Tuple", "List", "Set", "Dict"}
    examples = {
        "NamedExpr": "(x := 1)", "BinOp": "seed + 1", "Lambda": "(lambda : 1)", "IfExp": "1 if kwinners else 2",
        "ListComp": "[x for x in seed]", "SetComp": "{x for x in seed}", "DictComp": "{x: x for x in seed}",
        "GeneratorExp": "(x for x in seed)", "Call": "abs(seed)", "JoinedStr": "f'{seed}'", "Attribute": "seed.T",
        "Subscript": "seed[0]", "Starred": "(*seed,)", "Slice": "seed[0:1]", "Await": "(await seed)",
        "Yield": "(yield)", "YieldFrom": "(yield from seed)", "FormattedValue": "f'{seed}'", "TemplateStr": "t'{seed}'",
        "Interpolation": "t'{seed}'",
    }  # fmt: skip
    kinds = {
        kind.__name__ for kind in ast.expr.__subclasses__() if not kind.__name__.startswith(("Num", "Str", "Bytes"))
    }
    assert kinds <= allowed | examples.keys(), "a new kind of expression needs an example here"
    for text in examples.values():
        for condition in (text, f"seed == {text}", f"seed in [{text}]", f"not {text}", f"kwinners and {text}"):
            with pytest.raises(ValueError, match=r"contains|cannot be read"):
                select(DF, condition)


VALUES: list[Any] = [
    (300, 100), (100,), (), None, True, "SET", 0.1, 1e-5, 0.0001234567, 1 / 3, -2, 1e30, 0.1 + 0.2, ("a", None, 0.5),
    float("inf"),
]  # fmt: skip


@pytest.mark.parametrize("columns", [None, "half"])
def test_what_a_table_prints_can_be_typed_back(columns: str | None, tmp_path: Path) -> None:
    for n, value in enumerate(VALUES):
        write_trial(tmp_path / f"T_{n}", {"x": value, "half": n % 2}, {"val_acc": [0.5 + n / 100]})
    df = analysis.load(tmp_path)
    table = analysis.format_table(analysis.pivot(df, "x", columns, "val_acc_max"))
    first, rule, *lines = table.splitlines()
    width = len(rule.split("  ")[0])
    printed = [line[:width].strip() for line in lines]
    assert first.startswith("x") and len(printed) == len(VALUES)
    found = [select(df, f"x == {text}")["val_acc_max"].tolist() for text in printed]
    assert sorted(found) == [[0.5 + n / 100] for n in range(len(VALUES))]


def test_numbers_of_a_table_can_be_typed_back(tmp_path: Path) -> None:
    rates = [0.00012345678, 0.00012345679, 0.1]
    for n, rate in enumerate(rates):
        write_trial(tmp_path / f"T_{n}", {"lr": rate, "seed": n}, {"val_acc": [0.1234567 * (n + 1)]})
    df = analysis.load(tmp_path)
    for table in (
        analysis.pivot(df, "lr", None, "val_acc_max"),
        analysis.pivot(df, ["seed", "lr"], None, "val_acc_max"),
        analysis.agg(df, "lr", "val_acc_max"),
        analysis.best(df, "val_acc_max"),
        analysis.failure_rates(df, "lr"),
    ):
        text = analysis.format_table(table)
        assert all(f"{rate!r}" in text for rate in rates), text
        assert "0.1234567" not in text, "a metric has 3 decimals"
