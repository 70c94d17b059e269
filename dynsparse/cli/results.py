"""The commands that print results: table, compare, failures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dynsparse.cli.parsing import (
    Command,
    Refusal,
    echo,
    filter_rows,
    folder_argument,
    load_results,
    rows_of,
    warn_of_studies,
    where_option,
)

if TYPE_CHECKING:
    import pandas as pd

# How many different errors the command `failures` prints.
MOST_TRACEBACKS = 5

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "csv"]),
    default="text",
    show_default=True,
)


@click.command(cls=Command)
@folder_argument
@click.option("--rows", required=True, help="Key, or keys with commas, for the rows.", metavar="KEY[,KEY]")
@click.option("--columns", help="Key, or keys with commas, for the columns.", metavar="KEY[,KEY]")
@click.option("--metric", required=True, help="Column of the results, for example val_acc_max.")
@where_option
@click.option(
    "--of",
    type=click.Choice(["trials", "sweeps", "rounds", "tickets"]),
    default="trials",
    show_default=True,
    help="One value per trial, per sparsity of a sweep, per round of a ticket, or per ticket (its last round).",
)
@click.option("--with-diverged", is_flag=True, help="Count trials whose loss was NaN or infinite at their end.")
@click.option(
    "--stat",
    type=click.Choice(["mean", "ci", "iqm"]),
    default="mean",
    show_default=True,
    help="Mean ± standard deviation, mean and 95% interval, or interquartile mean and interval.",
)
@format_option
@click.option("--at-epoch", type=click.IntRange(min=1), metavar="N",
              help="Compare trials by their first N epochs, also those that were stopped early.")  # fmt: skip
@click.option("--plain", is_flag=True, help="With --format latex: no bold cells and no marks.")
def table(
    folder: str,
    rows: str,
    columns: str | None,
    metric: str,
    where: str | None,
    of: str,
    with_diverged: bool,
    at_epoch: int | None,
    stat: str,
    form: str,
    plain: bool,
) -> None:
    """Print a pivot table of the results in DIR: mean ± standard deviation over trials.

    With --format csv, print numbers, one row per cell. With --format latex, the best cell of each column is bold, and a
    dagger marks the cells that do not differ clearly from it. Trials that diverged are left out and counted.
    """
    import analysis
    from analysis.statistics.selection import selection_note

    row_keys, column_keys = _keys(rows), _keys(columns)
    keys = [*row_keys, *column_keys]
    if at_epoch is not None and of != "trials":
        raise Refusal(f"--at-epoch is for --of trials, got --of {of}. Leave one of them out.")
    trials = load_results(folder, metric=metric if of == "trials" else None, at_epoch=at_epoch)
    warn_of_studies(trials, of)
    df = trials if of == "trials" else rows_of(folder, of)
    try:
        df = filter_rows(df, where)
        n_diverged = int((df["diverged"] & (df["status"] == "complete")).sum())
        if with_diverged:
            df, trials = (each.drop(columns="diverged") for each in (df, trials))
        if form == "csv":
            make = analysis.interquartile_mean if stat == "iqm" else analysis.agg
            text = analysis.format_table(make(df, keys, metric), form)
        elif form == "latex" and not plain:
            text = analysis.latex_table(df, row_keys, column_keys or None, metric, stat=stat)
        else:
            text = analysis.format_table(analysis.pivot(df, row_keys, column_keys or None, metric, stat), form)
        note = selection_note(df, metric) if of == "trials" else ""
    except ValueError as error:
        raise Refusal(str(error)) from error
    over = ", ".join(f"{name} ({n} values)" for name, n in analysis.varying(df, besides=keys).items())
    notes = [
        f"each cell is over {over}" if over else "",
        analysis.left_out(df if of == "trials" else trials),
        f"{n_diverged} of the values in the table are of trials that diverged" if with_diverged and n_diverged else "",
        note,
    ]
    _print_with_notes(text, notes, form)


def _print_with_notes(text: str, notes: Iterable[str], form: str) -> None:
    """Print a table, then its notes; to stderr unless the format is "text", so that a file has the table only."""
    echo(text.rstrip())
    for note in filter(None, notes):
        echo(note, err=form != "text")


def _keys(text: str | None) -> list[str]:
    """Return the keys of an option such as "model,on_perc"."""
    return [key.strip() for key in (text or "").split(",") if key.strip()]


# The columns that `compare` prints; --format csv has all.
COMPARED = ["axis", "a", "b", "pairs", "difference", "low", "high", "p", "p_holm", "p_equivalent"]
CONTRASTED = ["a", "b", "difference", "low", "high", "p", "p_adjusted"]


@click.command(cls=Command)
@folder_argument
@click.option("--axis", required=True, help="Key, or keys with commas, whose values are compared.", metavar="KEY[,KEY]")
@click.option("--metric", required=True, help="Column of the results, for example test_acc_at_best.")
@click.option(
    "--within",
    metavar="KEY[,KEY]",
    help="Compare within each value of these keys, with the noise of the whole grid (analysis.contrasts).",
)
@click.option("--against", metavar="VALUE", help="Compare all other values with this one only, for example SET.")
@click.option("--margin", type=float, help="Smallest difference that matters: test for equivalence, too.")
@where_option
@format_option
def compare(
    folder: str,
    axis: str,
    metric: str,
    within: str | None,
    against: str | None,
    margin: float | None,
    where: str | None,
    form: str,
) -> None:
    """Print which values of a key are better in DIR, with intervals and p values.

    Without --within, trials are compared in pairs that differ in nothing else (analysis.compare). With --format csv,
    print all columns.
    """
    import analysis
    from analysis.statistics.selection import selection_note

    axes, keys = _keys(axis), _keys(within)
    df = load_results(folder, metric=metric)
    warn_of_studies(df, "trials")
    try:
        df = filter_rows(df, where)
        if within is not None and (len(axes) > 1 or margin is not None):
            raise ValueError("--within takes one key for --axis, and no --margin.")
        if within is not None:
            found, columns = analysis.contrasts(df, axes[0], metric, within=keys, against=against), [*keys, *CONTRASTED]
        else:
            found, columns = analysis.compare(df, axes, metric, against=against, margin=margin), COMPARED
        shown = found if form == "csv" else found[[name for name in columns if name in found]]
        text = analysis.format_table(shown, form)
        note = selection_note(df, metric)
    except ValueError as error:
        raise Refusal(str(error)) from error
    sentences = [f"- {sentence}" for sentence in found["conclusion"]]
    _print_with_notes(text, [*sentences, analysis.left_out(df), note], form)


@click.command(cls=Command)
@folder_argument
def failures(folder: str) -> None:
    """List the trials in DIR that failed, did not finish or diverged, and the files that are damaged.

    For each of the first five distinct errors, print the end of its traceback and the path of the whole one.
    """
    import analysis

    df = load_results(folder)
    failed = analysis.failures(df)
    if len(failed):
        echo(analysis.format_table(failed, "text"))
    _print_tracebacks(folder, failed[failed["status"] == "error"])
    echo(analysis.left_out(df))


def _print_tracebacks(folder: str, failed: pd.DataFrame) -> None:
    from analysis.loading.tracebacks import FILE, tracebacks

    distinct = failed.drop_duplicates("error").set_index("trial_dir")["error"]
    examples = distinct.head(MOST_TRACEBACKS)
    root = folder if "://" in folder else str(Path(folder).expanduser())
    for trial, lines in tracebacks(root, examples.index).items():
        n = int((failed["error"] == examples[trial]).sum())
        count = "1 trial" if n == 1 else f"{n} trials with this error"
        echo(f"{root.rstrip('/')}/{trial}/{FILE} ({count}) ends with:")
        for line in lines:
            echo(f"    {line}")
    if len(distinct) > MOST_TRACEBACKS:
        echo(f"... and {len(distinct) - MOST_TRACEBACKS} more distinct errors")
