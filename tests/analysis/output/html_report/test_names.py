"""Plain names of hyperparameters and metrics."""

import pytest

pytest.importorskip("plotly")

import plotly.graph_objects as go

from analysis.output.html_report.names import HYPERPARAMETERS, Names
from dynsparse.config import Config


@pytest.mark.parametrize(
    ("column", "name", "with_epoch"),
    [
        ("on_perc", "density", "density"),
        ("my_key", "my_key", ""),
        ("test_acc_at_best", "test accuracy", "test accuracy at the best validation epoch"),
        ("val_acc_max", "validation accuracy", "validation accuracy in the best epoch"),
        ("val_loss_min", "validation loss", "validation loss in the best epoch"),
        ("val_loss_max", "validation loss", "validation loss, highest of the epochs"),
        ("val_acc", "validation accuracy", "validation accuracy"),
        ("noise_acc_last", "noisy test accuracy", "noisy test accuracy in the last epoch"),
        ("my_acc_max", "my_acc_max", ""),
    ],
)
def test_names(column: str, name: str, with_epoch: str) -> None:
    assert Names().short(column) == name
    assert Names().full(column) == (f"{name} ({column})" if with_epoch else column)
    assert Names().with_epoch(column) == (f"{with_epoch} ({column})" if with_epoch else column)


def test_validation_is_the_test_set_if_nothing_is_held_out() -> None:
    assert Names(holds_out=False).full("val_acc_max") == "test accuracy (val_acc_max)"


def test_the_plain_names_are_of_keys_of_the_configuration() -> None:
    own = {"config/epochs": "epochs", "pruning": ""}  # a column of `load`, and one of `sweeps`
    assert set(HYPERPARAMETERS) - set(own) <= set(Config.__dataclass_fields__)


def test_a_figure_is_renamed_and_its_texts_stay_escaped() -> None:
    fig = go.Figure()
    fig.update_layout(height=500, margin={"t": 0, "b": 0}, legend_title_text="model, &lt;b&gt;")
    fig.update_xaxes(title_text="on_perc")
    fig.update_yaxes(title_text="val_acc_max")
    fig.add_annotation(text="on_perc=0.1")
    Names().rename(fig)
    assert fig.layout.xaxis.title.text == "density (on_perc)"
    assert fig.layout.yaxis.title.text == "validation accuracy (val_acc_max)"
    assert fig.layout.legend.title.text == "method, &lt;b&gt;"
    assert fig.layout.annotations[0].text == "density 0.1"
