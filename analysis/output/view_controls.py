"""The widgets that choose what a browser shows: lists of values, metric, order, columns and groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ipywidgets as widgets

from analysis.output.html import text
from analysis.output.views import Choices, View, with_metric

WRAPPED = widgets.Layout(flex_flow="row wrap")


class ViewControls:
    """One widget for each part of a view. They call `on_change` with the view that a user has chosen.

    Attributes:
        filters: a list of values for each column that has one.
        metric, sort_by, descending, rows, across, curves_by: the widgets of these parts.
        columns: the columns of the table, as tags that can be dragged and removed.
        add_column: a list of the columns that can be added to them.
    """

    def __init__(self, choices: Choices, on_change: Callable[[View], None]) -> None:
        """Make the widgets; `show` gives them values before a user sees them."""
        self._on_change = on_change
        self.filters = {name: _list_of(name, values) for name, values in choices.filters.items()}
        self.metric = _one_of("metric", choices.metrics)
        self.sort_by = _one_of("sort by", choices.columns)
        self.descending = widgets.Checkbox(description="highest first", indent=False)
        self.descending.layout.width = "auto"
        self.columns = widgets.TagsInput(allowed_tags=choices.columns, allow_duplicates=False)
        self.add_column = _one_of("add a column", choices.columns)
        self.rows = _one_of("heat map: rows", choices.groups)
        self.across = _one_of("columns", choices.groups)
        self.curves_by = _one_of("curves: one for each", choices.curve_groups)
        self._single = {
            part: getattr(self, part) for part in ("metric", "sort_by", "descending", "rows", "across", "curves_by")
        }
        self._view: View | None = None
        for each in (*self.filters.values(), *self._single.values(), self.columns, self.add_column):
            each.observe(self._on_value, "value")

    def show(self, view: View) -> None:
        """Set the widgets to a view, without calling `on_change`."""
        self._view = None
        for name, choices in self.filters.items():
            choices.value = view.filters.get(name, [value for _, value in choices.options])
        for part, widget in self._single.items():
            widget.value = getattr(view, part)
        self.columns.value = list(view.columns)
        self.add_column.value = None
        self._view = view

    def above_table(self) -> list[widgets.Widget]:
        """Return the rows of widgets that stand above the table."""
        return [
            widgets.HBox([self.metric, self.sort_by, self.descending], layout=WRAPPED),
            widgets.HBox([widgets.Label("table:"), self.columns, self.add_column], layout=WRAPPED),
        ]

    def _on_value(self, change: Any) -> None:
        old = self._view
        if old is None:
            return
        if change.owner is self.metric:
            new = with_metric(old, self.metric.value)
        elif change.owner is self.add_column:
            new = replace(old, columns=tuple(dict.fromkeys([*old.columns, self.add_column.value])))
        else:
            new = self._chosen()
        self._on_change(new)

    def _chosen(self) -> View:
        chosen = {name: tuple(choices.value) for name, choices in self.filters.items()}
        filters = {name: values for name, values in chosen.items() if len(values) < len(self.filters[name].options)}
        single = {part: widget.value for part, widget in self._single.items()}
        return View(filters=filters, columns=tuple(self.columns.value), **single)


def _list_of(name: str, values: list[Any]) -> widgets.SelectMultiple:
    return widgets.SelectMultiple(
        options=[(text(value), value) for value in values],
        description=name,
        rows=min(max(len(values), 2), 6),
        style={"description_width": "initial"},
        layout=widgets.Layout(width="auto", margin="2px 12px 2px 2px"),
    )


def _one_of(name: str, options: list[str]) -> widgets.Dropdown:
    layout = widgets.Layout(width="auto", min_width="180px", margin="2px 16px 2px 2px")
    return widgets.Dropdown(options=options, description=name, style={"description_width": "initial"}, layout=layout)
