"""The section of FLOPs: the metric over what inference and training cost."""

from functools import partial

import numpy as np
import pandas as pd

from analysis.frame.matching import cell_of_each
from analysis.frame.schema import HYPERPARAMETERS
from analysis.output.html import folded, table
from analysis.output.html_report.figures import capitalized, figure
from analysis.output.html_report.results import Results
from analysis.plots import plot_pareto
from analysis.statistics.aggregate import agg, has_value

COSTS = ("flops_inference", "flops_train")


def costs(results: Results) -> str:
    """Return a Pareto plot for each cost that is logged and varies, and a table of the settings; empty without any."""
    rows = results.rows[has_value(results.rows, results.metric)]
    logged = [name for name in COSTS if name in rows and np.isfinite(rows[name].astype(float)).any()]
    shown: list[str] = []
    for name in logged:
        is_new = all(not _is_proportional(rows[name], rows[other]) for other in shown)
        if rows[name].nunique() > 1 and is_new and name != results.metric:
            shown.append(name)
    parts = []
    for name in shown:
        by = results.lines or results.x
        draw = partial(plot_pareto, results.rows, results.metric, name, by, lowest=results.lowest)
        heading = f"{capitalized(results.names.short(results.metric))} by {results.names.short(name)}"
        parts.append(figure(heading, draw, results.names))
    return "".join(parts) + (folded("All settings with their FLOPs", _table(results, logged)) if shown else "")


def _table(results: Results, logged: list[str]) -> str:
    settings, names = results.settings()
    if settings.empty:
        return ""
    columns = settings[[*names, "mean", "low", "high", "count"]].copy()
    for name in logged:
        of_cost = agg(results.rows, names, name)
        means = dict(zip(cell_of_each(of_cost, names), of_cost["mean"], strict=True))
        columns[name] = [means[cell] for cell in cell_of_each(settings, names)]
    columns.attrs = {HYPERPARAMETERS: tuple(names)}
    columns = columns.sort_values(logged[-1], kind="stable")
    return table(columns, {str(name): results.names.header(str(name)) for name in columns})


def _is_proportional(cost: pd.Series, other: pd.Series) -> bool:
    ratio = (cost / other).astype(float)
    return bool(np.allclose(ratio, ratio.iloc[0], rtol=1e-3))
