"""plot_failures: rates with counts."""

import pytest

pytest.importorskip("plotly")

from support.plot_frames import cells, grid

from analysis import failure_rates
from analysis.plots import plot_failures


def test_failures_are_rates_with_counts() -> None:
    df = grid()
    df = df[(df["model"] != "RigL") | (df["on_perc"] != 0.2)]
    fig = plot_failures(df, "model", "on_perc")
    z, texts = cells(fig)
    assert z == [[0, 0, 0], [0, pytest.approx(1 / 3), None], [pytest.approx(2 / 3), 0, 0]]
    assert texts["SET", "0.01"] == "2 of 3" and texts["RigL", "0.2"] == "–" and texts["RigL", "0.01"] == "0 of 3"
    assert "3 of 24 trials failed; 1 incomplete, counted as not failed" in fig.layout.title.text
    rate = failure_rates(df, ["model", "on_perc"]).query("model == 'SET' and on_perc == 0.01").iloc[0]
    assert f"95%: {rate['low']:.1%} to {rate['high']:.1%}" in fig.data[0].hovertext[2][0]
    assert (fig.data[0].zmin, fig.data[0].zmax) == (0, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda df: plot_failures(df, "model", "on_prec"), r"Unknown column 'on_prec'\. Did you mean 'on_perc'"),
        (lambda df: plot_failures(df[:0], "model", "on_perc"), "the DataFrame has no rows"),
        (lambda df: plot_failures(df.drop(columns="status"), "model", "on_perc"), "Unknown column 'status'"),
    ],
)
def test_messages(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(grid())  # type: ignore[operator]
