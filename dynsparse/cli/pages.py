"""The commands that write pages about results: report and browse."""

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
    warn_of_studies,
    where_option,
)

if TYPE_CHECKING:
    import pandas as pd


@click.command(cls=Command)
@folder_argument
@click.option("-o", "--output", default="report.html", show_default=True, type=click.Path(), help="The file to write.")
@click.option(
    "--metric", help="Column of the results. Default: the metric of the experiment, or val_acc_max, or val_r2_max."
)
@click.option(
    "--lowest/--highest",
    default=None,
    help="Which values are better. If not given: low values of losses and errors, high values otherwise.",
)
@where_option
@click.option(
    "--of",
    type=click.Choice(["trials", "sweeps", "tickets"]),
    help="One value per trial, per sparsity of a sweep, or per lottery ticket (its last round). "
    "Default: that of the study.",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="KEY",
    help="Leave out a hyperparameter that changes along with another one. May be repeated.",
)
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
        rows = (analysis.sweeps if of == "sweeps" else analysis.tickets)(history)
        # Each sparsity has one row, so its value is not the best of several epochs.
        usual = ("val_acc", "val_r2") if of == "sweeps" else ("val_acc_max", "val_r2_max")
        return df, next((name for name in (metric, summarised(metric), *usual) if name in rows), usual[0])
    if metric and metric not in df:
        with contextlib.suppress(ValueError):
            df = analysis.load(path, [*analysis.logged(df), summarised(metric)])
    return df, next((name for name in (metric, "val_acc_max", "val_r2_max") if name in df), "val_acc_max")


def _write(path: Path, text: str) -> None:
    """Write a file atomically, or write to a device such as /dev/stdout. A link is replaced and not followed."""
    from dynsparse.io.atomic import write_file

    # /dev/shm holds files. In other folders, somebody else may have put a link at the path.
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
