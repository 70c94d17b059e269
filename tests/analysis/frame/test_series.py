"""Columns that are given as Series."""

import pandas as pd
import pytest

from analysis.frame.series import column_name, column_names, with_series


@pytest.fixture
def df() -> pd.DataFrame:
    # The index says nothing: filtered and joined DataFrames repeat labels.
    return pd.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]}, index=[7, 7, 0])


def test_a_series_becomes_a_column_of_its_own_name(df: pd.DataFrame) -> None:
    df.attrs["hyperparameters"] = ("a",)
    found = with_series(df, "a", None, ["b", (df["a"] + df["b"]).rename("sum")])
    assert found["sum"].tolist() == [5.0, 7.0, 9.0]
    assert found.attrs == df.attrs and list(df) == ["a", "b"]
    assert with_series(df, 2 * df["a"])["a"].tolist() == [2, 4, 6]
    assert with_series(df, "a", "b") is df


def test_names(df: pd.DataFrame) -> None:
    assert column_name("a") == column_name(df["a"]) == "a"
    assert column_names(None) == [] and column_names("ab") == ["ab"]
    assert column_names(df["b"]) == ["b"] and column_names(["a", df["b"]]) == ["a", "b"]


def test_messages(df: pd.DataFrame) -> None:
    rename = r"series\.rename\('my_name'\)"
    with pytest.raises(ValueError, match=f"A Series must have a name, got one named None.*{rename}"):
        with_series(df, df["a"] + df["b"])
    with pytest.raises(ValueError, match=f"name of another column, got 'a' twice.*{rename}"):
        with_series(df, "a", [df["a"] > 1])
    for other in (df["a"].reset_index(drop=True), df["a"].head(2)):
        with pytest.raises(ValueError, match="must have the index of the DataFrame, got 'a' with another one"):
            with_series(df, other)


def test_a_series_may_have_any_name_but_an_empty_one() -> None:
    df = pd.DataFrame({"x": [1.0, 2.0]})
    assert with_series(df, df["x"].rename("self"))["self"].tolist() == [1.0, 2.0]
    assert list(df.columns) == ["x"]
    with pytest.raises(ValueError, match="A Series must have a name, got one named ''"):
        with_series(df, df["x"].rename(""))


@pytest.mark.parametrize("given", [[[1.0, 2.0]], [pd.DataFrame({"x": [1.0]})]], ids=["list", "DataFrame"])
def test_what_is_neither_a_name_nor_a_series_is_refused(given: list[object]) -> None:
    with pytest.raises(ValueError, match="A column must be a name or a Series, got "):
        with_series(pd.DataFrame({"x": [1.0, 2.0]}), given)  # type: ignore[arg-type]
