"""The HTML report: one page about an experiment, which opens in any browser without a network."""

import html
from datetime import datetime
from string import Template

import pandas as pd
from itables import options
from itables.javascript import generate_init_offline_itables_html
from plotly.offline import get_plotlyjs

from analysis.frame.checks import check_columns, check_numbers
from analysis.frame.schema import varying
from analysis.frame.series import Column, column_name, with_series
from analysis.output import report_sections as sections
from analysis.output.tables import left_out
from analysis.statistics.pairwise import MOST_VALUES
from analysis.statistics.ranking import is_better_low

PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #8884; --faint: #888; --fill: #8881; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --accent: #56b4e9; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1.2em;
  background: Canvas; color: CanvasText; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.2em; border-bottom: 1px solid var(--line); } h3 { margin: 1.6em 0 .3em; }
a { color: var(--accent); } nav a { margin-right: 1em; display: inline-block; } .note { color: var(--faint); }
.wide { overflow-x: auto; } table.plain { border-collapse: collapse; font-size: 14px; }
table.plain th, table.plain td { padding: .25em .7em; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
table.plain td.number, table.plain th.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
table.plain tr:hover { background: var(--fill); }
details { margin: .6em 0; } summary { cursor: pointer; color: var(--accent); }
div.dt-container { background: transparent !important; color: inherit !important; }
.parcoords .axis path, .parcoords .axis line { stroke: var(--faint) !important; }
</style>
<script>document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches)</script>
<script>$plotly</script>
$tables
</head>
<body>
<h1>$title</h1>
<p class="note">$subtitle</p>
<nav>$links</nav>
$sections
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
) -> str:
    """Return an HTML page about the trials of a DataFrame, which needs neither a network nor a server.

    Sections that do not apply, such as comparisons without an axis or failures without a failure, are left out. All
    texts are escaped.

    Args:
        df: one row for each trial, as returned by `load`.
        metric: the column to report on, for example val_acc_max.
        history: one row for each trial and epoch, as returned by `load_history`; None leaves out the learning curves.
        title: the heading of the page.
        lowest: True if low values are better; None decides by the name: low is better for a loss or an error.

    Raises:
        ValueError: if a column does not exist, or `metric` holds no numbers.

    Example:
        >>> from analysis import load_example, load_example_history
        >>> from analysis.output import report
        >>> page = report(load_example("quickstart"), "test_acc_at_best", load_example_history("quickstart"))
        >>> "test_acc_at_best: higher is better" in page
        True
    """
    df, metric = with_series(df, metric), column_name(metric)
    check_columns(df, [metric, "status"])
    check_numbers(df, metric)
    lowest = is_better_low(metric) if lowest is None else lowest
    axes = [name for name, n in varying(df, besides=["seed"]).items() if n <= MOST_VALUES]
    ranked = sections.by_importance(df, metric, axes)
    contents = {
        "Hyperparameters": sections.parameters(df),
        "Comparisons": sections.comparisons(df, axes, ranked, metric, lowest),
        "Importance": sections.importances(df, ranked, metric, lowest),
        "Effect of each hyperparameter": sections.effects(df, ranked, metric, lowest),
        "Learning curves": sections.learning_curves(history, ranked, metric, lowest),
        "Best trials": sections.best_trials(df, metric, lowest),
        "Failures and damaged files": sections.failed_trials(df, ranked, metric, lowest),
        "All trials": sections.all_trials(df, metric),
    }
    shown = {name: content for name, content in contents.items() if content}
    direction = "lower" if lowest else "higher"
    return PAGE.substitute(
        title=html.escape(title),
        subtitle=html.escape(f"{metric}: {direction} is better; {left_out(df)}; {datetime.now():%Y-%m-%d %H:%M}"),
        plotly=get_plotlyjs(),
        tables=generate_init_offline_itables_html(options.dt_bundle),
        links=" ".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in shown),
        sections="\n".join(f'<h2 id="{_anchor(name)}">{name}</h2>\n{content}' for name, content in shown.items()),
    )


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
