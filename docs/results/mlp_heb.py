"""Tables and pictures of mlp_heb.md: the 2019 notebook "mlp_heb eval2" beside the same grid, trained again."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact
from tabulate import tabulate
from trials import Run, cost_list, load_trials, with_error, with_interval

from analysis import compare, contrasts, survivorship

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

REFERENCE = Path(__file__).parent / "reference"
# Trials in a cell of the table of failures.
CELL = 12
METRIC = "val_acc_max"
# Of the grouped rows.
METRICS = [METRIC, "noise_acc_max"]
AXES = ["hebbian_prune_perc", "weight_prune_perc"]
# The grid of the notebook.
GRIDS = {
    "mlp_heb_legacy": Run("mlp_heb_legacy", may_fail=True),
    "mlp_heb": Run("mlp_heb"),
    "mlp_heb_dense_uniform": Run("mlp_heb", {"weight_init": "dense_uniform"}),
}
RUNS = {**GRIDS, "mlp_heb_mistakes": Run("mlp_heb_mistakes")}
# The notebook's filters, as the values that they select.
FILTERS = {
    "all": {},
    "low_sparsity": {"on_perc": 0.2},
    "avg_sparsity": {"on_perc": 0.1},
    "high_sparsity": {"on_perc": 0.05},
    "no_magnitude": {"weight_prune_perc": 0.0},
    "no_hebbian": {"hebbian_prune_perc": 0.0},
    "no_magnitude+low_sparsity": {"weight_prune_perc": 0.0, "on_perc": 0.2},
}


class Question(NamedTuple):
    """A question of the notebook: an axis and the two values that answer it."""

    words: str
    axis: str
    value: Any
    against: Any


QUESTIONS = [
    Question("Do k-winners help?", "kwinners", True, False),
    Question("Is a higher density better?", "on_perc", 0.2, 0.05),
    Question("Does Hebbian growth help?", "hebbian_grow", True, False),
    Question("Does Hebbian pruning help?", "hebbian_prune_perc", 0.5, 0.0),
    Question("Does magnitude pruning help?", "weight_prune_perc", 0.5, 0.0),
]


def survivors() -> pd.DataFrame:
    """Return the trials under the rules of 2019 that the notebook keeps: those with all 30 epochs."""
    df = load_trials("mlp_heb_legacy")
    return df[df["status"] == "complete"]


def our_mean(df: pd.DataFrame, values: dict[str, Any], metric: str) -> dict[str, float]:
    """Return the mean of a metric over the rows with the given values, with its standard deviation and count."""
    for name, value in values.items():
        df = df[df[name] == value]
    return {"here_mean": df[metric].mean(), "here_std": df[metric].std(), "here_count": len(df)}


def with_agreement(df: pd.DataFrame, table: list[str]) -> pd.DataFrame:
    """Add the column `agrees`: True if both means are within two standard errors of their difference.

    It is NA where one of them has no trial. Where a standard deviation is missing, because there is a single trial, the
    root mean square of our deviations in the same table stands for it. The notebook prints three decimals, so half of
    the last one is allowed in addition.

    Args:
        df: a row for each mean, with `mean`, `std` and `count` of the notebook, and `here_mean` and so on.
        table: the columns that tell the tables apart.
    """
    spread = df.groupby(table)["here_std"].transform(lambda std: np.sqrt((std**2).mean()))
    ours, theirs = (df[name].fillna(spread) ** 2 for name in ("here_std", "std"))
    error = np.sqrt(ours / df["here_count"] + theirs / df["count"])
    close = (df["here_mean"] - df["mean"]).abs() <= 2 * error + 0.0005
    return df.assign(agrees=close.astype("boolean").where(df["here_mean"].notna() & df["mean"].notna()))


def grouped() -> pd.DataFrame:
    """Return the notebook's 74 grouped rows for both metrics, with our means, and whether they agree."""
    df, rows = survivors(), []
    for row in pd.read_csv(REFERENCE / "mlp_heb_eval2_groupby.csv").to_dict("records"):
        text = str(row["group_value"])
        value = text == "True" if text in ("True", "False") else float(text)
        for metric in METRICS:
            keys = {name: row[name] for name in ("filter", "group_by", "group_value", "count")}
            means = {"metric": metric, "mean": row[f"{metric}_mean"], "std": row[f"{metric}_std"]}
            here = our_mean(df, {**FILTERS[row["filter"]], row["group_by"]: value}, metric)
            rows.append({**keys, "value": value, **means, **here})
    return with_agreement(pd.DataFrame(rows), ["filter", "group_by", "metric"])


