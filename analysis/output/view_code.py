"""The Python code that makes the tables and the curves of a view."""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis.frame.schema import logged
from analysis.frame.summaries import summarised
from analysis.loading.load import load_many
from analysis.output.views import View, experiment_folders, has_no_order, shown_trials
from analysis.statistics.ranking import is_better_low

OWN = "# df is the DataFrame that was passed to browse(df)."


class _Code(NamedTuple):
    """Lines of code, and the functions of `analysis` and `analysis.plots` that they call."""

    lines: list[str]
    functions: list[str]


def code_of(df: pd.DataFrame, view: View, most_curves: int) -> str:
    """Return code that makes what a view shows: `table`, `means` and, of one experiment, the learning curves `figure`.

    It begins with `load` if that gives the same trials: not if `df` is a part of them or has columns that were added,
    and not from an object store, from which it would have to download them.

    Args:
        df: the trials as they were passed to `browse`.
        view: what is shown of them.
        most_curves: the largest number of learning curves.
    """
    shown = shown_trials(df, view)
    parts = [
        _loading(df, view),
        _selection(df, view, shown),
        _tables(view, shown),
        _curves(df, view, shown, most_curves),
    ]
    functions = {name for part in parts for name in part.functions}
    imports = [
        f"from {module} import {', '.join(sorted(names))}"
        for module, names in (
            ("analysis", functions - {"plot_curves"}),
            ("analysis.plots", functions & {"plot_curves"}),
        )
        if names
    ]
    lines = [*imports, "", *(line for part in parts for line in part.lines)]
    return "\n".join(lines).lstrip("\n") + "\n"


def condition_of(filters: Mapping[str, Sequence[Any]]) -> str:
    """Return the condition of `select` that holds for the trials of which each column has one of its values.

    Example:
        >>> from analysis.output.view_code import condition_of
        >>> condition_of({"model": ("SET", "RigL"), "clip_norm": (None,), "seed": (0,)})
        "model in ['SET', 'RigL'] and clip_norm is None and seed == 0"
    """
    return " and ".join(_comparison(name, list(values)) for name, values in filters.items())


def _comparison(name: str, values: list[Any]) -> str:
    # Python reads some letters of other scripts as ASCII letters.
    is_word = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    column = name if is_word or "`" in name else f"`{name}`"
    if len(values) == 1 and values[0] is None:
        return f"{column} is None"
    if len(values) == 1 and (isinstance(values[0], str) or _is_finite(values[0])):
        return f"{column} == {values[0]!r}"
    return f"{column} in {values!r}"


def _is_finite(value: Any) -> bool:
    return isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))


def _loading(df: pd.DataFrame, view: View) -> _Code:
    """Return the call of `load` or `load_many` that gives the same trials, or a comment if none is known to."""
    paths = experiment_folders(df)
    names = [
        *view.columns,
        *view.filters,
        view.metric,
        view.sort_by,
        view.rows,
        view.across,
        view.curves_by,
        "trial_dir",
    ]
    # The metrics that `load` takes by default, then those of the DataFrame.
    for chosen in (None, logged(df)):
        if paths and _gives(paths, chosen, df[list(dict.fromkeys(names))]):
            wanted = "" if chosen is None else f", metrics=[{_listed(chosen)}]"
            if len(paths) == 1:
                return _Code([f"df = load({_quoted(paths[0])}{wanted})"], ["load"])
            return _Code([f"df = load_many([{_listed(paths)}]{wanted})"], ["load_many"])
    return _Code([OWN], [])


def _gives(paths: list[str], chosen: list[str] | None, df: pd.DataFrame) -> bool:
    """Return True if experiments have these columns and rows now."""
    try:
        loaded = load_many(paths, chosen)
    except (OSError, ValueError):
        return False
    return set(df) <= set(loaded) and loaded[list(df)].equals(df)


def _selection(df: pd.DataFrame, view: View, shown: pd.DataFrame) -> _Code:
    order = f'ascending={not view.descending}, kind="stable"'
    order += ", key=lambda column: column.astype(str)" if has_no_order(df[view.sort_by]) else ""
    if not len(shown):
        trials, functions = "df[:0]", []
    elif view.filters:
        trials, functions = f"select(df, {_quoted(condition_of(view.filters))})", ["select"]
    else:
        trials, functions = "df", []
    return _Code([f"shown = {trials}.sort_values({_quoted(view.sort_by)}, {order})"], functions)


def _tables(view: View, shown: pd.DataFrame) -> _Code:
    table = f"table = shown[[{_listed(view.columns)}]]"
    if not len(shown) or view.rows == view.across:
        return _Code([table], [])
    return _Code([table, f"means = pivot(shown, {_listed([view.rows, view.across, view.metric])})"], ["pivot"])


def _curves(df: pd.DataFrame, view: View, shown: pd.DataFrame, most: int) -> _Code:
    paths = experiment_folders(df)
    if not len(shown) or len(paths) != 1:
        return _Code([], [])
    lowest = ", lowest=True" if is_better_low(view.metric) else ""
    curves = _listed([summarised(view.metric), view.curves_by])
    lines = [
        "",
        f"history = load_history({_quoted(paths[0])})",
        'history = history[history["trial_dir"].isin(shown["trial_dir"])]',
        f"figure = plot_curves(history, {curves}, top={most}{lowest})",
    ]
    return _Code(lines, ["load_history", "plot_curves"])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_quoted, names))


def _quoted(text: str) -> str:
    """Return a text as Python code, in the quotes that a formatter would choose."""
    is_plain = text.isprintable() and not {'"', "\\"} & set(text)
    return f'"{text}"' if is_plain else repr(text)
