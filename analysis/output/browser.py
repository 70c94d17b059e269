"""A browser of trials for Jupyter: linked filters, table, heat map and learning curves."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go

from analysis.frame.series import Column, column_name, with_series
from analysis.output.html import table
from analysis.output.tables import left_out, pivot, with_index_as_columns
from analysis.output.trial_table import TrialTable
from analysis.output.view_bar import CodeBox, ViewBar
from analysis.output.view_code import code_of
from analysis.output.view_controls import WRAPPED, ViewControls
from analysis.output.view_figures import MOST_CURVES, heat_map, history_of, learning_curves, names_in_history
from analysis.output.views import (
    View,
    choices_of,
    experiment_folders,
    first_view,
    fitted,
    shown_trials,
    sorted_by,
    usual_columns,
)
from analysis.statistics.ranking import best, is_better_low

PLOTLY = "application/vnd.plotly.v1+json"
# Trials that a page without a kernel shows.
N_BEST = 10


def browse(df: pd.DataFrame, metric: Column | None = None, history: pd.DataFrame | None = None) -> Browser:
    """Return widgets to browse the trials of a DataFrame. Jupyter shows them if the call is the last line of a cell.

    There is a list to select from for each hyperparameter that varies, and for `status`. A column that you added is
    not a hyperparameter: it has no list. Declare it with `as_trials(df, [*hyperparameters(df), "my_column"])` to browse
    it like the others. A metric that you computed can be browsed at once: give its name, or the Series, as `metric`.

    What is shown can be saved under a name, in the file `views.json` of the experiment, and copied as code.

    Args:
        df: one row for each trial, as returned by `load`, or a part of the rows.
        metric: the metric to start with; None takes val_acc_max, or val_r2_max, or else the first metric.
        history: one row for each trial and epoch, as returned by `load_history`; None reads it from the folders of
            the trials when curves are first drawn.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or `df` has no metric to start with.

    Example:
        >>> from analysis import load_example, load_example_history
        >>> from analysis.output import browse
        >>> browser = browse(load_example("quickstart"), history=load_example_history("quickstart"))
        >>> list(browser.filters)
        ['seed', 'model', 'on_perc', 'status']
        >>> browser.filters["model"].value = ["SET", "RigL"]
        >>> len(browser.shown)
        18
    """
    if metric is not None:
        df, metric = with_series(df, metric), column_name(metric)
    return Browser(df, metric, history)


class Browser(widgets.VBox):
    """The widgets of `browse`.

    Attributes:
        view: what is shown, as plain data.
        controls: the widgets that choose it.
        filters: those of them that list the values of each hyperparameter that varies, and of `status`.
        shown: the trials that the filters leave, in the order of the table.
        selected: the trials that are selected in the table; all shown trials if none is.
        trials: the table.
        heat_map, curves: the outputs that show the plots.
        views: the widgets that save a view and show a saved one; None if there is no folder to save it in.
        code: the widgets that show the view as code.
    """

    def __init__(self, df: pd.DataFrame, metric: str | None, history: pd.DataFrame | None) -> None:
        """Make the widgets and connect them; the arguments are those of `browse`."""
        self.df, self._history = df.reset_index(drop=True), history
        self.shown = self.selected = self.df
        self._choices = choices_of(self.df, metric)
        self.view = first_view(self.df, self._choices)
        self.controls = ViewControls(self._choices, self.show)
        self.filters = self.controls.filters
        self.count = widgets.HTML()
        self.trials = TrialTable(self._on_sort, lambda: self.code.copied())
        self.trials.without_kernel = best_trials(self.df, self.view.metric)
        self.heat_map, self.curves = widgets.Output(), widgets.Output()
        self.code = CodeBox(lambda: code_of(self.df, self.view, MOST_CURVES), self.trials.copy)
        folders = experiment_folders(self.df)
        self.views = ViewBar(Path(*folders), lambda: self.view, self._show_saved) if len(folders) == 1 else None
        self.controls.show(self.view)
        self._draw(None)
        self.trials.observe(self._on_select, "selected_rows")
        super().__init__(
            [
                widgets.HBox(list(self.filters.values()), layout=WRAPPED),
                *([self.views] if self.views else []),
                *self.controls.above_table(),
                self.count,
                self.trials,
                widgets.HBox([self.controls.rows, self.controls.across], layout=WRAPPED),
                self.heat_map,
                widgets.HBox([self.controls.curves_by], layout=WRAPPED),
                self.curves,
                self.code,
            ]
        )

    def show(self, view: View) -> None:
        """Show another view of the trials. Without a column, the table has the usual ones."""
        old, self.view = self.view, replace(view, columns=view.columns or usual_columns(self.df, view.metric))
        self.controls.show(self.view)
        self._draw(old)
        self.code.changed()
        if self.views:
            self.views.changed()

    def _show_saved(self, view: View) -> list[str]:
        found, lost = fitted(view, self.view, self._choices)
        self.show(found)
        return lost

    def _on_sort(self, place: int) -> None:
        if 0 <= place < len(self.view.columns):
            self.show(sorted_by(self.df, self.view, self.view.columns[place]))

    def _on_select(self, change: object) -> None:
        places = [place for place in self.trials.selected_rows if 0 <= place < len(self.shown)]
        self.selected = self.shown.iloc[places].reset_index(drop=True) if places else self.shown
        _draw(self.curves, self._curves)

    def _draw(self, old: View | None) -> None:
        """Draw what differs from another view; everything if there is none."""

        def differ(*parts: str) -> bool:
            return old is None or any(getattr(old, part) != getattr(self.view, part) for part in parts)

        are_other_rows = differ("filters", "sort_by", "descending")
        if are_other_rows:
            self.shown = self.selected = shown_trials(self.df, self.view)
            self.trials.selected_rows = []
        if differ("filters"):
            self.count.value = f"<b>{len(self.shown)}</b> of {len(self.df)} trials; {html.escape(left_out(self.shown))}"
        if are_other_rows or differ("columns"):
            self.trials.show(self.shown, self.view)
        if differ("filters", "metric", "rows", "across"):
            _draw(self.heat_map, lambda: heat_map(self.shown, self.view), lambda: means(self.shown, self.view))
        if are_other_rows or differ("metric", "curves_by"):
            _draw(self.curves, self._curves)

    def _curves(self) -> go.Figure:
        if self._history is None:
            self._history = history_of(self.df)
        names = names_in_history(self.selected, self.df)
        return learning_curves(self._history, self.view, names, len(self.selected) < len(self.shown))

    def _repr_mimebundle_(self, **arguments: Any) -> Any:
        """Return the widgets, and tables for pages without a kernel, such as an exported notebook."""
        bundle = super()._repr_mimebundle_(**arguments)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            shown = self.heat_map.outputs[0]["data"].get("text/html", "")
            data["text/html"] = f"<p>{self.count.value}</p>{shown}{self.trials.without_kernel}"
        return bundle


def best_trials(df: pd.DataFrame, metric: str) -> str:
    """Return the table of the best trials as HTML, the best first."""
    return f"<p>The {N_BEST} best trials:</p>" + table(best(df, metric, N_BEST, lowest=is_better_low(metric)))


def means(shown: pd.DataFrame, view: View) -> str:
    """Return the table of the means in the heat map as HTML, with the metric as its heading."""
    heading = f"<p>{html.escape(view.metric)}</p>"
    return heading + table(with_index_as_columns(pivot(shown, view.rows, view.across, view.metric)))


def _draw(output: widgets.Output, draw: Callable[[], go.Figure], instead: Callable[[], str] | None = None) -> None:
    """Show a figure, or the reason why it cannot be drawn.

    The code of plotly is in JupyterLab's extension and in no output; a figure widget would bring 5 MB each time.

    Args:
        output: where it is shown.
        draw: makes the figure, and raises a ValueError or an OSError if it cannot.
        instead: makes HTML for pages that have no plotly.
    """
    try:
        figure = draw()
    except (OSError, ValueError) as error:
        data: dict[str, Any] = {"text/plain": str(error)}
    else:
        page = instead() if instead else "<p>Open this notebook in JupyterLab to see the plot.</p>"
        data = {PLOTLY: json.loads(figure.to_json()), "text/html": page}
        # So that the page does not jump while the figure is replaced.
        output.layout.min_height = f"{figure.layout.height}px"
    output.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
