"""A browser of trials for Jupyter: linked filters, table, heat map and learning curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go
from itables.widget import ITable

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.matching import values_of
from analysis.frame.schema import logged, varying
from analysis.frame.series import Column, column_name, with_series
from analysis.frame.summaries import SUMMARIES
from analysis.frame.values import is_missing, n_values, sort_key
from analysis.loading.load import load_history
from analysis.output.html import table, text, with_texts
from analysis.output.tables import left_out, pivot
from analysis.plots import plot_curves, plot_pivot
from analysis.statistics.ranking import best, is_better_low

# A column with more values has no list to select from; search for it in the table.
MOST_CHOICES = 40
MOST_CURVES = 12


def browse(df: pd.DataFrame, metric: Column | None = None, history: pd.DataFrame | None = None) -> Browser:
    """Return widgets to browse the trials of a DataFrame. Jupyter shows them if the call is the last line of a cell.

    There is a list to select from for each hyperparameter that varies, and for `status`. A column that you added is
    not a hyperparameter: it has no list and is not in the table. Declare it with
    `as_trials(df, [*hyperparameters(df), "my_column"])` to browse it like the others. A metric that you computed can
    be browsed at once: give its name, or the Series, as `metric`.

    Args:
        df: one row for each trial, as returned by `load`, or a part of the rows.
        metric: the metric to start with; None takes val_acc_max or else the first metric.
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
        filters: a list of values for each hyperparameter that varies, and for `status`.
        shown: the trials that the filters leave, in the order of the table.
        selected: the trials that are selected in the table; all shown trials if none is.
        trials: the table.
    """

    def __init__(self, df: pd.DataFrame, metric: str | None, history: pd.DataFrame | None) -> None:
        """Make the widgets and connect them; the arguments are those of `browse`."""
        metrics = [f"{name}{end}" for name in logged(df) for end in SUMMARIES]
        usual = [name for name in ("val_acc_max", *metrics) if name in df]
        if metric is None and not usual:
            raise ValueError("The DataFrame has no metric. Name a column of numbers: browse(df, metric='my_column').")
        self.df, self._history = df.reset_index(drop=True), history
        self.shown = self.selected = self.df
        chosen = metric if metric is not None else usual[0]
        check_columns(df, [chosen, "status", "trial_dir"])
        check_numbers(df, chosen)
        several = list(varying(df))
        self.filters = {
            name: _choices(name, values_of(df[name]))
            for name in [*several, "status"]
            if n_values(df[name]) <= MOST_CHOICES
        }
        keys = [name for name in several if name in self.filters]
        self.metric = _one_of("metric", list(dict.fromkeys([chosen, *usual])), chosen)
        # The heat map shows means over the seeds, not one row for each seed.
        first = [name for name in keys if name != "seed"] or keys or ["status"]
        self.rows = _one_of("rows", keys or ["status"], first[-1])
        self.columns = _one_of("columns", keys or ["status"], first[0])
        self.curves_by = _one_of("curves by", [*keys, "trial_dir"], first[0] if keys else "trial_dir")
        self.count = widgets.HTML()
        self.trials = ITable(self._table(), select=True, showIndex=False, allow_html=False, maxBytes=0)
        self.heat_map, self.curves = widgets.VBox(), widgets.VBox()

        for each in (*self.filters.values(), self.metric):
            each.observe(self._on_filter, "value")
        for each in (self.rows, self.columns):
            each.observe(self._draw_heat_map, "value")
        self.curves_by.observe(self._draw_curves, "value")
        self.trials.observe(self._on_select, "selected_rows")
        self._on_filter()
        wrapped = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [
                widgets.HBox(list(self.filters.values()), layout=wrapped),
                widgets.HBox([self.metric, self.rows, self.columns, self.curves_by], layout=wrapped),
                self.count,
                self.trials,
                self.heat_map,
                self.curves,
            ]
        )

    def _on_filter(self, change: object = None) -> None:
        holds = pd.Series(True, index=self.df.index)
        for name, choices in self.filters.items():
            wanted = {sort_key(value) for value in choices.value}
            if len(wanted) < len(choices.options):
                holds &= self.df[name].map(lambda value, wanted=wanted: sort_key(value) in wanted)
        self.shown = self.selected = self.df[holds].reset_index(drop=True)
        self.count.value = f"<b>{len(self.shown)}</b> of {len(self.df)} trials; {left_out(self.shown)}"
        self.trials.selected_rows = []
        self.trials.update(self._table())
        self._draw_heat_map()
        self._draw_curves()

    def _on_select(self, change: object = None) -> None:
        places = list(self.trials.selected_rows)
        self.selected = self.shown.iloc[places].reset_index(drop=True) if places else self.shown
        self._draw_curves()

    def _table(self) -> pd.DataFrame:
        """Return the table of the shown trials, the best first, with the columns that vary."""
        self.shown = self.shown.sort_values(
            self.metric.value, ascending=is_better_low(self.metric.value), ignore_index=True
        )
        names = [self.metric.value, *varying(self.df), "status", "epochs", "trial_dir"]
        return with_texts(self.shown[list(dict.fromkeys(name for name in names if name in self.shown))])

    def _draw_heat_map(self, change: object = None) -> None:
        self.heat_map.children = [
            _figure(lambda: plot_pivot(self.shown, self.rows.value, self.columns.value, self.metric.value))
        ]

    def _draw_curves(self, change: object = None) -> None:
        self.curves.children = [_figure(self._curves)]

    def _curves(self) -> go.Figure:
        if self._history is None:
            self._history = self._read_history()
        metric = next((self.metric.value.removesuffix(end) for end in SUMMARIES if self.metric.value.endswith(end)), "")
        chosen = self.selected if len(self.selected) < len(self.shown) else self.shown
        history = self._history[self._history["trial_dir"].isin(self._names(chosen))]
        by = "trial_dir" if len(chosen) < len(self.shown) and len(chosen) <= MOST_CURVES else self.curves_by.value
        lowest = is_better_low(self.metric.value)
        return plot_curves(history, metric or self.metric.value, by, top=MOST_CURVES, lowest=lowest)

    def _read_history(self) -> pd.DataFrame:
        paths = dict.fromkeys(self.df["experiment_file_name"])
        parts = [load_history(path) for path in paths]
        if len(parts) > 1:
            # The same trial has the same folder name in both experiments.
            named = zip(paths, parts, strict=True)
            parts = [part.assign(trial_dir=[f"{path}/{name}" for name in part["trial_dir"]]) for path, part in named]
        return pd.concat(parts, ignore_index=True)

    def _names(self, trials: pd.DataFrame) -> list[str]:
        """Return the names of the trials in the history."""
        if "experiment_file_name" not in self.df or self.df["experiment_file_name"].nunique() == 1:
            return list(trials["trial_dir"])
        return [
            f"{path}/{name}" for path, name in zip(trials["experiment_file_name"], trials["trial_dir"], strict=True)
        ]

    def _repr_mimebundle_(self, **arguments: Any) -> Any:
        """Return the widgets, and tables for pages without a kernel, such as an exported notebook."""
        bundle = super()._repr_mimebundle_(**arguments)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = static(self.df, self.metric.value, self.rows.value, self.columns.value)
        return bundle


def static(df: pd.DataFrame, metric: str, rows: str, columns: str) -> str:
    """Return the pivot table and the best trials as HTML, for pages without widgets."""
    tables = [best(df, metric, 10, lowest=is_better_low(metric))]
    if rows != columns:
        tables.insert(0, pivot(df, rows, columns, metric).reset_index())
    return f"<p>{metric}; {left_out(df)}</p>" + "".join(map(table, tables))


def _choices(name: str, values: list[Any]) -> widgets.SelectMultiple:
    return widgets.SelectMultiple(
        # NaN is not equal to itself, so it could not be selected.
        options=[(text(value), None if is_missing(value) else value) for value in values],
        value=[None if is_missing(value) else value for value in values],
        description=name,
        rows=min(max(len(values), 2), 6),
        style={"description_width": "initial"},
        layout=widgets.Layout(width="auto", margin="2px 12px 2px 2px"),
    )


def _one_of(name: str, options: list[str], value: str) -> widgets.Dropdown:
    return widgets.Dropdown(options=options, value=value, description=name)


def _figure(draw: Callable[[], go.Figure]) -> widgets.Widget:
    """Return a figure as a widget, or the reason why it cannot be drawn."""
    try:
        return go.FigureWidget(draw())
    except ValueError as error:
        return widgets.Label(str(error))
