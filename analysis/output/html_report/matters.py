"""The section on which hyperparameters matter: shares of the variance, and importances in a random forest."""

import html
import itertools
from functools import partial

import pandas as pd
import plotly.graph_objects as go

from analysis.frame.schema import hyperparameters
from analysis.frame.values import is_missing
from analysis.output.html import folded
from analysis.output.html_report.figures import figure, note
from analysis.output.html_report.results import Results
from analysis.plots import plot_importance
from analysis.plots._lib.style import short
from analysis.statistics.aggregate import NOTHING
from analysis.statistics.significance import p_digits
from analysis.statistics.variance import REST

SHOWN_TERMS = 15


def what_matters(results: Results) -> str:
    """Return the shares of the variance as bars, and the importances as a plot; empty without any."""
    if not results.axes or not results.has_values:
        return ""
    draw = partial(_forest, results)
    if results.shares is None:
        # The section of comparisons says that drawn values need other methods.
        missing = f"Exact shares of the variance are not available. {results.no_shares}"
        remark = "" if results.drawn.names else note(missing)
        return remark + figure("Importance in a random forest, and correlation", draw, results.names)
    intro = "Shares of the variance of all trials. They are exact: each combination has as many trials as the others."
    if len(results.axes) > 1:
        intro += " A term of two hyperparameters is their interaction: the effect of one depends on the other."
    return (
        note(intro)
        + _bars(results)
        + folded("Importance in a random forest, and the direction of each effect", figure("", draw, results.names))
    )


def _forest(results: Results) -> go.Figure:
    fig = plot_importance(results.rows, results.metric)
    fig.update_yaxes(ticktext=[short(results.names.full(name), 48) for name in fig.data[0].y], title_text="")
    return fig


def _bars(results: Results) -> str:
    """Return the shares as a table with a bar in each row."""
    assert results.shares is not None
    is_rest = results.shares["term"] == REST
    terms = results.shares[~is_rest].sort_values("share", ascending=False, kind="stable").head(SHOWN_TERMS)
    table = pd.concat([terms, results.shares[is_rest]])
    rows = []
    for row in table.to_dict("records"):
        share = 0.0 if is_missing(row["share"]) else max(0.0, float(row["share"]))
        p = NOTHING if is_missing(row["p"]) else p_digits(row["p"])
        rows.append(
            f"<tr><td>{html.escape(_term(str(row['term']), results))}</td>"
            f'<td class="bar"><span style="width: {100 * share:.1f}%"></span></td>'
            f'<td class="number">{percent(share)}</td><td class="number">{p}</td></tr>'
        )
    head = '<tr><th>term</th><th></th><th class="number">share</th><th class="number">p</th></tr>'
    return f'<div class="wide"><table class="plain">{head}{"".join(rows)}</table></div>'


def _term(name: str, results: Results) -> str:
    """Return a term of `anova` in plain words."""
    if name == REST:
        more = ", and interactions of three or more" if len(results.axes) > 2 else ""
        return f"the rest: noise between seeds{more}" if has_repeats(results) else "the rest"
    # The name of a hyperparameter may have a colon, too.
    axes = hyperparameters(results.rows)
    parts = next(each for n in (1, 2) for each in itertools.combinations(axes, n) if ":".join(each) == name)
    return " × ".join(map(results.names.full, parts))


def has_repeats(results: Results) -> bool:
    """Return True if the shares of the variance include one of noise, because there are several seeds."""
    return results.shares is not None and bool(results.shares["df"].iloc[-1])


def percent(share: float) -> str:
    """Return a share as text: "77%", "below 1%"."""
    return f"{100 * share:.0f}%" if share >= 0.01 or share == 0 else "below 1%"
