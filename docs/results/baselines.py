"""Tables and pictures of baselines.md: all methods over densities, on two data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import trials
from tabulate import tabulate

from analysis import compare, friedman, pivot
from experiments.dst_baselines import BEFORE_TRAINING, IN_TRAINING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

EXPERIMENTS = ["dst_baselines"]
METRIC, COST = "test_acc_last", "flops_train"
# These follow from the method.
FOLLOW = ["layer_densities", "pruning_interval_steps"]
BLOCKS = ["dataset_name", "on_perc"]
DATASETS = {"MNIST": "MNIST", "FashionMNIST": "Fashion-MNIST"}
# All other methods are compared with this one, which needs no statistics.
CONTROL = "SET"


def dense_phase(model: str) -> str:
    """Return when a method needs a dense network, or a value for each of its weights."""
    if model in BEFORE_TRAINING:
        return "before training"
    return "in training" if model in ["Dense", *IN_TRAINING] else "never"


def of_experiment(name: str) -> pd.DataFrame:
    """Return the trials of an experiment, without the keys that follow from the method."""
    df = trials.kept(name)
    return df.drop(columns=[key for key in FOLLOW if key in df])


def without_dense(df: pd.DataFrame) -> pd.DataFrame:
    """Return all trials but those of the dense network."""
    return df[df["model"] != "Dense"]


def accuracy_table(df: pd.DataFrame) -> str:
    """Return mean and standard deviation for each method and density, the best mean over all densities first."""
    table = pivot(without_dense(df), "model", "on_perc", METRIC)
    order = without_dense(df).groupby("model")[METRIC].mean().sort_values(ascending=False).index
    rows = [[f"`{model}`", dense_phase(model), *table.loc[model]] for model in order]
    headers = ["`model`", "dense network", *map(str, sorted(without_dense(df)["on_perc"].unique()))]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def dense_sentence(df: pd.DataFrame) -> str:
    """Return what the dense network reaches, as a sentence."""
    dense = df.loc[df["model"] == "Dense", METRIC]
    return f"The dense network reaches {dense.mean():.3f} ± {dense.std():.3f}."


def differences_table(df: pd.DataFrame) -> str:
    """Return the mean difference of each method from the control, with its interval and corrected p value."""
    rows = []
    for pair in compare(without_dense(df), "model", METRIC).to_dict("records"):
        if CONTROL in (pair["a"], pair["b"]):
            # `compare` subtracts the first from the second.
            sign, model = (1, pair["b"]) if pair["a"] == CONTROL else (-1, pair["a"])
            low, high = sorted([sign * pair["low"], sign * pair["high"]])
            rows.append([f"`{model}`", sign * pair["difference"], f"{low:+.4f} to {high:+.4f}", pair["p_holm"]])
    rows.sort(key=lambda row: -row[1])
    headers = ["`model`", f"difference from `{CONTROL}`", "95% interval", "p"]
    return tabulate(rows, headers, tablefmt="pipe", floatfmt=("", "+.4f", "", ".2g"))


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    df, found = of_experiment("dst_baselines"), {}
    for name in DATASETS:
        of_data = df[df["dataset_name"] == name]
        found[f"baselines_{name}_dense"] = dense_sentence(of_data)
        found[f"baselines_{name}"] = accuracy_table(of_data)
        found[f"baselines_{name}_differences"] = differences_table(of_data)
    found["baselines_friedman"] = friedman(without_dense(df), "model", METRIC, blocks=BLOCKS)["conclusion"][0]
    found["baselines_took"] = "\n".join(f"- {trials.took(name)}" for name in EXPERIMENTS)
    return found


def pictures() -> dict[str, Figure]:
    """Return the figures of the page by the name of their file."""
    from analysis.plots import plot_critical_difference, plot_pareto

    df = of_experiment("dst_baselines")
    found = {"baselines_ranks": plot_critical_difference(without_dense(df), "model", METRIC, blocks=BLOCKS)}
    for name, title in DATASETS.items():
        of_data = df[df["dataset_name"] == name]
        found[f"baselines_{name}"] = plot_pareto(of_data, METRIC, COST, by="model", top=8).update_layout(title=title)
    return found
