"""save: what each suffix writes, read back with pandas."""

import ast
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.trial_folders import write_trial

import analysis
from analysis import agg, format_table, pivot, save


@pytest.fixture
def mixed() -> pd.DataFrame:
    """A column of each kind; the last row has what is missing."""
    return pd.DataFrame(
        {
            "mean": [0.1 + 0.2, 1e-300, np.nan],
            "n": [1, 2**60, 3],
            "on": [True, False, True],
            "maybe": pd.Series([True, False, np.nan], dtype=object),
            "model": ["RigL", 'a, "b" & c_d | 100%', None],
            "sizes": pd.Series([(300, 100), (100,), None], dtype=object),
            "rule": pd.Series([0.5, "cosine", None], dtype=object),
            "both": pd.Series([1, 0.5, None], dtype=object),
            "bins": pd.cut([1, 2, 3], [0, 2, 4]),
            "trial_id": ["00012", "1e5", "a"],
        }
    )


def texts(column: pd.Series) -> list[object]:
    return [None if pd.isna(value) else value for value in column]


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx"])
def test_values_keep_their_type_or_become_text(mixed: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    path = save(mixed, tmp_path / f"table{suffix}")
    back = pd.read_parquet(path) if suffix == ".parquet" else pd.read_excel(path, dtype={"trial_id": str})
    assert list(back.columns) == list(mixed.columns)
    # openpyxl writes 16 digits, one less than tell all floats apart.
    tolerance = 0 if suffix == ".parquet" else 1e-15
    assert back["mean"].tolist()[:2] == pytest.approx([0.1 + 0.2, 1e-300], rel=tolerance, abs=0)
    assert np.isnan(back["mean"][2])
    assert back["n"].tolist() == [1, 2**60, 3]
    assert back["on"].tolist() == [True, False, True]
    assert texts(back["maybe"]) == [True, False, None]
    assert texts(back["model"]) == ["RigL", 'a, "b" & c_d | 100%', None]
    assert texts(back["sizes"]) == ["(300, 100)", "(100,)", None]
    assert ast.literal_eval(back["sizes"][0]) == (300, 100)
    assert [None if value is None else str(value) for value in texts(back["rule"])] == ["0.5", "cosine", None]
    assert texts(back["both"]) == [1.0, 0.5, None]
    assert texts(back["bins"]) == ["(0, 2]", "(0, 2]", "(2, 4]"]
    assert back["trial_id"].tolist() == ["00012", "1e5", "a"]


def test_parquet_has_types(mixed: pd.DataFrame, tmp_path: Path) -> None:
    back = pd.read_parquet(save(mixed, tmp_path / "table.parquet"))
    assert back["mean"].dtype == float and back["n"].dtype == "int64" and back["on"].dtype == bool
    assert back["both"].dtype == float
    assert [type(value) for value in back["rule"][:2]] == [str, str]


def test_a_loaded_experiment_survives_parquet_with_its_issues(notebook_run: Path, tmp_path: Path) -> None:
    df = analysis.load(notebook_run)
    df.attrs["mine"] = object()
    df.attrs["issues"] = [("T_1", "result.json", "torn")]
    back = pd.read_parquet(save(df, tmp_path / "df.parquet"))
    assert analysis.issues(back).values.tolist() == [["T_1", "result.json", "torn"]]
    assert back["hidden_sizes"].tolist() == ["(100, 100, 100)"] * 72
    pd.testing.assert_frame_equal(
        agg(back, ["on_perc", "kwinners"], "val_acc_max"), agg(df, ["on_perc", "kwinners"], "val_acc_max")
    )
    assert "mine" in df.attrs and isinstance(df["hidden_sizes"][0], tuple)


def test_csv_keeps_numbers_in_full(notebook_run: Path, tmp_path: Path) -> None:
    table = agg(analysis.load(notebook_run), "on_perc", "val_acc_max")
    path = save(table, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(pd.read_csv(path), table, check_dtype=False, rtol=1e-15)
    assert repr(float(table["mean"][1])) in path.read_text()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".xlsx"])
def test_pivot_tables_with_several_levels(notebook_run: Path, suffix: str, tmp_path: Path) -> None:
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    df = analysis.load(notebook_run)
    read = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".xlsx": pd.read_excel}[suffix]
    table = pivot(df, ["kwinners", "hebbian_prune_perc"], "on_perc", "val_acc_max")
    back = read(save(table, tmp_path / f"rows{suffix}"))
    assert list(back.columns) == [
        "kwinners",
        "hebbian_prune_perc",
        *(f"on_perc={value}" for value in (0.05, 0.1, 0.2)),
    ]
    assert back["kwinners"].tolist() == [False] * 3 + [True] * 3
    assert back["on_perc=0.1"].tolist() == table[0.1].tolist()
    levels = pd.pivot_table(
        df, index="kwinners", columns=["on_perc", "hebbian_grow"], values="val_acc_max", aggfunc=["mean", "count"]
    )
    back = read(save(levels, tmp_path / f"columns{suffix}"))
    assert back.columns[1] == "mean 0.05 False" and back.shape == (2, 13)
    assert back["mean 0.1 True"].tolist() == pytest.approx(levels[("mean", 0.1, True)].tolist(), rel=1e-15)