def grouped_table(rows: pd.DataFrame) -> str:
    """Return the grouped rows: mean, standard deviation and count in the notebook and here."""
    lines = []
    of_metrics = [rows[rows["metric"] == metric].to_dict("records") for metric in METRICS]
    for found in zip(*of_metrics, strict=True):
        row = found[0]
        cells = [row["filter"], f"`{row['group_by']}`", row["group_value"], row["count"], row["here_count"]]
        for each in found:
            ours = with_error(each["here_mean"], each["here_std"], 3)
            cells += [with_error(each["mean"], each["std"], 3), marked(ours, each["agrees"])]
        lines.append(cells)
    headers = ["trials", "by", "value", "n: 2019", "n: here"]
    headers += ["accuracy: 2019", "here", "with noise: 2019", "here"]
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True)


def marked(text: str, agrees: bool | None) -> str:
    """Return a text in bold if it does not agree with the notebook."""
    return text if pd.isna(agrees) or agrees else f"**{text}**"


def pivot_cells() -> pd.DataFrame:
    """Return the 246 cells of the notebook's pivot tables, with our means, and whether they agree.

    The notebook does not print the counts of the cells; ours stand for them.
    """
    df, rows = survivors(), []
    cells = pd.read_csv(REFERENCE / "mlp_heb_eval2_pivots.csv", keep_default_na=False)
    for row in cells.to_dict("records"):
        values = {**FILTERS[row["filter"]], **{name: float(row[name]) for name in AXES}}
        if row["kwinners"]:
            values["kwinners"] = row["kwinners"] == "True"
        mean, std = (float(row[f"{METRIC}_{name}"] or "nan") for name in ("mean", "std"))
        here = our_mean(df, values, METRIC)
        rows.append({**row, "mean": mean, "std": std, "count": here["here_count"], **here})
    return with_agreement(pd.DataFrame(rows), ["filter", "kwinners"])


def pivot_tables(cells: pd.DataFrame) -> str:
    """Return the pivot tables in the notebook's order, each cell with the notebook's mean and ours."""
    parts = []
    for (name, kwinners), found in cells.groupby(["filter", "kwinners"], sort=False):
        columns = sorted(found["weight_prune_perc"].unique())
        rows = []
        for value, line in found.groupby("hebbian_prune_perc"):
            texts = line.set_index("weight_prune_perc").apply(cell_text, axis=1)
            rows.append([value, *(texts.get(column, "–") for column in columns)])
        headers = ["`hebbian_prune_perc` \\ `weight_prune_perc`", *columns]
        title = f"**{name}**" + (f", `kwinners={kwinners}`" if kwinners else "")
        parts.append(f"{title}\n\n{tabulate(rows, headers, tablefmt='pipe', disable_numparse=True)}")
    return "\n\n".join(parts)


def cell_text(row: pd.Series) -> str:
    """Return the notebook's mean and ours, which is in bold if they do not agree."""
    ours = marked(with_error(row["here_mean"], None, 3), row["agrees"])
    return f"{with_error(row['mean'], None, 3)} / {ours}"


