"""pivot, failures, left_out, format_table."""

import io
import math
import re
from pathlib import Path

import markdown_it
import pandas as pd
import pytest
from support.grids import grid, noisy
from support.trial_folders import write_trial

import analysis
from analysis import as_trials, failures, format_table, left_out, pivot


@pytest.fixture
def few(tmp_path: Path) -> pd.DataFrame:
    """Model a: all complete. b: at 0.2 one failed, one unfinished. c: only at 0.2, failed."""
    n = 0
    for model, on_perc, fates in [
        ("a", 0.1, "ccc"),
        ("a", 0.2, "cc"),
        ("b", 0.1, "cc"),
        ("b", 0.2, "cfi"),
        ("c", 0.2, "f"),
    ]:
        for fate in fates:
            config = {"model": model, "on_perc": on_perc, "constant": 1, "sizes": [3, 1]}
            error = "Traceback:\nValueError: 100% & more_or_less | so" if fate == "f" else None
            write_trial(tmp_path / f"T_{n}", config, {"val_acc": [0.9 + n / 100]}, done=fate == "c", error=error)
            n += 1
    return analysis.load(tmp_path)


def test_pivot_says_what_each_cell_is_made_of(few: pd.DataFrame) -> None:
    table = pivot(few, "model", "on_perc", "val_acc_max")
    assert table.index.tolist() == ["a", "b", "c"] and table.index.name == "model"
    assert table.columns.tolist() == [0.1, 0.2] and table.columns.name == "on_perc"
    assert table.values.tolist() == [
        ["0.910 ± 0.010 (n=3)", "0.935 ± 0.007 (n=2)"],
        ["0.955 ± 0.007 (n=2)", "0.970 (n=1, 1 failed, 1 incomplete)"],
        ["–", "– (1 failed)"],
    ]


def test_pivot_is_silent_where_all_cells_are_alike(few: pd.DataFrame) -> None:
    alike = few[~few["trial_id"].isin(["0"]) & (few["model"] == "a")]
    assert pivot(alike, "model", "on_perc", "val_acc_max").values.tolist() == [["0.915 ± 0.007", "0.935 ± 0.007"]]


def test_pivot_counts_when_the_cells_differ_or_left_one_out(few: pd.DataFrame) -> None:
    differ = few[few["model"] == "a"]
    assert pivot(differ, "model", "on_perc", "val_acc_max").values.tolist() == [
        ["0.910 ± 0.010 (n=3)", "0.935 ± 0.007 (n=2)"]
    ]
    left_one_out = few[few["trial_id"].isin(["3", "4", "5", "6"])].copy()
    left_one_out.loc[left_one_out.index[0], "status"] = "error"
    assert pivot(left_one_out, "on_perc", None, "val_acc_max")["val_acc_max"].tolist() == [
        "0.955 ± 0.007 (n=2)",
        "0.940 (n=1, 1 failed)",
    ]
    as_many = pd.concat([left_one_out, few[few["trial_id"] == "7"]])
    assert pivot(as_many, "on_perc", None, "val_acc_max")["val_acc_max"].tolist() == [
        "0.955 ± 0.007 (n=2)",
        "0.955 ± 0.021 (n=2, 1 failed)",
    ]


def test_pivot_of_single_trials_says_so(few: pd.DataFrame) -> None:
    single = few[few["trial_id"].isin(["0", "3"])]
    assert pivot(single, "model", "on_perc", "val_acc_max").values.tolist() == [["0.900 (n=1)", "0.930 (n=1)"]]


def test_pivot_with_two_row_keys_or_no_columns(few: pd.DataFrame) -> None:
    table = pivot(few, ["model", "on_perc"], None, "val_acc_max")
    assert table.index.names == ["model", "on_perc"] and list(table.columns) == ["val_acc_max"]
    assert table.loc[("b", 0.2), "val_acc_max"] == "0.970 (n=1, 1 failed, 1 incomplete)"
    table = pivot(few, ["model", "sizes"], "on_perc", "val_acc_max")
    assert table.loc[("a", "(3, 1)"), 0.1] == "0.910 ± 0.010 (n=3)"
    assert pivot(few, "model", "sizes", "val_acc_max").columns.tolist() == ["(3, 1)"]


def test_pivot_keeps_missing_keys(few: pd.DataFrame) -> None:
    few = few.assign(on_perc=few["on_perc"].where(few["on_perc"] != 0.2))
    table = pivot(few, "on_perc", "model", "val_acc_max")
    assert table.index.tolist()[0] == 0.1 and math.isnan(table.index[1])
    assert table.iloc[1].tolist() == [
        "0.935 ± 0.007 (n=2)",
        "0.970 (n=1, 1 failed, 1 incomplete)",
        "– (1 failed)",
    ]
    assert "on_perc=–" in format_table(pivot(few, "model", "on_perc", "val_acc_max"))


