"""The trials of a plot: those it shows, the note about the others, and the hover texts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import varying
from analysis.frame.words import plural
from analysis.plots._lib.style import escape, label, short
from analysis.statistics.aggregate import has_value
from analysis.statistics.chance import is_at_chance
from analysis.statistics.copies import copies_note
from analysis.statistics.divergence import is_diverged

HOVERED = 15


def with_finite(df: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the trials with infinite values of `metric` replaced by missing ones.

    Raises:
        ValueError: if there is no trial, no such column, or no number in it.
    """
    check_columns(df, [metric, "status", "trial_id"])
    if df.empty:
        raise ValueError("Nothing to plot: the DataFrame has no rows.")
    check_numbers(df, metric)
    return df.assign(**{metric: df[metric].replace([np.inf, -np.inf], np.nan)}).reset_index(drop=True)


def drawn(df: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the complete trials that have a value and did not diverge.

    Raises:
        ValueError: if no trial has one.
    """
    found = df[has_value(df, metric)]
    if found.empty:
        raise ValueError(f"Nothing to plot: no complete trial has a finite {metric}; {count_left_out(df, metric)}.")
    return found


def count_left_out(df: pd.DataFrame, metric: str) -> str:
    """Return the numbers of trials that a plot of the metric leaves out, as in "40 failed, 3 incomplete"."""
    is_complete, has_failed, diverged = df["status"] == "complete", df["status"] == "error", is_diverged(df)
    was_stopped = df["status"] == "stopped"
    counts = {
        "failed": has_failed,
        "stopped early": was_stopped,
        "incomplete": ~is_complete & ~has_failed & ~was_stopped,
        "diverged": diverged,
        f"without a finite {metric}": is_complete & df[metric].isna() & ~diverged,
    }
    return ", ".join(f"{int(which.sum())} {reason}" for reason, which in counts.items() if which.any())


def describe(df: pd.DataFrame, metric: str, n_other: int = 0) -> str:
    """Return the note under a title: "389 of 432 trials shown, 5 of them at chance level; left out: 40 failed".

    Args:
        df: the trials of the groups that are shown.
        metric: the column that is plotted.
        n_other: the number of trials in groups that are not shown.
    """
    total = len(df) + n_other
    is_shown = has_value(df, metric)
    n_shown, n_at_chance = int(is_shown.sum()), int((is_shown & is_at_chance(df)).sum())
    other = f"{n_other} in groups that are not shown" if n_other else ""
    reasons = ", ".join(part for part in (count_left_out(df, metric), other) if part)
    trials = plural(total, "trial")
    shown = f"{n_shown} of {trials} shown" if reasons else f"all {trials} shown" if total != 1 else f"{trials} shown"
    shown += f", {n_at_chance} of them at chance level" if n_at_chance else ""
    shown += f"; {copies}" if (copies := copies_note(df[is_shown])) else ""
    return f"{shown}; left out: {reasons}" if reasons else shown


def averaged_over(df: pd.DataFrame, besides: Sequence[str]) -> str:
    """Return the note "means are over hebbian_grow (2 values), seed (3 values)", or "" if nothing else varies."""
    found = [f"{name} ({n} values)" for name, n in varying(df, besides).items()]
    return f"means are over {', '.join(found)}" if found else ""


def hover(df: pd.DataFrame) -> list[str]:
    """Return a hover text for each trial: its id, and its values of the hyperparameters that vary in `df`."""
    names = list(varying(df))
    lines = [
        [f"{short(name)}: {short(label(value), 60)}" for name, value in zip(names[:HOVERED], values, strict=True)]
        for values in zip(*(df[name] for name in names[:HOVERED]), strict=True)
    ] or [[] for _ in range(len(df))]
    more = [f"... and {len(names) - HOVERED} more"] if len(names) > HOVERED else []
    return [
        "<br>".join([f"<b>trial_id: {escape(trial)}</b>", *own, *more])
        for trial, own in zip(df["trial_id"], lines, strict=True)
    ]