def counts_sentence(rows: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Return how many means are within two standard errors."""
    found = []
    for metric, words in zip(METRICS, ("accuracies", "accuracies with noise"), strict=True):
        agrees = rows.loc[rows["metric"] == metric, "agrees"]
        found.append(f"{agrees.sum()} of {agrees.count()} grouped {words}")
    found.append(
        f"{cells['agrees'].sum()} of the {cells['agrees'].count()} cells of pivot tables that have trials in both"
    )
    return f"Within two standard errors of the difference: {', '.join(found[:-1])}, and {found[-1]}."


def failures_table() -> str:
    """Return the failures of 12 trials for each density, Hebbian fraction and growth: the notebook's and ours."""
    df = load_trials("mlp_heb_legacy")
    keys = ["on_perc", "hebbian_grow", "hebbian_prune_perc"]
    here = (df["status"] == "error").groupby([df[name] for name in keys]).sum()
    there = pd.read_csv(REFERENCE / "mlp_heb_eval2_failures.csv").set_index(keys)["failed"]
    columns = sorted(df["hebbian_prune_perc"].unique())
    p_values = [
        fisher_exact([[failed, CELL - failed], [there.get(place, 0), CELL - there.get(place, 0)]]).pvalue
        for place, failed in here.items()
    ]
    rows = []
    for density, grow in sorted({(density, grow) for density, grow, _ in here.index}):
        places = [(density, grow, value) for value in columns]
        rows.append([density, grow, *(f"{there.get(place, 0)} / {here.get(place, 0)}" for place in places)])
    table = tabulate(rows, ["`on_perc`", "`hebbian_grow`", *columns], tablefmt="pipe", disable_numparse=True)
    total = f"In total, {there.sum()} in 2019 and {here.sum()} here, of {len(df)} trials."
    lowest = f"The lowest p of Fisher's exact test over the {len(p_values)} cells is {min(p_values):.2g}."
    return f"{table}\n\n{total} {lowest}"


def difference_of_means(rows: pd.DataFrame, question: Question, prefix: str = "") -> str:
    """Return the difference between the means of all surviving trials with two values, and two standard errors.

    Args:
        rows: the result of `grouped`.
        question: the axis and its values.
        prefix: "" for the means of the notebook, "here_" for ours.
    """
    rows = rows[(rows["filter"] == "all") & (rows["group_by"] == question.axis) & (rows["metric"] == METRIC)]
    rows = pd.concat([rows[rows["value"] == value] for value in (question.value, question.against)])
    means, deviations, counts = (rows[f"{prefix}{name}"] for name in ("mean", "std", "count"))
    error = math.sqrt((deviations**2 / counts).sum())
    return f"{means.iloc[0] - means.iloc[1]:+.4f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{2 * error:.4f}"


def paired_difference(df: pd.DataFrame, question: Question) -> str:
    """Return the mean difference between the two values of a question over pairs of trials, with its 95% interval."""
    pairs = compare(df, question.axis, METRIC, against=question.against)
    pair = pairs[pairs["b"] == question.value].iloc[0]
    return with_interval(pair["difference"], pair["low"], pair["high"])


def questions_table(rows: pd.DataFrame) -> str:
    """Return the five differences: in the notebook, under the rules of 2019, and under the corrected ones.

    Args:
        rows: the result of `grouped`.
    """
    # Under the rules of 2019 each trial has a seed of its own, so that no pair has the same one.
    runs = [load_trials(name).drop(columns="seed", errors="ignore") for name in GRIDS]
    lines = []
    for question in QUESTIONS:
        about = f"{question.words} `{question.axis}`: {question.value} against {question.against}"
        means = [difference_of_means(rows, question, prefix) for prefix in ("", "here_")]
        lines.append([about, *means, *(paired_difference(df, question) for df in runs)])
    headers = ["question", "notebook: means", "2019 rules: means", "2019 rules: pairs"]
    headers += ["corrected: pairs", "corrected, weights as in 2019: pairs"]
    return tabulate(lines, headers, tablefmt="pipe", disable_numparse=True)


def verdicts() -> str:
    """Return what `compare` and `contrasts` say of the five questions under the corrected rules, as a list."""
    df = load_trials("mlp_heb")
    lines = []
    for question in QUESTIONS:
        part = df[df[question.axis].isin([question.value, question.against])]
        for function in (compare, contrasts):
            sentence = function(part, question.axis, METRIC)["conclusion"][0]
            lines.append(f"- {question.words} `{function.__name__}`: {sentence}")
    return "\n".join(lines)


def mistakes_table() -> str:
    """Return the differences of four questions for the corrected rules, and for each mistake alone.

    Those of growth are given for each density, because their sign depends on it.
    """
    df, rows = load_trials("mlp_heb_mistakes"), []
    density, growth, *others = QUESTIONS[1:]
    values = sorted(df["on_perc"].unique())
    for model in df["model"].unique():
        part = df[df["model"] == model]
        of_growth = [paired_difference(part[part["on_perc"] == value], growth) for value in values]
        of_others = [paired_difference(part, each) for each in others]
        # The name of a function in an experiment file comes after the name of the file.
        name = model.rsplit(":", 1)[-1]
        rows.append([f"`{name}`", paired_difference(part, density), *of_growth, *of_others])
    headers = ["`model`", f"`{density.axis}`", *(f"`{growth.axis}` at {value}" for value in values)]
    headers += [f"`{each.axis}`" for each in others]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def survivors_table() -> str:
    """Return the means with and without growth under the rules of 2019, with three treatments of failed trials."""
    df, rows = load_trials("mlp_heb_legacy").drop(columns="seed"), []
    for value, part in df.groupby("on_perc"):
        for row in survivorship(part, "hebbian_grow", METRIC).to_dict("records"):
            means = [row[f"mean_{name}"] for name in ("complete", "balanced", "failed_as_worst")]
            cells = [value, row["hebbian_grow"], row["n"], row["failed"], row["n_balanced"]]
            rows.append([*cells, *(with_error(mean, None, 3) for mean in means)])
    headers = ["`on_perc`", "`hebbian_grow`", "complete", "failed", "balanced"]
    headers += ["mean of the complete", "of the balanced", "failed as worst"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    rows, cells = grouped(), pivot_cells()
    return {
        "mlp_heb_counts": counts_sentence(rows, cells),
        "mlp_heb_grouped": grouped_table(rows),
        "mlp_heb_pivots": pivot_tables(cells),
        "mlp_heb_failures": failures_table(),
        "mlp_heb_questions": questions_table(rows),
        "mlp_heb_verdicts": verdicts(),
        "mlp_heb_survivors": survivors_table(),
        "mlp_heb_mistakes": mistakes_table(),
        "mlp_heb_cost": cost_list(RUNS),
    }


def axis_plot(axis: str, results: Path) -> Figure:
    """Return accuracy over the values of an axis by density, under the corrected rules."""
    from analysis.plots import plot_axis

    return plot_axis(load_trials("mlp_heb"), axis, METRIC, by="on_perc")


PICTURES: dict[str, Callable[[Path], Figure]] = {f"mlp_heb_{axis}": partial(axis_plot, axis) for axis in AXES}