def test_columns_of_lists_are_in_the_order_of_their_values() -> None:
    sizes = [(3,), (20, 20), (100, 100)]
    table = pivot(grid(noisy(0), model=["a", "b"], hidden_sizes=sizes), "model", "hidden_sizes", "val_acc_max")
    assert table.columns.tolist() == list(map(str, sizes))


def test_pivot_agrees_with_the_notebooks_pivot_table(notebook_run: Path) -> None:
    df = analysis.load(notebook_run)
    df = df[df["on_perc"] == 0.2]
    keys = ["kwinners", "hebbian_prune_perc"]
    expected = pd.pivot_table(
        df, index=keys, columns="weight_prune_perc", values="val_acc_max", aggfunc=analysis.mean_and_std
    )
    got = pivot(df, keys, "weight_prune_perc", "val_acc_max")
    assert got.values.tolist() == expected.values.tolist()
    assert got.index.tolist() == expected.index.tolist()


def test_failures(few: pd.DataFrame) -> None:
    table = failures(few)
    assert list(table.columns) == ["model", "on_perc", "epochs", "status", "error", "trial_dir"]
    error = "ValueError: 100% & more_or_less | so"
    assert table["error"].isna().tolist() == [False, True, False]
    assert table.fillna({"error": "none"}).values.tolist() == [
        ["b", 0.2, 1, "error", error, "T_8"],
        ["b", 0.2, 1, "incomplete", "none", "T_9"],
        ["c", 0.2, 1, "error", error, "T_10"],
    ]
    assert failures(few[few["status"] == "complete"]).empty


def test_failures_after_concat_and_with_columns_of_ones_own(few: pd.DataFrame) -> None:
    both = pd.concat([few, few.assign(extra=1)])
    assert list(failures(both).columns)[:3] == ["model", "on_perc", "epochs"]


def test_left_out(few: pd.DataFrame) -> None:
    assert left_out(few) == "left out: 2 failed, 1 incomplete of 11 trials"
    assert left_out(few[few["status"] != "error"]) == "left out: 1 incomplete of 9 trials"
    assert left_out(few[few["model"] == "a"]) == "all 5 trials are complete"
    assert left_out(few[few["model"] == "c"]) == "left out: 1 failed of 1 trial"
    assert left_out(few.iloc[:1]) == "the 1 trial is complete"


def test_text(few: pd.DataFrame) -> None:
    table = pivot(few[few["model"] != "c"], "model", "on_perc", "val_acc_max")
    assert format_table(table).splitlines() == [
        "model    on_perc=0.1          on_perc=0.2",
        "-------  -------------------  -----------------------------------",
        "a        0.910 ± 0.010 (n=3)  0.935 ± 0.007 (n=2)",
        "b        0.955 ± 0.007 (n=2)  0.970 (n=1, 1 failed, 1 incomplete)",
    ]


def test_numbers_as_text() -> None:
    df = pd.DataFrame({"lr": [0.0001, 0.1], "mean": [0.97123456, float("nan")], "n": [1234567, 1], "on": [True, False]})
    assert [line.split() for line in format_table(df).splitlines()[2:]] == [
        ["0.0001", "0.971", "1234567", "True"],
        ["0.1", "–", "1", "False"],
    ]


def test_markdown_keeps_its_columns(few: pd.DataFrame) -> None:
    df = pd.DataFrame({"a|b": ["x|y", "two\nlines"], "c": [1.5, 2.0]})
    lines = format_table(df, "markdown").splitlines()
    assert len(lines) == 4
    assert lines[0].replace(" ", "") == r"|a\|b|c|"
    assert lines[2].replace(" ", "") == r"|x\|y|1.5|"
    assert "two lines" in lines[3]


def test_latex_is_escaped(few: pd.DataFrame) -> None:
    text = format_table(failures(few), "latex")
    assert r"\toprule" in text and r"\bottomrule" in text
    assert r"ValueError: 100\% \& more\_or\_less | so" in text
    assert r"on\_perc" in text and "–" not in text
    text = format_table(pivot(few, "model", "on_perc", "val_acc_max"), "latex")
    assert r"0.910 $\pm$ 0.010 (n=3)" in text and "±" not in text and "-- (1 failed)" in text


