"""The contents of a report: its trials, the values that are compared, and which hyperparameters matter most."""

import contextlib
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.frame.checks import check_columns, check_numbers, is_numeric
from analysis.frame.matching import cell_of_each
from analysis.frame.schema import varying
from analysis.frame.suggest import unknown
from analysis.frame.values import sort_key
from analysis.frame.words import value_text
from analysis.output.html_report.names import Names
from analysis.pruning.lottery import tickets
from analysis.pruning.sparsity import sweeps
from analysis.statistics.aggregate import agg, has_value
from analysis.statistics.drawn import Drawn, drawn_hyperparameters
from analysis.statistics.importances import importance
from analysis.statistics.pairwise import MOST_VALUES
from analysis.statistics.ranking import is_better_low
from analysis.statistics.selection import holds_out, validation_metric
from analysis.statistics.variance import REST, anova

# The kinds of rows: a trial, a sparsity of a sweep, or a ticket, which is the last round of a trial.
KINDS = ("trials", "sweeps", "tickets")
# If these vary, they are drawn first, even if another hyperparameter matters more.
FIRST_X, FIRST_LINES = ("sparsity", "prune_ratio", "on_perc"), ("pruning", "init", "model")


@dataclass(frozen=True)
class Results:
    """The trials of a report, and the facts about them that its sections share.

    Args:
        kind: what a row of `rows` is, one of KINDS.
        trials: one row for each trial.
        rows: one row for each value that is compared.
        history: one row for each trial and epoch, or None.
        metric: the column of `rows` that the report is about.
        lowest: True if low values are better.
        axes: the hyperparameters that vary, without `seed` and those with too many values; the most important first.
        shares: the result of `anova`, or None.
        no_shares: why there is no `anova`.
        importances: the result of `importance` where there is no `anova`, or None.
        names: the plain names of columns.
        drawn: the drawn hyperparameters, whose values cannot be compared.
    """

    kind: str
    trials: pd.DataFrame
    rows: pd.DataFrame
    history: pd.DataFrame | None
    metric: str
    lowest: bool
    axes: list[str]
    shares: pd.DataFrame | None
    no_shares: str
    importances: pd.DataFrame | None
    names: Names
    drawn: Drawn

    @property
    def x(self) -> str | None:
        """The axis of the first plot: the density if it varies, or the most important numeric hyperparameter."""
        numbers = [name for name in self.axes if is_numeric(self.rows[name])]
        return next((name for name in [*FIRST_X, *numbers, *self.axes] if name in self.axes), None)

    @property
    def lines(self) -> str | None:
        """The lines of the first plot: the method if it varies, or the most important other hyperparameter."""
        others = [name for name in self.axes if name != self.x]
        return next((name for name in [*FIRST_LINES, *others] if name in others), None)

    @property
    def has_values(self) -> bool:
        """True if a complete trial has a finite value of the metric."""
        return bool(has_value(self.rows, self.metric).any())

    def settings(self) -> tuple[pd.DataFrame, list[str]]:
        """Return `agg` of the metric for each setting, best first, and the hyperparameters that make one.

        A setting is a combination of all hyperparameters that vary, without `seed`. Settings are ordered by
        `selection_metric`. Intervals are those of `summary`.
        """
        names = list(varying(self.rows, besides=["seed", self.metric]))
        if not names or not self.has_values:
            return pd.DataFrame(), names
        used = self.rows[has_value(self.rows, self.metric)]
        table = self.summary(used, names)
        table["chosen_by"] = agg(used, names, self.selection_metric)["mean"]
        return table.sort_values("chosen_by", ascending=self.lowest, kind="stable", ignore_index=True), names

    def summary(self, rows: pd.DataFrame, keys: str | list[str]) -> pd.DataFrame:
        """Return `agg` of the metric, with intervals that are cut off at 0 and 1 if it is an accuracy."""
        table = agg(rows, keys, self.metric)
        if self.names.is_share(self.metric):
            table[["low", "high"]] = table[["low", "high"]].clip(0.0, 1.0)
        return table

    @property
    def selection_metric(self) -> str:
        """The metric that chooses the best setting: of the validation set if the report is about the test set."""
        return validation_metric(self.rows, self.metric)

    def at_best_setting(self, *axes: str | None) -> tuple[pd.DataFrame, str]:
        """Return the rows in which all hyperparameters except `axes` have the values of the best setting, and a remark.

        A mean over other hyperparameters would hide the noise between seeds. If too few rows would be left to show each
        combination of `axes` with its noise, as in a grid of one seed, all rows and an empty remark are returned.
        """
        shown = [name for name in axes if name]
        table, names = self.settings()
        others = [name for name in names if name not in shown]
        if table.empty or not others:
            return self.rows, ""
        best = table.head(1).to_dict("records")[0]
        wanted = tuple(sort_key(best[name]) for name in others)
        rows = self.rows[[cell == wanted for cell in cell_of_each(self.rows, others)]]
        every, left = (agg(each, shown, self.metric)["count"] for each in (self.rows, rows))
        if left.median() < 2 or (left > 0).sum() <= (every > 0).sum() / 2:
            return self.rows, ""
        return rows, f"As in the best setting: {self.names.setting({name: value_text(best[name]) for name in others})}."


