"""plot_importance: importance beside correlation."""

import pandas as pd
import pytest

pytest.importorskip("plotly")

from support.plot_frames import grid, numbers

from analysis import as_trials, importance
from analysis.plots import plot_importance


def test_importance_beside_correlation() -> None:
    df = grid()
    fig = plot_importance(df, "val_acc_max")
    table = importance(df, "val_acc_max")
    left, right = fig.data
    assert list(left.y) == list(right.y) == table["parameter"].tolist()
    assert numbers(left.x) == table["importance"].tolist()
    assert numbers(right.x) == table["correlation"].fillna(0).tolist()
    texts = dict(zip(right.y, right.text, strict=True))
    assert texts["model"] == "no order"
    row = table[table["parameter"] == "on_perc"].iloc[0]
    assert texts["on_perc"] == f"{row['correlation']:+.2f}"
    assert fig.layout.xaxis.title.text == "importance" and fig.layout.xaxis2.title.text == "correlation"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda df: plot_importance(df, "val_acc_mx"), r"Unknown column 'val_acc_mx'\. Did you mean 'val_acc_max'"),
    ],
)
def test_messages(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(grid())  # type: ignore[operator]


def test_no_correlation_is_minus_zero() -> None:
    df = as_trials(
        pd.DataFrame({"a": [0, 0, 1, 1], "b": [0, 1, 0, 1], "y": [1.0, 2.0, 1.001, 1.999]}), ["a", "b"], ["y"]
    )
    _, correlations = plot_importance(df, "y").data
    assert dict(zip(correlations.y, correlations.text, strict=True))["a"] == "0.00"
