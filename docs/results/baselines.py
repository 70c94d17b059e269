"""Tables and pictures of baselines.md: all methods over densities, on two data sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from tabulate import tabulate
from trials import Run, cost_list, load_trials

from analysis import agg, compare, friedman, pivot

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

RUNS = {name: Run(name) for name in ("dst_baselines", "dst_baselines_wide")}
METRIC, COST = "test_acc_last", "flops_train"
DATASETS = ["MNIST", "FashionMNIST"]
# In the pictures, which have seven colours.
SHOWN = ["Dense", "SET", "RigL", "CHTs", "DSNNWeightedMag", "SNFS", "GMP"]
BLOCKS = ["dataset_name", "on_perc"]
# These follow from the method.
KEYS_OF_METHOD = ["layer_densities", "pruning_interval_steps"]
# All other methods are compared with this one, which needs no statistics.
CONTROL = "SET"
# When a method needs dense weights. Those of all other methods are sparse from the first step to the last.
DENSE_WEIGHTS = {
    **dict.fromkeys(["SNIP", "GraSP", "SynFlow"], "before training"),
    **dict.fromkeys(["GMP", "GraNet", "CHTss", "TopKAST"], "in training"),
}


def trials(name: str = "dst_baselines") -> pd.DataFrame:
    """Return the trials of a run without the keys that follow from the method."""
    return load_trials(name).drop(columns=KEYS_OF_METHOD, errors="ignore")


def without_dense(df: pd.DataFrame) -> pd.DataFrame:
    """Return all trials but those of the dense network."""
    return df[df["model"] != "Dense"]


def dense_sentence(df: pd.DataFrame) -> str:
    """Return what the dense network reaches, as a sentence."""
    dense = agg(df[df["model"] == "Dense"], "model", METRIC).iloc[0]
    return f"The dense network reaches {dense['mean']:.3f} ± {dense['std']:.3f}."


def accuracy_table(df: pd.DataFrame) -> str:
    """Return a table of mean and standard deviation; the method with the best mean over all densities is first."""
    df = without_dense(df)
    table = pivot(df, "model", "on_perc", METRIC)
    order = agg(df, "model", METRIC).sort_values("mean", ascending=False, kind="stable")["model"]
    rows = [[f"`{model}`", DENSE_WEIGHTS.get(model, "never"), *map(unbroken, table.loc[model])] for model in order]
    headers = ["`model`", "dense weights", *map(str, sorted(df["on_perc"].unique()))]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def unbroken(cell: str) -> str:
    """Return the text of a cell with no-break spaces around the sign before the standard deviation."""
    return cell.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def differences_table(df: pd.DataFrame) -> str:
    """Return the mean difference of each method from the control, with its interval and corrected p value."""
    pairs = compare(without_dense(df), "model", METRIC, against=CONTROL).sort_values("difference", ascending=False)
    rows = [
        [f"`{row['b']}`", row["difference"], f"{row['low']:+.4f} to {row['high']:+.4f}", row["p_holm"]]
        for row in pairs.to_dict("records")
    ]
    headers = ["`model`", f"difference from `{CONTROL}`", "95% interval", "p"]
    return tabulate(rows, headers, tablefmt="pipe", floatfmt=("", "+.4f", "", ".2g"))


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    df, found = trials(), {}
    for name in DATASETS:
        of_data = df[df["dataset_name"] == name]
        found[f"baselines_{name}_dense"] = dense_sentence(of_data)
        found[f"baselines_{name}"] = accuracy_table(of_data)
        found[f"baselines_{name}_differences"] = differences_table(of_data)
    wide = trials("dst_baselines_wide")
    found["baselines_wide_dense"], found["baselines_wide"] = dense_sentence(wide), accuracy_table(wide)
    found["baselines_friedman"] = friedman(without_dense(df), "model", METRIC, blocks=BLOCKS)["conclusion"][0]
    found["baselines_cost"] = cost_list(RUNS)
    return found


def ranks_plot(results: Path) -> Figure:
    """Return the plot of the mean ranks of the methods."""
    from analysis.plots import plot_critical_difference

    return plot_critical_difference(without_dense(trials()), "model", METRIC, blocks=BLOCKS)


def cost_plot(dataset: str, results: Path) -> Figure:
    """Return accuracy over operations for some methods on a data set."""
    from analysis.plots import plot_pareto

    df = trials()
    return plot_pareto(df[df["model"].isin(SHOWN) & (df["dataset_name"] == dataset)], METRIC, COST, by="model")


PICTURES: dict[str, Callable[[Path], Figure]] = {
    "baselines_ranks": ranks_plot,
    **{f"baselines_{name}": partial(cost_plot, name) for name in DATASETS},
}