def test_csv_keeps_numbers_in_full(few: pd.DataFrame) -> None:
    table = analysis.agg(few, ["model", "on_perc"], "val_acc_max")
    back = pd.read_csv(io.StringIO(format_table(table, "csv")))
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    index = format_table(pivot(few, ["model", "on_perc"], None, "val_acc_max"), "csv").splitlines()[0]
    assert index == "model,on_perc,val_acc_max"


@pytest.mark.parametrize("format", ["text", "markdown", "latex", "csv"])
def test_an_empty_table_and_columns_of_two_levels(format: str, few: pd.DataFrame) -> None:
    assert "trial" in format_table(failures(few[few["status"] == "complete"]), format)
    cell = {"val_acc_max": ["max", analysis.stats], "model": ["count"]}
    text = format_table(few.groupby("on_perc").agg(cell), format).replace("\\", "")
    assert "val_acc_max stats" in text and "model count" in text and "[0.9, 0.96, 0.928, 0.026]" in text


HOSTILE = pd.DataFrame(
    {
        "a|b": ["<img src=x onerror=alert(1)>", "[x](http://x) | `c` *d* _e_ f_g"],
        "=1+1": ["=cmd|' /C calc'!A0", "@SUM(1)"],
        "text": ["\x1b[2J\x1b]0;title\x07+1+1\r", "-0.5"],
        "number": [-0.5, -1e-9],
        "tuple": [("-1",), ("=1", 2)],
        "mixed": [-1, "-x"],
    }
)


def test_markdown_shows_each_text_as_it_is() -> None:
    page = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(format_table(HOSTILE, "markdown"))
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page)
    assert cells[:6] == ["a|b", "=1+1", "text", "number", "tuple", "mixed"]
    assert cells[6] == "&lt;img src=x onerror=alert(1)&gt;"
    assert cells[12] == "[x](http://x) | `c` *d* _e_ f_g"
    assert len(cells) == 18 and not re.search("<(img|a|em|code)", page)


@pytest.mark.parametrize("format", ["text", "markdown", "latex"])
def test_no_table_has_control_sequences(format: str) -> None:
    text = format_table(HOSTILE.set_axis(["\x1b[31m", *HOSTILE.columns[1:]], axis=1), format)
    assert "\x1b" not in text and "\r" not in text and "\x07" not in text and "title" not in text


def test_csv_has_no_formulas_and_numbers_stay_numbers() -> None:
    text = format_table(HOSTILE, "csv")
    df = pd.read_csv(io.StringIO(text))
    assert list(df) == ["a|b", "'=1+1", "text", "number", "tuple", "mixed"]
    assert df["'=1+1"].tolist() == ["'=cmd|' /C calc'!A0", "'@SUM(1)"]
    assert df["number"].tolist() == [-0.5, -1e-9] and df["mixed"].tolist() == ["-1", "'-x"]
    assert df["text"].tolist() == ["'+1+1", "-0.5"] and df["tuple"].tolist() == ["('-1',)", "('=1', 2)"]
    frame = pd.DataFrame({"a": [1.0, float("nan")], "b": ["x", None], "c": [True, False]})
    assert format_table(frame, "csv") == frame.to_csv(index=False)


def test_a_number_among_texts_is_no_formula() -> None:
    for text in ("-5", "+1e3", "-inf", "-.5", "+0"):
        assert pd.read_csv(io.StringIO(format_table(pd.DataFrame({"a": [text, "x"]}), "csv")))["a"][0] == text
    for text in ("-", "+x", "=", "-1+1", "\t=1"):
        assert format_table(pd.DataFrame({"a": [text]}), "csv").splitlines()[1].strip('"').startswith("'")


def test_no_p_value_is_zero() -> None:
    table = pd.DataFrame({"p": [1e-9, 0.0123, math.nan], "p_holm": [0.5, 1.0, 0.00012]})
    assert [line.split() for line in format_table(table).splitlines()[2:]] == [
        ["<0.0001", "0.5"],
        ["0.012", "1"],
        ["–", "0.00012"],
    ]
    assert "1e-09" in format_table(table, "csv")
    # A hyperparameter keeps its digits.
    table = as_trials(pd.DataFrame({"p_drop": [1e-9, 0.123456]}), ["p_drop"], [])
    assert "0.123456" in format_table(table[["p_drop"]])


def test_no_number_is_minus_zero() -> None:
    table = pd.DataFrame({"difference": [-0.00012345678, -0.12345678, 0.1, math.nan]})
    assert [line.strip() for line in format_table(table).splitlines()[2:]] == ["0.000", "-0.123", "0.100", "–"]
    assert analysis.mean_and_std(pd.Series([-0.0002, 0.0001])) == "0.000 ± 0.000"
