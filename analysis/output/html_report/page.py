"""`report`: the page, put together from its sections."""

import html
from datetime import datetime
from pathlib import Path
from string import Template

import pandas as pd

from analysis.frame.series import Column, column_name, with_series
from analysis.loading.experiment_file import question
from analysis.output.html_report.answers import answers
from analysis.output.html_report.comparison import compare_axes
from analysis.output.html_report.comparisons import comparisons
from analysis.output.html_report.costs import costs
from analysis.output.html_report.figures import capitalized, compressed_plotly, note
from analysis.output.html_report.learning import learning_curves
from analysis.output.html_report.matters import what_matters
from analysis.output.html_report.plots import plots
from analysis.output.html_report.results import Results, collect_results
from analysis.output.html_report.trials import all_trials, best_trials, grid, problems
from analysis.output.tables import left_out
from analysis.statistics.selection import selection_note

FILES = Path(__file__).parent
PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<nav><a href="#top">$title</a><ul>$links</ul></nav>
<main id="top">
<header>
$header
</header>
<noscript><p class="warning">The plots need JavaScript. All texts and tables are here without it.</p></noscript>
$sections
</main>
<script type="text/plain" id="plotly">$plotly</script>
<script>
$script</script>
</body>
</html>
"""
)


def report(
    df: pd.DataFrame,
    metric: Column,
    history: pd.DataFrame | None = None,
    title: str = "Experiment",
    lowest: bool | None = None,
    of: str | None = None,
) -> str:
    """Return an HTML page about the trials of a DataFrame, which needs neither a network nor a server.

    It begins with the question of the experiment and the answers. Plots, comparisons, learning curves and tables
    follow. Sections that do not apply, such as comparisons without an axis, are left out. All texts are escaped.
    Without JavaScript the page shows texts and tables.

    If all trials are sparsity sweeps or lottery tickets, the page is about the sparsities of `sweeps` or the last
    rounds of `tickets`. The best epoch of such a trial counts the trained network and pruned ones together.

    Args:
        df: one row for each trial, as returned by `load`.
        metric: the column to report on, for example val_acc_max; of sweeps a column of `sweeps`, such as val_acc.
        history: one row for each trial and epoch, as returned by `load_history`; None leaves out the learning curves.
        title: the name of the experiment.
        lowest: True if low values are better; None decides by the name: low is better for a loss or an error.
        of: "trials", "sweeps" or "tickets": what is compared; None decides by the trials.

    Raises:
        ValueError: if a column does not exist, `metric` holds no numbers, or there is no history of sweeps or tickets.

    Example:
        >>> from analysis import load_example, load_example_history
        >>> from analysis.output import report
        >>> page = report(load_example("quickstart"), "test_acc_at_best", load_example_history("quickstart"))
        >>> "At which density does growing new weights beat a static sparse network?" in page
        True
    """
    df, metric = with_series(df, metric), column_name(metric)
    results = collect_results(df, metric, history, lowest, of)
    comparisons_of_axes = compare_axes(results) if results.has_values else []
    contents = {
        "Answers": answers(results, comparisons_of_axes),
        "Plots": plots(results),
        "Comparisons": comparisons(results, comparisons_of_axes),
        "What matters": what_matters(results),
        "Learning curves": learning_curves(results),
        "Best trials": best_trials(results),
        "Trials with problems": problems(results),
        "FLOPs": costs(results),
        "All trials": all_trials(results),
    }
    shown = {name: content for name, content in contents.items() if content}
    return PAGE.substitute(
        title=html.escape(title),
        style=(FILES / "page.css").read_text(encoding="utf-8"),
        script=(FILES / "page.js").read_text(encoding="utf-8"),
        plotly=compressed_plotly(),
        links="".join(f'<li><a href="#{_anchor(name)}">{name}</a></li>' for name in shown),
        header=_header(results, title),
        sections="\n".join(
            f'<section id="{_anchor(name)}">\n<h2>{name}</h2>\n{content}\n</section>' for name, content in shown.items()
        ),
    )


def _header(results: Results, title: str) -> str:
    """Return the question, the metric, the trials and the values of the grid."""
    asked = [html.escape(line) for line in question(results.trials).splitlines()]
    name = html.escape(title)
    heading = f'<p class="kicker">{name}</p><h1>{"<br>".join(asked)}</h1>' if asked else f"<h1>{name}</h1>"
    direction = "lower" if results.lowest else "higher"
    metric = results.names.with_epoch(results.metric)
    facts = f"{capitalized(metric)}: {direction} is better. {capitalized(left_out(results.trials))}."
    warning = selection_note(results.trials, results.metric)
    return "\n".join(
        [
            heading,
            note(f"{facts} Written on {datetime.now():%Y-%m-%d at %H:%M}."),
            f'<p class="warning">{html.escape(warning)}</p>' if warning else "",
            grid(results),
        ]
    )


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