def test_tex_and_markdown_are_what_format_table_prints(mixed: pd.DataFrame, tmp_path: Path) -> None:
    tex = save(mixed, tmp_path / "table.tex").read_text()
    assert tex == format_table(mixed, "latex") + "\n"
    assert r"\& c\_d | 100\%" in tex and r"\toprule" in tex and "&" in tex and "0.300" in tex
    markdown = save(mixed, tmp_path / "table.md").read_text()
    assert markdown == format_table(mixed, "markdown") + "\n"
    assert r"c_d \| 100%" in markdown and "–" in markdown


def test_a_spreadsheet_has_no_formulas_and_no_control_characters(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    df = pd.DataFrame({"=error": ["=1+1", "red\x1b[31m", "two\nlines"], "x": [1.5, np.inf, 2.0]})
    sheet = openpyxl.load_workbook(save(df, tmp_path / "table.xlsx")).active
    assert [cell.value for cell in sheet["A"]] == ["=error", "=1+1", "red[31m", "two\nlines"]
    assert {cell.data_type for cell in sheet["A"]} == {"s"}
    assert [cell.value for cell in sheet["B"]] == ["x", 1.5, "inf", 2]
    assert sheet.freeze_panes == "A2"


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".xlsx", ".tex", ".md"])
def test_an_empty_table(suffix: str, tmp_path: Path) -> None:
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    assert save(pd.DataFrame({"a": [], "b": []}), tmp_path / f"t{suffix}").stat().st_size > 0


def test_the_suffix_may_be_in_capitals_and_the_path_a_text(tmp_path: Path) -> None:
    path = save(pd.DataFrame({"a": [1]}), str(tmp_path / "T.CSV"))
    assert path == tmp_path / "T.CSV" and path.read_text() == "a\n1\n"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(pd.DataFrame({"a": [1]}), tmp_path / "t.csv")

    def fail(descriptor: int) -> None:
        assert [entry.name for entry in tmp_path.iterdir() if entry != path]  # written beside
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save(pd.DataFrame({"a": [2]}), path)
    assert path.read_text() == "a\n1\n" and list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    save(pd.DataFrame({"a": [2]}), path)
    assert path.read_text() == "a\n2\n" and list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_rights_of_any_new_file_and_no_link_is_followed(tmp_path: Path) -> None:
    path = save(pd.DataFrame({"a": [1]}), tmp_path / "t.csv")
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    save(pd.DataFrame({"a": [5]}), link)
    assert not link.is_symlink() and link.read_text() == "a\n5\n" and path.read_text() == "a\n1\n"


def test_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    df = pd.DataFrame({"a": [1]})
    with pytest.raises(ValueError) as error:
        save(df, tmp_path / "t.xls")
    assert str(error.value) == (
        "Unknown suffix '.xls'. Did you mean '.xlsx'? Available: .parquet, .csv, .xlsx, .tex, .md."
    )
    with pytest.raises(ValueError, match=r"Unknown suffix ''\. Available: \.parquet"):
        save(df, tmp_path / "t")
    with pytest.raises(FileNotFoundError, match=r"The folder .*/none does not exist\. Create it first\."):
        save(df, tmp_path / "none" / "t.csv")
    with pytest.raises(ValueError, match=r"df must be a DataFrame, got Series\. Use series\.to_frame\(\)\."):
        save(df["a"], tmp_path / "t.csv")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"path must be a local file, got s3://bucket/t\.csv\."):
        save(df, "s3://bucket/t.csv")
    with pytest.raises(ValueError, match=r"Each column must have its own name, got '1' twice\."):
        save(pd.DataFrame({1: [1], "1": [2]}), tmp_path / "t.parquet")
    for name in [name for name in sys.modules if name.startswith("openpyxl")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ImportError, match="need openpyxl, which is not installed"):
        save(df, tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_mixed_hyperparameters(tmp_path: Path) -> None:
    for n, value in enumerate([0.1, "cosine", [1, 2], None]):
        write_trial(tmp_path / "run" / f"T_{n}", {"rule": value}, {"val_acc": [0.9]})
    df = analysis.load(tmp_path / "run")
    back = pd.read_parquet(save(df, tmp_path / "t.parquet"))
    assert texts(back["rule"]) == ["0.1", "cosine", "(1, 2)", None]
