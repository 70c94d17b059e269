"""Tables in .csv and .parquet files: what becomes of each column, and the text of every refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynsparse.data import DataError
from dynsparse.data.features import count_missing, feature_names
from dynsparse.data.sources import Request, Table, kind_of
from dynsparse.data.sources.tables import read_csv

TEXT = "age,smoker,kind,class\n31,True,b,x\n42,False,a,y\n,True,b,x\n"


def read(folder: Path, text: str | bytes, target: str | None = "class", name: str = "t.csv") -> Any:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_file(folder, name, target)


def read_file(folder: Path, name: str, target: str | None = "class") -> Any:
    kind = kind_of(name)
    assert kind is not None
    return kind.read(Request(name, str(folder), target))


def refusal(folder: Path, text: str | bytes, target: str | None = "class") -> str:
    with pytest.raises(DataError) as error:
        read(folder, text, target)
    return str(error.value)


def assert_is_the_table(content: Any) -> None:
    [part] = content.parts
    assert isinstance(part.x, Table)
    np.testing.assert_array_equal(part.x.numbers, [[31, 1], [42, 0], [np.nan, 1]])
    assert feature_names(part.x) == ("age", "smoker", "kind=a", "kind=b")
    assert part.x.categories[0].codes.tolist() == [1, 0, 1]
    assert part.y.tolist() == ["x", "y", "x"]
    assert count_missing(part.x) == {"age": 1}


def test_the_columns_of_a_csv_file(tmp_path: Path) -> None:
    assert_is_the_table(read(tmp_path, TEXT))
    assert_is_the_table(read(tmp_path, TEXT, name="T.CSV"))


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf" + TEXT.encode(), TEXT.replace("\n", "\r\n").encode()])
def test_a_csv_file_from_excel(text: bytes, tmp_path: Path) -> None:
    assert_is_the_table(read(tmp_path, text))


def test_a_parquet_file(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "age": pd.array([31, 42, None], dtype="Int64"),
            "smoker": [True, False, True],
            "kind": pd.Categorical(["b", "a", "b"]),
            "class": ["x", "y", "x"],
        },
        index=[7, 8, 9],
    )
    frame.to_parquet(tmp_path / "t.parquet")
    assert_is_the_table(read_file(tmp_path, "t.parquet"))


def test_the_label_column_may_be_of_any_type(tmp_path: Path) -> None:
    for labels, expected in [
        ("3\n5\n", [3, 5]),
        ("True\nFalse\n", [True, False]),
        ("a b\nc\n", ["a b", "c"]),
        ("1.0\n2.0\n", [1.0, 2.0]),
    ]:
        content = read(tmp_path, "class,a\n" + "".join(f"{label},1\n" for label in labels.split("\n")[:-1]))
        assert content.parts[0].y.tolist() == expected


def test_several_label_columns_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,low,b,high\n1,2,3,4.5\n5,6,7,8\n")
    [part] = read_csv(Request("t.csv", str(tmp_path), ("high", "low"))).parts
    assert part.y.tolist() == [[4.5, 2], [8, 6]] and part.x.names == ("a", "b")
    with pytest.raises(DataError, match=r"target must be the name of the label column of 't\.csv', got 'lo'. Did you"):
        read_csv(Request("t.csv", str(tmp_path), ("high", "lo")))
    with pytest.raises(
        DataError, match="must have a feature beside the label column 'a', 'low', 'b', 'high', got none"
    ):
        read_csv(Request("t.csv", str(tmp_path), ("a", "low", "b", "high")))
    (tmp_path / "t.csv").write_text("a,low,b,high\n1,2,3,\n5,6,7,8\n")
    with pytest.raises(DataError, match="must have a label, got 1 missing values in the column 'high'"):
        read_csv(Request("t.csv", str(tmp_path), ("low", "high")))


def test_missing_text_is_counted(tmp_path: Path) -> None:
    [part] = read(tmp_path, "a,kind,class\n1,u,x\n2,,y\n,v,x\n").parts
    assert count_missing(part.x) == {"a": 1, "kind": 1}
    assert part.x.categories[0].codes.tolist() == [0, -1, 1]


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("", "class", "must have a row of names and at least one row of values, got 0 rows."),
        ("a,class\n", "class", "must have a row of names and at least one row of values, got 1 rows."),
        (
            TEXT,
            None,
            "target must be the name of the label column of 't.csv', got None. Its columns: age, smoker, kind, ",
        ),
        (TEXT, "clas", "got 'clas'. Did you mean 'class'? Its columns: age, smoker, kind, class."),
        ("class\nx\ny\n", "class", "'t.csv' must have a feature beside the label column 'class', got none."),
        (
            "a;class\n1,5;x\n",
            "class",
            "must have commas between its columns, got ';' in the first row. Convert it: pandas.read_csv(path, sep=';')"
            ".to_csv(path, index=False); if its numbers have decimal commas, read it with decimal=','.",
        ),
        ("a\tclass\n1\tx\n", "class", "got '\\t' in the first row."),
        ("a,b,a,class\n1,2,3,x\n", "class", "must have a name of its own, got 'a' twice. Rename one."),
        (
            ",a,class\n0,1,x\n",
            "class",
            "must have a name, got none for column 1. If it is the index of a DataFrame, write the file with",
        ),
        ("a,class\n0,1,x\n1,2,y\n", "class", "got 2 names and 3 values in the second row."),
        ("a,class\n1,x\n1,2,y\n", "class", "cannot be read, it may be damaged (ParserError: "),
        (
            "a,class\n1,x\n2,\n3,\n",
            "class",
            "must have a label, got 2 missing values in the column 'class'. Remove",
        ),
        ("a,class\ninf,x\n2,y\n", "class", "must be finite, got infinite values in 'a'."),
        (
            "a,class\n1,x\n2,y\n3,x\n?,y\n",
            "class",
            "The column 'a' of 't.csv' must be numbers or text, got 3 numbers and text such as '?'. Leave the cell of "
            "a missing number empty.",
        ),
        (
            "id,class\n" + "".join(f"person {i},x\n" for i in range(101)),
            "class",
            "A column of text must have at most 100 distinct values, got 101 in 'id' of 't.csv', such as 'person 0'.",
        ),
        ("naïve,class\n1,x\n".encode("latin-1"), "class", "must be encoded in UTF-8 ("),
        (b"a,class\n1,\xe9\n", "class", "must be encoded in UTF-8 ("),
    ],
)
def test_a_csv_file_that_is_no_table(text: str | bytes, target: str | None, message: str, tmp_path: Path) -> None:
    assert message in refusal(tmp_path, text, target)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.date_range("2020-01-01", periods=2), "got datetime64"),
        ([[1, 2], [3, 4]], "must be numbers or text, got object in 'a', such as array"),
        ([b"1", b"2"], "got object in 'a', such as b'1'. Convert the column to numbers, or remove it."),
    ],
)
def test_a_parquet_file_with_other_columns(column: Any, message: str, tmp_path: Path) -> None:
    pd.DataFrame({"a": column, "class": ["x", "y"]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError) as error:
        read_file(tmp_path, "t.parquet")
    assert message in str(error.value)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": range(1000), "class": ["x", "y"] * 500}).to_parquet(path)
    whole = path.read_bytes()
    for content in (b"", b"PAR1", whole[:-10], whole[:200]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"t\.parquet cannot be read, it may be damaged"):
            read_file(tmp_path, "t.parquet")


CELLS = st.lists(st.sampled_from(["1", "2.5", "", "-3e5", "nan", "True", "a", "b c", 'q"q', "é", "9,9"]), min_size=2)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=CELLS, second=CELLS)
def test_any_table_is_read_like_pandas_reads_it_or_refused(first: list[str], second: list[str], tmp_path: Path) -> None:
    n = min(len(first), len(second))
    frame = pd.DataFrame({"a": first[:n], "b": second[:n], "class": np.arange(n) % 2})
    frame.to_csv(tmp_path / "t.csv", index=False)
    try:
        [part] = read_file(tmp_path, "t.csv").parts
    except DataError as error:
        assert "numbers and text such as" in str(error)
        return
    expected = pd.read_csv(tmp_path / "t.csv")
    for place, name in enumerate(part.x.names):
        np.testing.assert_array_equal(part.x.numbers[:, place], expected[name].astype(float))
    for each in part.x.categories:
        texts = [each.values[code] if code >= 0 else None for code in each.codes]
        assert texts == [None if pd.isna(value) else str(value) for value in expected[each.name]]
    assert part.y.tolist() == expected["class"].tolist()
