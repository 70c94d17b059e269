"""The commands that read results: table, compare, failures, report, browse."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Sequence
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
@click.option("--plain", is_flag=True, help="With --format latex: no bold cells and no marks.")
def table(
    folder: str,
    rows: str,
    columns: str | None,
    metric: str,
    where: str | None,
    of: str,
    with_diverged: bool,
    stat: str,
    form: str,
    plain: bool,
) -> None:
    """Print a pivot table of the results in DIR: mean ± standard deviation over trials.

    With --format csv, print numbers, one row per cell. With --format latex, the best cell of each column is bold, and a
    dagger marks those for which there is no evidence that they differ from it. Trials that diverged are left out and
    counted.
    """
    import analysis
    from analysis.statistics.selection import selection_note

    row_keys, column_keys = _keys(rows), _keys(columns)
    keys = [*row_keys, *column_keys]
    trials = load_results(folder, metric=metric if of == "trials" else None)
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
    echo(text.rstrip())
    over = analysis.varying(df, besides=keys)
    if over:
        each = ", ".join(f"{name} ({n} values)" for name, n in over.items())
        echo(f"each cell is over {each}", err=form != "text")
    echo(analysis.left_out(df if of == "trials" else trials), err=form != "text")
    if with_diverged and n_diverged:
        echo(f"{n_diverged} of the values in the table are of trials that diverged", err=form != "text")
    if note:
        echo(note, err=form != "text")


def _keys(text: str | None) -> list[str]:
    """Return the keys of an option such as "model,on_perc"."""
    return [key.strip() for key in (text or "").split(",") if key.strip()]


# What `compare` prints of its tables; --format csv has all columns.
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
@click.option("--margin", type=float, help="Smallest difference that matters: test for equivalence, too.")
@where_option
@format_option
def compare(
    folder: str, axis: str, metric: str, within: str | None, margin: float | None, where: str | None, form: str
) -> None:
    """Print which values of a key are better in DIR, and how sure that is.

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
        if keys and (len(axes) > 1 or margin is not None):
            raise ValueError("--within takes one key for --axis, and no --margin.")
        if keys:
            found, columns = analysis.contrasts(df, axes[0], metric, within=keys), [*keys, *CONTRASTED]
        else:
            found, columns = analysis.compare(df, axes, metric, margin=margin), COMPARED
        shown = found if form == "csv" else found[[name for name in columns if name in found]]
        text = analysis.format_table(shown, form)
        note = selection_note(df, metric)
    except ValueError as error:
        raise Refusal(str(error)) from error
    echo(text.rstrip())
    for sentence in found["conclusion"]:
        echo(f"- {sentence}", err=form != "text")
    echo(analysis.left_out(df), err=form != "text")
    if note:
        echo(note, err=form != "text")


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


@click.command(cls=Command)
@folder_argument
@click.option("-o", "--output", default="report.html", show_default=True, type=click.Path(), help="The file to write.")
@click.option("--metric", help="Column of the results. Default: the metric of the experiment, or val_acc_max.")
@click.option(
    "--lowest/--highest",
    default=None,
    help="Which values are better. If not given: low values of losses and errors, high values otherwise.",
)
@where_option
@click.option("--of", type=click.Choice(["trials", "sweeps", "tickets"]),
              help="One value per trial, per sparsity of a sweep, or per lottery ticket (its last round). "
              "Default: that of the study.")  # fmt: skip
@click.option("--drop", multiple=True, metavar="KEY",
              help="Leave out a hyperparameter that changes along with another one. May be repeated.")  # fmt: skip
def report(
    folder: str,
    output: str,
    metric: str | None,
    lowest: bool | None,
    where: str | None,
    of: str | None,
    drop: Sequence[str],
) -> None:
    """Write one HTML file about the results in DIR: answers, plots, comparisons, failures. It opens offline."""
    import analysis

    df = load_results(folder, metric=metric)
    path = folder if "://" in folder else Path(folder).expanduser()
    try:
        from analysis.frame.checks import check_columns
        from analysis.output import report as page
        from analysis.output.html_report.results import kind_of

        history = analysis.load_history(path)
        of = kind_of(df, history) if of is None else of
        warn_of_studies(df, of)
        if metric is None:
            df, metric = _with_own_metric(df, history, path, of)
        df = filter_rows(df, where)
        check_columns(df, drop)
        others = [name for name in drop if name not in analysis.hyperparameters(df)]
        if others:
            raise ValueError(f"--drop takes hyperparameters, got {', '.join(others)}.")
        history = history.drop(columns=list(drop), errors="ignore")
        content = page(df.drop(columns=list(drop)), metric, history, title=Path(folder).name, lowest=lowest, of=of)
    except (ImportError, ValueError) as error:
        raise Refusal(str(error)) from error
    try:
        _write(Path(output), content)
    except OSError as error:
        raise Refusal(f"{output} cannot be written: {error.strerror}") from error
    echo(f"written: {output} ({len(content) / 1e6:.1f} MB, opens in any browser)")


def _with_own_metric(df: pd.DataFrame, history: pd.DataFrame, path: str | Path, of: str) -> tuple[pd.DataFrame, str]:
    """Return the trials with the metric of their experiment, and its name; the usual one if it is unknown."""
    import analysis
    from analysis.frame.summaries import summarised

    metric = str(df.attrs.get("metric", ""))
    if of != "trials":
        make, usual = (analysis.sweeps, "val_acc") if of == "sweeps" else (analysis.tickets, "val_acc_max")
        rows = make(history)
        # A sparsity has one row: its value is no best of several epochs.
        return df, next((name for name in (metric, summarised(metric)) if name in rows), usual)
    if metric and metric not in df:
        with contextlib.suppress(ValueError):
            df = analysis.load(path, [*analysis.logged(df), summarised(metric)])
    return df, metric if metric in df else "val_acc_max"


def _write(path: Path, text: str) -> None:
    """Write a file atomically, or write to a device such as /dev/stdout. A link is replaced and not followed."""
    from dynsparse.io.atomic import write_file

    # /dev/shm holds files. Elsewhere a link may have been put there by somebody else.
    folders = Path(os.path.abspath(path)).parts[1:-1]
    if folders[:1] in (("dev",), ("proc",)) and folders[:2] != ("dev", "shm"):
        path.write_text(text, encoding="utf-8")
    else:
        write_file(path, text.encode())


@click.command(cls=Command)
@folder_argument
@click.option("--show/--no-show", default=True, help="Open the notebook in JupyterLab.")
def browse(folder: str, show: bool) -> None:
    """Write a notebook that browses the results in DIR, and open it in JupyterLab."""
    load_results(folder)
    path = Path(f"browse_{Path(folder).name}.ipynb")
    if os.path.lexists(path):
        echo(f"{path} exists and is not changed")
    else:
        try:
            from analysis.output import browse_notebook
        except ImportError as error:
            raise Refusal(str(error)) from error
        # The path is relative to the notebook, so that both can be moved or shared together.
        _write(path, browse_notebook(folder if "://" in folder else os.path.relpath(Path(folder).expanduser())))
        echo(f"written: {path}")
    if show:
        if importlib.util.find_spec("jupyterlab") is None:
            raise Refusal("JupyterLab is not installed. Install it: pip install 'dynsparse[jupyter]'.")
        os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(path)])
