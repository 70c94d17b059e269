"""What all plots share: titles that say what is left out, backgrounds, and the import of plotly."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("plotly")

from support.plot_frames import complete, grid, history

from analysis.plots import (
    plot_axis,
    plot_critical_difference,
    plot_curves,
    plot_failures,
    plot_importance,
    plot_parallel,
    plot_performance_profile,
    plot_pivot,
    plot_sparsity,
)
from analysis.plots._lib.style import CLEAR, view, without_title

ROOT = Path(__file__).parents[3]


def test_titles_say_how_many_trials_are_shown_and_why_others_are_left_out() -> None:
    df = grid()
    # Of the 9 trials with seed 0, one is incomplete, and one is infinite.
    at_chance = plot_axis(df.assign(at_chance=df["seed"] == 0), "model", "val_acc_max").layout.title.text
    assert "22 of 27 trials shown, 7 of them at chance level; left out: 3 failed" in at_chance
    counts = "22 of 27 trials shown; left out: 3 failed, 1 incomplete, 1 without a finite val_acc_max"
    for fig in (
        plot_axis(df, "on_perc", "val_acc_max"),
        plot_pivot(df, "model", "on_perc", "val_acc_max"),
        plot_sparsity(df, "val_acc_max"),
        plot_parallel(df, "val_acc_max"),
        plot_importance(df, "val_acc_max"),
    ):
        assert counts in fig.layout.title.text.replace('<br><span style="font-size:12px">', " ").replace("</span>", "")
    assert "all 22 trials shown" in plot_axis(complete(df), "on_perc", "val_acc_max").layout.title.text
    assert "means are over kwinners (2 values), sizes (2 values), seed (3 values)" in plot_pivot(
        df, "model", "on_perc", "val_acc_max"
    ).layout.title.text.replace('</span><br><span style="font-size:12px">', " ")


def test_backgrounds_are_clear_and_a_template_changes_them() -> None:
    df = grid()
    for fig in (
        plot_axis(df, "on_perc", "val_acc_max"),
        plot_critical_difference(df, "model", "val_acc_max", blocks="on_perc"),
        plot_curves(history(), "val_acc", "model"),
        plot_failures(df, "model", "on_perc"),
        plot_importance(df, "val_acc_max"),
        plot_parallel(df, "val_acc_max"),
        plot_performance_profile(df, "model", "val_acc_max"),
        plot_pivot(df, "model", "on_perc", "val_acc_max"),
        plot_sparsity(df, "val_acc_max"),
    ):
        assert fig.layout.paper_bgcolor is None and fig.layout.plot_bgcolor is None
        assert fig.layout.template.layout.paper_bgcolor == fig.layout.template.layout.plot_bgcolor == CLEAR
        assert fig.layout.margin.t < fig.layout.height
        json.loads(fig.to_json())


def test_a_title_can_be_shown_elsewhere() -> None:
    for fig in (
        plot_axis(grid(), "on_perc", "val_acc_max"),
        plot_curves(history(), "val_acc", "model", panel="on"),
        plot_failures(grid(), "model", "on_perc"),
        plot_importance(grid(), "val_acc_max"),
    ):
        text, drawn = fig.layout.title.text, fig.layout.height - fig.layout.margin.t
        title, notes = without_title(fig)
        assert text.startswith(title) and "trials" in notes[0]
        # The title's room is gone, and the rest is as large as before.
        assert fig.layout.title.text is None and fig.layout.height - fig.layout.margin.t == drawn
        assert 0 < fig.layout.margin.t < 150


def test_an_interval_that_is_too_long_does_not_flatten_the_rest() -> None:
    table = pd.DataFrame({"low": [-50.0, 0.1], "high": [50.0, 1.2]})
    assert view(pd.Series([0.0, 1.0]), table)["range"] == pytest.approx([-0.55, 1.55])
    assert view(pd.Series([0.0, 1.0]), table[1:])["range"] == pytest.approx([-0.05, 1.25])
    assert view(pd.Series([2.0]), pd.DataFrame({"low": [np.nan], "high": [np.nan]}))["range"] == pytest.approx(
        [1.99, 2.01]
    )


def test_without_plotly_the_message_says_what_to_install() -> None:
    code = "import sys; sys.modules['plotly'] = None; import analysis; import analysis.plots"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "ImportError: analysis.plots needs plotly, which is not installed" in result.stderr
    assert "pip install 'dynsparse[jupyter]'" in result.stderr


def test_importing_analysis_does_not_import_plotly_and_plots_set_nothing_global() -> None:
    code = (
        "import sys, analysis; assert 'plotly' not in sys.modules\n"
        "import plotly.io as pio; old = pio.templates.default, list(pio.templates)\n"
        "import analysis.plots; assert (pio.templates.default, list(pio.templates)) == old\n"
        "assert not {'torch', 'ray', 'dynsparse', 'matplotlib'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