def collect_results(
    df: pd.DataFrame, metric: str, history: pd.DataFrame | None, lowest: bool | None, of: str | None
) -> Results:
    """Return the contents of a report.

    Args:
        df: one row for each trial.
        metric: the column that the report is about.
        history: one row for each trial and epoch, or None.
        lowest: True if low values are better; None decides by the name of the metric.
        of: one of KINDS; None decides by the study of the trials.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or there is no history of sweeps or tickets.
    """
    check_columns(df, ["status"])
    if history is not None and "trial_dir" in df and "trial_dir" in history:
        history = history[history["trial_dir"].isin(df["trial_dir"])]
    of = kind_of(df, history) if of is None else of
    rows = _rows(df, history, of)
    check_columns(rows, [metric])
    check_numbers(rows, metric)
    axes = [name for name, n in varying(rows, besides=["seed", metric]).items() if n <= MOST_VALUES]
    shares, importances, no_shares = None, None, ""
    try:
        shares = anova(rows, metric)
    except ValueError as error:
        no_shares = str(error)
        # If nothing varies, there is no importance either.
        with contextlib.suppress(ValueError):
            importances = importance(rows, metric)
    lowest = is_better_low(metric) if lowest is None else lowest
    ranked = _ranked(axes, shares, importances)
    names = Names(holds_out(df), at_most_one=not (rows[metric] > 1).any())
    drawn = drawn_hyperparameters(df, metric)
    return Results(of, df, rows, history, metric, lowest, ranked, shares, no_shares, importances, names, drawn)


def kind_of(df: pd.DataFrame, history: pd.DataFrame | None) -> str:
    """Return the kind of rows for a report: "sweeps" or "tickets" if all trials are of that study, else "trials"."""
    studies = set(df["study"].dropna()) if "study" in df else set()
    kinds = {"sweep": ("sweeps", "retrained"), "ticket": ("tickets", "round")}
    if len(studies) != 1 or history is None:
        return KINDS[0]
    kind, logged = kinds.get(studies.pop(), (KINDS[0], ""))
    # Nothing has been pruned yet: there is only the first training.
    return kind if logged in history else KINDS[0]


def _rows(df: pd.DataFrame, history: pd.DataFrame | None, of: str) -> pd.DataFrame:
    if of not in KINDS:
        raise ValueError(unknown("kind of rows", of, KINDS))
    if of == KINDS[0]:
        return df
    if history is None:
        raise ValueError(f"A report of {of} needs the history. Pass history=load_history(...).")
    return sweeps(history) if of == "sweeps" else tickets(history)


def _ranked(axes: list[str], shares: pd.DataFrame | None, importances: pd.DataFrame | None) -> list[str]:
    """Return the axes, the most important first; in their own order without `shares` and `importances`."""
    order: dict[Any, float] = {}
    if shares is not None:
        of_terms = shares[shares["term"] != REST]
        order = dict(zip(of_terms["term"], of_terms["share"], strict=True))
    elif importances is not None:
        order = dict(zip(importances["parameter"], importances["importance"], strict=True))
    return sorted(axes, key=lambda name: -order.get(name, 0.0))
