"""Tables and pictures of weight_vs_unit.md: pruning of weights and of units after training."""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from tabulate import tabulate
from trials import Run, cost_list, load_trials, study_rows, with_error

from analysis import (
    compare,
    kind_differences,
    load,
    load_history,
    sparsity_at_fall,
    sparsity_summary,
    sweeps,
    where_kinds_differ,
)
from analysis.statistics.paired_tests import holm
from analysis.statistics.significance import p_digits

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BLOG = Path(__file__).parent / "reference" / "optimal_brain_damage_sparsity.csv"
KEYS = ["dataset", "pruning", "sparsity"]
DATASETS = ["MNIST", "FashionMNIST"]
KINDS = ["weight", "unit"]
FALL = "sparsity_at_fall"
HIDDEN_SIZES_OF_BLOG = (1000, 1000, 500, 200)
# Networks that differ in width or depth only.
WIDTH, DEPTH = [(100,), (1000,)], [(100,), (100,) * 8]


def pruned_rows(folder: Path) -> pd.DataFrame:
    """Return one row for each trial, kind of pruning and sparsity, as `study_rows` keeps them."""
    return study_rows(sweeps(load_history(folder)), folder)


RUNS = {name: Run(name, rows=pruned_rows) for name in ("sparsity_sweep", "sparsity_sweep_networks")}


def blog_trials() -> pd.DataFrame:
    """Return the rows of the networks that are trained as in the blog."""
    return load_trials("sparsity_sweep")


def blog_comparison() -> pd.DataFrame:
    """Return `sparsity_summary` with the blog's numbers, and whether each is where one more run of ours may be.

    The 95% prediction interval is mean ± t std sqrt(1 + 1/n), with the 97.5% quantile t of n - 1 degrees of freedom.
    """
    df = pd.read_csv(BLOG).merge(sparsity_summary(blog_trials()), on=KEYS, suffixes=("_blog", ""))
    n = df["count"]
    for name in ("test_loss", "test_accuracy"):
        reach = stdtrit(n - 1, 0.975) * df[f"{name}_std"] * (1 + 1 / n) ** 0.5
        df[f"{name}_within"] = (df[f"{name}_blog"] - df[name]).abs() <= reach
    return df


