"""The plots of a view: heat map and learning curves."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.summaries import summarised
from analysis.loading.load import load_history
from analysis.output.views import View
from analysis.plots import plot_curves, plot_pivot
from analysis.statistics.ranking import is_better_low

MOST_CURVES = 12


def heat_map(shown: pd.DataFrame, view: View) -> go.Figure:
    """Return the heat map of the trials that a view shows. Raises: ValueError if there is nothing to plot."""
    return plot_pivot(shown, view.rows, view.across, view.metric)


def learning_curves(history: pd.DataFrame, view: View, names: Sequence[str], are_selected: bool) -> go.Figure:
    """Return the learning curves of some trials: the means of groups, or each curve of a few selected trials.

    Args:
        history: the rows of all trials, from `history_of`.
        view: what is shown.
        names: the trials to draw, from `names_in_history`.
        are_selected: True if these are not all trials that the view shows, but those selected in the table.

    Raises:
        ValueError: if there is nothing to plot.
    """
    by = "trial_dir" if are_selected and len(names) <= MOST_CURVES else view.curves_by
    rows = history[history["trial_dir"].isin(names)]
    return plot_curves(rows, summarised(view.metric), by, top=MOST_CURVES, lowest=is_better_low(view.metric))


def history_of(df: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the trials of one or several experiments, read from their folders.

    The same trial has the same folder name in two experiments: of several, the path is part of `trial_dir`.

    Raises:
        ValueError: if the DataFrame does not name its experiments, or one holds no trial.
        OSError: if an experiment cannot be read.
    """
    if "experiment_file_name" not in df:
        raise ValueError("Learning curves need the rows of the trials. Pass them: browse(df, history=...).")
    paths = dict.fromkeys(df["experiment_file_name"])
    parts = [load_history(path) for path in paths]
    if len(parts) > 1:
        named = zip(paths, parts, strict=True)
        parts = [part.assign(trial_dir=[f"{path}/{name}" for name in part["trial_dir"]]) for path, part in named]
    return pd.concat(parts, ignore_index=True)


def names_in_history(trials: pd.DataFrame, df: pd.DataFrame) -> list[str]:
    """Return the names that some of the trials of `df` have in its history."""
    if "experiment_file_name" not in df or df["experiment_file_name"].nunique() == 1:
        return list(trials["trial_dir"])
    return [f"{path}/{name}" for path, name in zip(trials["experiment_file_name"], trials["trial_dir"], strict=True)]
