"""The section of comparisons: for each axis, a table of differences, sentences, and all numbers."""

import html
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from analysis.frame.values import is_missing, sort_key
from analysis.frame.words import unsigned_zero
from analysis.output.html import folded, table
from analysis.output.html_report.comparison import Comparison
from analysis.output.html_report.figures import note
from analysis.output.html_report.names import Names
from analysis.output.html_report.random_search import drawn_note
from analysis.output.html_report.results import Results
from analysis.output.html_report.sentences import interaction, needed, survivors
from analysis.output.html_report.studies import kinds_at_each_sparsity
from analysis.plots._lib.style import cut, labels
from analysis.statistics.contrast_sentences import contrast_sentences
from analysis.statistics.significance import LEVEL, p_text

# The most columns that fit on a printed page, rows without a scroll bar, and characters of a value.
MOST_COLUMNS, MOST_ROWS, LABEL = 6, 15, 24


def comparisons(results: Results, by_axis: list[Comparison]) -> str:
    """Return the comparisons of each axis: a table of differences, then the sentences and all numbers, folded."""
    parts = [kinds_at_each_sparsity(results)] if results.kind == "sweeps" else []
    if results.drawn.names and results.has_values:
        is_compared = bool(by_axis)
        remark = drawn_note(
            results.rows, results.drawn, results.names, results.selection_metric, is_compared=is_compared
        )
        parts.append(note(remark))
        if not is_compared:
            return "".join(parts)
    if any(each.table is not None for each in by_axis):
        parts.append(
            note(
                "Differences between two values with all else equal, ± half of the 95% interval, from the noise of the "
                f"whole grid. Bold: clear differences, with p at most {LEVEL} after correction for the whole table."
            )
        )
    elif by_axis:
        return "".join([*parts, note(f"Nothing can be compared. {by_axis[0].problem}")])
    return "\n".join(filter(None, [*parts, *(_one(results, each) for each in by_axis)]))


def _one(results: Results, comparison: Comparison) -> str:
    names = results.names
    heading = f"<h3>{html.escape(names.full(comparison.axis))}</h3>"
    rows = comparison.table
    if rows is None:
        return heading + note(f"Not compared. {comparison.problem}")
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in contrast_sentences(rows, results.metric))
    remarks = [interaction(comparison, names), survivors(comparison), needed(comparison, names)]
    return "".join(
        [
            heading,
            _matrix(rows, comparison, names),
            *(note(remark) for remark in remarks if remark),
            folded("In words", f"<ul>{items}</ul>"),
            folded("All numbers", table(rows.drop(columns="conclusion"))),
        ]
    )


def _matrix(rows: pd.DataFrame, comparison: Comparison, names: Names) -> str:
    """Return the differences as a table: a row for each pair of values, a column for each value of the other axis.

    If there would be many columns and fewer rows, rows and columns are exchanged.
    """
    within = comparison.within
    # As many decimals as give half an interval two digits.
    half = ((rows["high"] - rows["low"]) / 2).median()
    decimals = max(0, 1 - math.floor(math.log10(half))) if half > 0 else 3
    form = f"{{:+.{decimals}f}}"
    cells: dict[tuple[str, str], str] = {}
    texts, places_of = _labels([*rows["a"], *rows["b"]]), _labels(rows[within] if within else [None])
    for row in rows.to_dict("records"):
        a, b = (texts[sort_key(row[name])] for name in ("a", "b"))
        c = places_of[sort_key(row[within] if within else None)]
        cells[f"{b} − {a}", f"{names.short(within)} {c}" if within else "difference"] = _cell(row, form)
    pairs, places = (list(dict.fromkeys(key[i] for key in cells)) for i in (0, 1))
    if len(places) > MOST_COLUMNS and len(pairs) < len(places):
        pairs, places, cells = places, pairs, {(place, pair): cell for (pair, place), cell in cells.items()}
    head = "".join(f'<th class="number">{html.escape(place)}</th>' for place in places)
    body = "".join(
        f"<tr><td>{html.escape(pair)}</td>{''.join(cells.get((pair, place), '<td></td>') for place in places)}</tr>"
        for pair in pairs
    )
    size = "tall" if len(pairs) > MOST_ROWS else "wide"
    return f'<div class="{size}"><table class="matrix"><tr><th></th>{head}</tr>{body}</table></div>'


def _labels(values: Iterable[Any]) -> dict[Any, str]:
    """Return a text for each value, by its sort key: short if no two are the same then."""
    distinct = {sort_key(value): value for value in values}
    full = labels(distinct.values())
    short = [cut(text, LABEL) for text in full]
    return dict(zip(distinct, short if len(set(short)) == len(short) else full, strict=True))


def _cell(row: dict[Any, Any], form: str) -> str:
    if is_missing(row["difference"]):
        return '<td class="number">–</td>'
    kind = ("higher" if row["difference"] > 0 else "lower") if row["p_adjusted"] <= LEVEL else "unclear"
    half = form.format((row["high"] - row["low"]) / 2).lstrip("+")
    title = html.escape(f"95% interval {row['low']:.3g} to {row['high']:.3g}, {p_text(row['p_adjusted'])}")
    difference = unsigned_zero(form.format(row["difference"]))
    return f'<td class="number {kind}" title="{title}">{difference} <small>± {half}</small></td>'