def blog_table(dataset: str) -> str:
    """Return the blog's accuracy and loss and ours for a data set; ours are bold where the blog's is outside."""
    df = blog_comparison()
    rows = []
    for row in df[df["dataset"] == dataset].to_dict("records"):
        cells = [row["pruning"], f"{row['sparsity']:g}"]
        for name in ("test_accuracy", "test_loss"):
            ours = with_error(row[name], row[f"{name}_std"])
            cells += [f"{row[f'{name}_blog']:.4f}", ours if row[f"{name}_within"] else f"**{ours}**"]
        rows.append(cells)
    headers = ["pruning", "sparsity", "accuracy: blog", "here", "loss: blog", "here"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def blog_sentence() -> str:
    """Return how many of the blog's numbers are where one more run of ours may be."""
    df = blog_comparison()
    n, accuracies, losses = len(df), df["test_accuracy_within"].sum(), df["test_loss_within"].sum()
    return f"{accuracies} of the blog's {n} accuracies and {losses} of its {n} losses are within the interval."


def differences_by_sparsity() -> pd.DataFrame:
    """Return `kind_differences` of accuracy in the blog's network."""
    df = blog_trials()
    # At sparsity 0 both kinds are the trained network.
    return kind_differences(df[df["sparsity"] > 0], "val_acc")


def differences_table() -> str:
    """Return the difference between the two kinds of pruning at each sparsity, its interval, and p."""
    rows = [
        [
            row["dataset_name"],
            f"{row['sparsity']:g}",
            f"{row['difference']:+.4f}",
            f"{row['low']:+.4f} to {row['high']:+.4f}",
            p_digits(row["p_holm"]),
        ]
        for row in differences_by_sparsity().to_dict("records")
    ]
    headers = ["data set", "sparsity", "weight minus unit", "95% interval", "p"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def differences_sentences() -> str:
    """Return at which sparsity the two kinds of pruning first differ clearly in the blog's network, as a list."""
    return "\n".join(f"- {sentence}" for sentence in where_kinds_differ(differences_by_sparsity())["conclusion"])


def falls() -> pd.DataFrame:
    """Return the sparsity at which accuracy has fallen by one point, for each trial and kind of pruning.

    The networks come in the order of their numbers of weights, `n_weights`.
    """
    df = pd.concat([sparsity_at_fall(load_trials(name)) for name in RUNS], ignore_index=True)
    df["hidden_sizes"] = df["hidden_sizes"].map(ast.literal_eval)
    return df.assign(n_weights=df["hidden_sizes"].map(n_weights)).sort_values("n_weights", kind="stable")


def n_weights(hidden_sizes: Sequence[int]) -> int:
    """Return the number of weights of a network for MNIST."""
    return sum(n_in * n_out for n_in, n_out in pairwise([784, *hidden_sizes, 10]))


def n_parameters(hidden_sizes: Sequence[int]) -> int:
    """Return the number of weights and biases of a network for MNIST."""
    return n_weights(hidden_sizes) + sum(hidden_sizes) + 10


def network_name(hidden_sizes: Sequence[int]) -> str:
    """Return the sizes of all layers of a network for MNIST: "784-300-100-10"."""
    return "-".join(map(str, (784, *hidden_sizes, 10)))


def hidden_sizes_label(hidden_sizes: Sequence[int]) -> str:
    """Return the sizes of hidden layers: "300-100", or "8 x 100" where more than two are equal."""
    if len(hidden_sizes) > 2 and len(set(hidden_sizes)) == 1:
        return f"{len(hidden_sizes)} x {hidden_sizes[0]}"
    return "-".join(map(str, hidden_sizes))


def difference(df: pd.DataFrame, axis: str, value: Hashable, against: Hashable) -> dict[str, float]:
    """Return the mean difference of `FALL` between two values of an axis over pairs, its 95% interval, and p."""
    pair = compare(df[df[axis].isin([value, against])], axis, FALL).iloc[0]
    sign = 1 if pair["b"] == value else -1
    low, high = sorted([sign * pair["low"], sign * pair["high"]])
    return {"difference": sign * pair["difference"], "low": low, "high": high, "p": pair["p"]}


def kinds_table(dataset: str) -> str:
    """Return for each network at which sparsity accuracy has fallen by one point, by kind, and their difference.

    p has Holm's correction over the table.
    """
    df = falls()
    rows, pairs = [], []
    for sizes, part in df[df["dataset_name"] == dataset].groupby("hidden_sizes", sort=False):
        means = part.groupby("pruning")[FALL].mean()
        pairs.append(difference(part, "pruning", *KINDS))
        rows.append([network_name(sizes), *(f"{means[kind]:.3f}" for kind in KINDS)])
    headers = ["network", "weights", "units", "difference", "95% interval", "p"]
    return tabulate(with_differences(rows, pairs), headers, tablefmt="pipe", disable_numparse=True)


def with_differences(rows: Sequence[list[str]], pairs: Sequence[dict[str, float]]) -> list[list[str]]:
    """Return rows of a table with a difference, its interval, and p after Holm's correction over all rows."""
    corrected = holm(np.array([pair["p"] for pair in pairs], dtype=float))
    return [
        [*row, f"{pair['difference']:+.3f}", f"{pair['low']:+.3f} to {pair['high']:+.3f}", p_digits(p)]
        for row, pair, p in zip(rows, pairs, corrected, strict=True)
    ]


def datasets_table() -> str:
    """Return the difference between the data sets for each network and kind of pruning."""
    rows, pairs = [], []
    for (sizes, kind), part in falls().groupby(["hidden_sizes", "pruning"], sort=False):
        pairs.append(difference(part, "dataset_name", *DATASETS))
        rows.append([network_name(sizes), kind])
    headers = ["network", "pruning", "MNIST minus Fashion-MNIST", "95% interval", "p"]
    return tabulate(with_differences(rows, pairs), headers, tablefmt="pipe", disable_numparse=True)


def sizes_table() -> str:
    """Return what ten times the width, or seven more layers, change for each kind of pruning."""
    df = falls()
    rows, pairs = [], []
    for networks in (WIDTH, DEPTH):
        smaller, larger = networks
        # `compare` takes the number of weights for another axis.
        part = df[df["hidden_sizes"].isin(networks)].drop(columns="n_weights")
        for kind in KINDS:
            pairs.append(difference(part[part["pruning"] == kind], "hidden_sizes", larger, smaller))
            rows.append([f"{network_name(larger)} minus {network_name(smaller)}", kind])
    headers = ["networks", "pruning", "difference", "95% interval", "p"]
    return tabulate(with_differences(rows, pairs), headers, tablefmt="pipe", disable_numparse=True)


def compressed_sentence() -> str:
    """Return the size of the blog's network at a sparsity of 0.95 after the pruned units are removed."""
    left = [size - size * 95 // 100 for size in HIDDEN_SIZES_OF_BLOG]
    counts = f"{n_parameters(left):,} parameters of {n_parameters(HIDDEN_SIZES_OF_BLOG):,}"
    return f"At a sparsity of 0.95 the network of the blog is {network_name(left)}, with {counts}."


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    return {
        "weight_vs_unit_count": blog_sentence(),
        **{f"weight_vs_unit_blog_{name}": blog_table(name) for name in DATASETS},
        "weight_vs_unit_by_sparsity": differences_table(),
        "weight_vs_unit_differ": differences_sentences(),
        **{f"weight_vs_unit_falls_{name}": kinds_table(name) for name in DATASETS},
        "weight_vs_unit_datasets": datasets_table(),
        "weight_vs_unit_sizes": sizes_table(),
        "weight_vs_unit_compressed": compressed_sentence(),
        "weight_vs_unit_cost": cost_list(RUNS),
    }


def blog_plot(results: Path) -> Figure:
    """Return accuracy and loss over sparsity in the blog's network."""
    from analysis.plots import plot_sweeps

    return plot_sweeps(blog_trials())


def networks_plot(results: Path) -> Figure:
    """Return accuracy over sparsity in the five other networks, on MNIST."""
    from analysis.plots import plot_sweeps

    df = load_trials("sparsity_sweep_networks")
    df = df[df["dataset_name"] == "MNIST"]
    df = df.assign(hidden_sizes=df["hidden_sizes"].map(ast.literal_eval).map(hidden_sizes_label))
    return plot_sweeps(df, "val_acc", by="hidden_sizes", panel="pruning")


def learning_plot(results: Path) -> Figure:
    """Return the learning curves of the blog's network."""
    from analysis.plots import plot_learning

    return plot_learning(load_history(results / "sparsity_sweep"))


def weights_plot(results: Path) -> Figure:
    """Return the weights of the last layers of a trained network, pruned by weight, by unit, and compressed."""
    from analysis.plots import plot_networks
    from dynsparse.export.network import compressed, load_network, pruned

    trial = load(results / "sparsity_sweep").iloc[0]
    trained = load_network(results / "sparsity_sweep" / trial["trial_dir"])
    of_units = pruned(trained, "unit", 0.8)
    networks = {
        "trained": trained,
        "0.8 of the weights": pruned(trained, "weight", 0.8),
        "0.8 of the units": of_units,
        "compressed": compressed(of_units),
    }
    # The first layers are much larger.
    layers = {
        name: ([each.numpy() for each in network.weights[2:]], [each.numpy() for each in network.biases[2:]])
        for name, network in networks.items()
    }
    return plot_networks(layers, f"{trial['dataset_name']}: the last layers before and after pruning")


PICTURES: dict[str, Callable[[Path], Figure]] = {
    "weight_vs_unit_blog": blog_plot,
    "weight_vs_unit_networks": networks_plot,
    "weight_vs_unit_learning": learning_plot,
    "weight_vs_unit_weights": weights_plot,
}
