"""Tables and pictures of weight_vs_unit.md: pruning of weights and of units after training."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from tabulate import tabulate
from trials import Run, cost, load_trials, study_rows

from analysis import (
    compare,
    kind_differences,
    load_history,
    sparsity_at_fall,
    sparsity_summary,
    sweeps,
    where_kinds_differ,
)
from analysis.statistics.paired_tests import holm

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BLOG = Path(__file__).parent / "reference" / "optimal_brain_damage_sparsity.csv"
KEYS = ["dataset", "pruning", "sparsity"]
DATASETS = ["MNIST", "FashionMNIST"]
FALL = "sparsity_at_fall"
# The network of the blog, and the sparsity at which the picture shows its weights.
HIDDEN_SIZES, SHOWN_SPARSITY = (1000, 1000, 500, 200), 0.8


def pruned_rows(folder: Path) -> pd.DataFrame:
    """Return one row for each trial, kind of pruning and sparsity."""
    return study_rows(sweeps(load_history(folder)), folder)


RUNS = {name: Run(name, rows=pruned_rows) for name in ("sparsity_sweep", "sparsity_sweep_networks")}


def as_in_the_blog() -> pd.DataFrame:
    """Return the rows of the networks that are trained as in the blog."""
    df = load_trials("sparsity_sweep")
    return df[df["pixels"] == "unit"]


def beside_the_blog() -> pd.DataFrame:
    """Return `sparsity_summary` with the blog's numbers, and whether each is where a sixth run of ours may be.

    The interval of one more run is mean ± t std sqrt(1 + 1/n), with the 97.5% quantile t of n - 1 degrees of freedom.
    """
    df = pd.read_csv(BLOG).merge(sparsity_summary(as_in_the_blog()), on=KEYS, suffixes=("_blog", ""))
    n = df["count"]
    for name in ("test_loss", "test_accuracy"):
        reach = stdtrit(n - 1, 0.975) * df[f"{name}_std"] * (1 + 1 / n) ** 0.5
        df[f"{name}_within"] = (df[f"{name}_blog"] - df[name]).abs() <= reach
    return df


def blog_table(dataset: str) -> str:
    """Return the loss and accuracy of the blog beside ours for a data set; ours in bold where the blog's is outside."""
    df = beside_the_blog()
    rows = []
    for row in df[df["dataset"] == dataset].to_dict("records"):
        cells = [row["pruning"], f"{row['sparsity']:g}"]
        for name in ("test_accuracy", "test_loss"):
            mark = "" if row[f"{name}_within"] else "**"
            ours = f"{mark}{row[name]:.4f}{mark}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{row[f'{name}_std']:.4f}"
            cells += [f"{row[f'{name}_blog']:.4f}", ours]
        rows.append(cells)
    headers = ["pruning", "sparsity", "accuracy: blog", "here", "loss: blog", "here"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def blog_sentence() -> str:
    """Return how many of the blog's numbers are where one more run of ours may be."""
    df = beside_the_blog()
    accuracies, losses = int(df["test_accuracy_within"].sum()), int(df["test_loss_within"].sum())
    return f"{accuracies} of the blog's {len(df)} accuracies and {losses} of its {len(df)} losses are within the interval."


def falls() -> pd.DataFrame:
    """Return the sparsity at which accuracy has fallen by one point, for each trial of both runs and kind of pruning."""
    df = pd.concat([sparsity_at_fall(load_trials(name)) for name in RUNS], ignore_index=True)
    sizes = df["hidden_sizes"].map(ast.literal_eval)
    df["layers"] = sizes.map(lambda each: "-".join(map(str, (784, *each, 10))))
    df["start"] = df["pixels"].map({"unit": "as in the blog", "standard": "standard"})
    return df.assign(n_weights=sizes.map(n_weights)).sort_values(["n_weights", "start"], kind="stable")


def n_weights(hidden_sizes: Sequence[int]) -> int:
    """Return the number of weights of a network for MNIST."""
    return sum(n_in * n_out for n_in, n_out in pairwise([784, *hidden_sizes, 10]))


def falls_table(dataset: str) -> str:
    """Return the sparsity at which accuracy has fallen by one point, for each network, and what the kinds differ by."""
    rows, p_values = [], []
    df = falls()
    for (layers, start), part in df[df["dataset_name"] == dataset].groupby(["layers", "start"], sort=False):
        # `compare` subtracts a, which is unit pruning, from b.
        pair = compare(part, "pruning", FALL).iloc[0]
        means = [f"{pair[f'mean_{kind}']:.3f}" for kind in ("b", "a")]
        rows.append([layers, start, *means, f"{pair['difference']:+.3f}", f"{pair['low']:+.3f} to {pair['high']:+.3f}"])
        p_values.append(pair["p"])
    rows = [[*row, f"{p:.2g}"] for row, p in zip(rows, holm(np.array(p_values, dtype=float)), strict=True)]
    headers = ["network", "pixels and initial weights", "weights", "units", "difference", "95% interval", "p"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def answers() -> str:
    """Return what the networks of `sparsity_sweep_networks` say of data sets and widths, as a list."""
    df = falls()
    df = df[df["start"] == "standard"]
    found = []
    for kind in ("weight", "unit"):
        of_kind = df[df["pruning"] == kind]
        found.append(f"{kind} pruning, all networks: {compare(of_kind, 'dataset_name', FALL)['conclusion'][0]}")
        one_layer = of_kind[of_kind["hidden_sizes"].isin(["(100,)", "(1000,)"])]
        found.append(f"{kind} pruning, one hidden layer: {compare(one_layer, 'hidden_sizes', FALL)['conclusion'][0]}")
    return "\n".join(f"- {sentence}" for sentence in found)


def n_parameters(hidden_sizes: Sequence[int]) -> int:
    """Return the number of weights and biases of a network for MNIST."""
    return n_weights(hidden_sizes) + sum(hidden_sizes) + 10


def compressed_sentence() -> str:
    """Return how many parameters of the blog's network are left when most units are pruned and their rows removed."""
    left = [size - math.floor(0.95 * size) for size in HIDDEN_SIZES]
    sizes = "-".join(map(str, (784, *left, 10)))
    counts = f"{n_parameters(left):,} parameters of {n_parameters(HIDDEN_SIZES):,}"
    return f"At a sparsity of 0.95 the network of the blog is {sizes}, with {counts}."


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    found = {"weight_vs_unit_count": blog_sentence(), "weight_vs_unit_answers": answers()}
    for name in DATASETS:
        found[f"weight_vs_unit_blog_{name}"] = blog_table(name)
        found[f"weight_vs_unit_falls_{name}"] = falls_table(name)
    differences = where_kinds_differ(kind_differences(as_in_the_blog(), "val_acc"))
    found["weight_vs_unit_differ"] = "\n".join(f"- {sentence}" for sentence in differences["conclusion"])
    found["weight_vs_unit_compressed"] = compressed_sentence()
    found["weight_vs_unit_cost"] = cost(RUNS)
    return found


def pictures() -> dict[str, Figure]:
    """Return the figures of the page by the name of their file."""
    # plotly is needed for pictures only.
    from analysis.plots import plot_sweeps

    df = load_trials("sparsity_sweep_networks")
    networks = df[df["dataset_name"] == "MNIST"]
    return {
        "weight_vs_unit_blog": plot_sweeps(as_in_the_blog()),
        "weight_vs_unit_networks": plot_sweeps(networks, "val_acc", by="hidden_sizes", panel="pruning"),
    }


def pictures_of_folders(results: Path) -> dict[str, Figure]:
    """Return the figures that need the epochs and weights in the trial folders, by the name of their file."""
    # plotly and torch are needed for pictures only.
    from analysis.plots import plot_learning, plot_networks
    from dynsparse.export.network import compressed, load_network, pruned

    folder = results / "sparsity_sweep"
    history = load_history(folder)
    history = history[history["pixels"] == "unit"]
    trained = load_network(folder / history[history["dataset_name"] == DATASETS[0]]["trial_dir"].iloc[0])
    of_units = pruned(trained, "unit", SHOWN_SPARSITY)
    networks = {
        "trained": trained,
        f"{SHOWN_SPARSITY} of the weights": pruned(trained, "weight", SHOWN_SPARSITY),
        f"{SHOWN_SPARSITY} of the units": of_units,
        "compressed": compressed(of_units),
    }
    # The first layers are much larger.
    layers = {
        name: ([each.numpy() for each in network.weights[2:]], [each.numpy() for each in network.biases[2:]])
        for name, network in networks.items()
    }
    return {
        "weight_vs_unit_learning": plot_learning(history),
        "weight_vs_unit_weights": plot_networks(layers, "the last three layers before and after pruning"),
    }
