"""The axis that suits the values of a column, and its ticks."""

import pandas as pd
import pytest

pytest.importorskip("plotly")

from analysis.plots._lib.scales import scale


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        ([0.1, 0.0, 0.2], "linear", ["0", "0.1", "0.2"]),
        ([0.1, 0.05, 0.2], "linear", ["0.05", "0.1", "0.2"]),
        ([0.1, 0.001, 0.01], "log", ["0.001", "0.01", "0.1"]),
        ([1, 5, 10, 15, 20], "linear", ["1", "5", "10", "15", "20"]),
        ([-0.1, 0.01, 10.0], "linear", ["-0.1", "0.01", "10"]),
        ([True, False], "category", ["False", "True"]),
        (["b", "a"], "category", ["a", "b"]),
        ([(2,), (1, 3)], "category", ["(1, 3)", "(2,)"]),
        ([0.5, "cosine", None], "category", ["0.5", "cosine", "–"]),
        ([2.0, float("nan"), 1.0], "category", ["1", "2", "–"]),
        ([1, "1"], "category", ["1", "'1'"]),
    ],
)
def test_the_axis_suits_the_values(values: list[object], kind: str, texts: list[str]) -> None:
    found = scale(pd.Series(values))
    assert (found.kind, found.texts) == (kind, texts)
    places = found.places(values)
    assert places == [texts[i] for i in found.positions(values)] if kind == "category" else places == values
    assert found.layout()["type"] == kind


def test_ticks_that_would_overlap_are_left_to_plotly() -> None:
    assert list(scale(pd.Series([0.0, 0.1, 0.2])).layout()["tickvals"]) == [0.0, 0.1, 0.2]
    assert "tickvals" not in scale(pd.Series([0.0, 0.001, 1.0])).layout()
    assert "tickvals" not in scale(pd.Series(range(100))).layout()
