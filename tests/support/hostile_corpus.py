"""Inputs that are known to be hostile: whatever reads files or words of anybody is always tried with them."""

import json
from collections.abc import Mapping
from typing import Any

Files = Mapping[str, bytes]

# A set, bytes and the like in a list: Tune writes what JSON does not have as text.
LITERALS = [
    *("[{1, 2}]", "[{'a': {1}}]", "[b'x']", "[1j]", "[...]", "[{(1,): 2}]", "[{1: 2, 'a': 3}]", "[{None: 1}]"),
    *("['\\ud800']", "[18446744073709551616, 1]", "[1e999]", "[1_000]", "[" * 60 + "]" * 60, "[" * 5000),
]
# Whole numbers around the limits of 64 bits, of a float, and of the digits that Python reads.
WHOLE_NUMBERS = [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30, 10**308, 10**309, -(10**400)]
VALUES: list[Any] = [
    *(*WHOLE_NUMBERS, -0.0, float("nan"), float("inf"), None, True, "", "\x00", "\ud800", "NaN", "1" * 5000),
    *([], {}, [[]], {"": {}}, {"a/b": 1, "a": {"b": 2}}, [{"a": [10**30]}], *LITERALS),
]
# Texts that are no JSON object, or hardly one.
CONTENTS = [
    *(b"", b" \n\n", b"\x00" * 64, b"\xff\xfe", b"\xfe\xff\x00{", b"null", b"[]", b"3", b'"x"', b"NaN", b"{}", b"}{"),
    # Half a line, two in one, a name twice, a comma too many
    *(b'{"val_acc": 0.', b'{"val_acc": 1}{"val_acc": 2}', b'{"a": 1, "a": [2]}', b'{"a": 1,}', b"{'a': 1}"),
    # Encodings and their marks
    *(b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-16-be"), b'{"\xff": "\xed\xa0\x80"}'),
    # Characters that no file, terminal or number has
    *(b'{"a": "\x00"}', b'{"a\\u0000": "\\u0000"}', b'{"\\ud800": "\\udfff"}', b'{"a": "\\u001b[2J"}'),
    *(b'{"a": 1e999, "b": -1e999}', b'{"a": 1' + b"0" * 5000 + b"}", b'{"a": 0x10}', b'{"a": 01}', b'{"a": Infinity}'),
    # A number must not depend on what is beside it.
    *(b'{"a": 18446744073709551616}', b'{"a": 18446744073709551616, "b": NaN}', b'{"a": -9223372036854775809}'),
    # Recursion
    *(b"[" * 100_000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b'{"a": ' + b"[" * 51 + b"]" * 51 + b"}"),
    # CSV: a column twice, rows of other lengths, a quote that is not closed
    *(b"training_iteration,a,a\n1,2,3\n", b"training_iteration,a\n1\n1,2,3\n", b'training_iteration,a\n1,"2\n'),
    *(b"training_iteration\r1\r2", b"training_iteration,a\n1," + b"9" * 200_000 + b"\n", b"a,\x00\n1,2\n"),
]
GOOD_ROW = b'{"training_iteration": 1, "val_acc": 0.5, "time_this_iter_s": 1.0, "done": true}\n'


def experiment_of(contents: Mapping[str, Files], state: bytes = b"{}") -> tuple[dict[str, Files], Files]:
    """Return an experiment: the files of its trials, and its own."""
    return dict(contents), {"experiment_state-1.json": state}


def _experiments() -> list[tuple[dict[str, Files], Files]]:
    rows = [json.dumps({"training_iteration": 1, "val_acc": 0.5, "x": value, "y_acc": value}) for value in VALUES]
    params = [json.dumps({"x": value, "q": 1}) for value in VALUES]
    beside_nan = [json.dumps({"x": value, "q": 1, "z": float("nan")}) for value in VALUES]
    named = ("trial_id", "experiment_tag", "done", "config", "training_iteration", "time_this_iter_s", "val_loss")
    odd = [json.dumps({"training_iteration": 1, **dict.fromkeys(named, value)}) for value in VALUES]
    every = ("params.json", "result.json", "progress.csv", "error.txt", "about.json", "complete.json", "failed.json")
    return [
        experiment_of({f"T_{i}": {"params.json": each, "result.json": GOOD_ROW} for i, each in enumerate(CONTENTS)}),
        experiment_of(
            {
                f"T_{i}": {"params.json": b"{}", "result.json": GOOD_ROW + each + b"\n" + GOOD_ROW}
                for i, each in enumerate(CONTENTS)
            }
        ),
        experiment_of({f"T_{i}": {"params.json": b"{}", "progress.csv": each} for i, each in enumerate(CONTENTS)}),
        *(experiment_of({"T_0": dict.fromkeys(every, each)}, each) for each in CONTENTS[:4]),
        experiment_of({f"T_{i}": dict.fromkeys(every, each) for i, each in enumerate(CONTENTS)}),
        *(
            experiment_of(
                {f"T_{i}": {"params.json": b"{}", "result.json": each.encode()} for i, each in enumerate(all_)}
            )
            for all_ in (rows, odd)
        ),
        *(
            experiment_of(
                {f"T_{i}": {"params.json": each.encode(), "result.json": GOOD_ROW} for i, each in enumerate(all_)}
            )
            for all_ in (params, beside_nan)
        ),
    ]


EXPERIMENTS = _experiments()
SETTINGS = [
    *(
        "",
        "=",
        "a=",
        "=1",
        "a=,",
        "a=1,,2",
        "a='",
        'a="x',
        "a=[",
        "a=]",
        "a=(1,2",
        "\x00=1",
        "seed=\x00",
        "a==1",
        " a = 1 ",
    ),
    *("seed=1" + "0" * 400, "seed=" + "1" * 5000, "seed=-0", "seed=1_0", "seed=NaN", "on_perc=1e999", "on_perc=nan"),
    *("hidden_sizes=" + "[" * 300, "hidden_sizes=" + "(" * 50 + ")" * 50, "hidden_sizes=(18446744073709551616,)"),
    *("model=\ud800", "model=\ufeffSET", "model='SET',\"RigL\"", "model={1: 2}", "seed=__import__('os')", "epochs=1e3"),
]
CONDITIONS = [
    *("", " ", "\x00", "\ufeffmodel == SET", "\ud800", "model == '\ud800'", "on_perc", "on_perc == ", "on_perc = 0.1"),
    *("`a b` == 1" + "0" * 30, "`a b` > " + "1" * 5000, "on_perc < 1e999", "on_perc == nan", "`` == 1", "`a b", "'"),
    *("(" * 300, "not " * 3000 + "kwinners", "-" * 5000 + "1", "on_perc in " + "[" * 100 + "]" * 100, "1" * 5000),
    *("hidden_sizes == (300, 100)", "hidden_sizes in [(300, 100), (100,)]", "hidden_sizes == [18446744073709551616]"),
    *("@x", "__import__('os')", "on_perc.__class__", "lambda: 0", "model == f'{1}'", "x := 1", "on_perc == 0.1 #"),
]
