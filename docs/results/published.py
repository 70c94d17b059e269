"""Tables of published.md: our accuracies beside published ones."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from tabulate import tabulate
from trials import Run, cost_list, load_trials, with_error, with_interval

from analysis import agg, contrasts, pivot

RUNS = {name: Run(name) for name in ("lenet_300_100", "cannistraci_hebb", "batch_norm_mlp")}
# cannistraci_hebb holds no examples out, so val_* is measured on the test set.
METRICS = {"lenet_300_100": ["test_acc_last"], "cannistraci_hebb": ["val_acc_last", "val_acc_max"]}
HEADERS = {"model": "`model`", "layer_densities": "`layer_densities`", "on_perc": "density"}


class Published(NamedTuple):
    """A published test accuracy, with the error that its source gives: a standard error or a standard deviation."""

    accuracy: float
    error: float | None = None


# By method and density. published.md names the sources.
ACCURACIES = {
    "lenet_300_100": {
        ("Dense", 1.0): Published(0.9869, 0.0001),
        ("SparseModel", 0.1): Published(0.9794, 0.0009),
        ("SparseModel", 0.05): Published(0.9668, 0.0003),
        ("SparseModel", 0.01): Published(0.4949, 0.0589),
        ("SET", 0.1): Published(0.9839, 0.0004),
        ("SET", 0.05): Published(0.9814),
        ("SET", 0.01): Published(0.9580, 0.0005),
        ("DeepR", 0.1): Published(0.9819, 0.0005),
        ("DeepR", 0.05): Published(0.9806, 0.0005),
        ("DeepR", 0.01): Published(0.9400, 0.0001),
        ("SNFS", 0.1): Published(0.9867, 0.0003),
        ("SNFS", 0.05): Published(0.9853, 0.0003),
        ("SNFS", 0.01): Published(0.9753, 0.0005),
        ("SNIP", 0.05): Published(0.9840),
        ("SNIP", 0.02): Published(0.9760),
    },
    "cannistraci_hebb": {
        ("SET", 0.01): Published(0.9814, 0.0002),
        ("RigL", 0.01): Published(0.9861, 0.0001),
        ("GraNet", 0.01): Published(0.9881, 0.0000),
        ("CHT", 0.01): Published(0.9848, 0.0004),
        ("CHTs", 0.01): Published(0.9876, 0.0005),
    },
}


def accuracy_table(name: str) -> str:
    """Return mean and standard deviation of each method and density of a run, beside the published accuracy.

    The difference is that of the mean after the last epoch from the published accuracy, with the 95% interval of our
    mean.
    """
    df, (last, *others) = load_trials(name), METRICS[name]
    keys = [key for key in ("model", "layer_densities", "on_perc") if key in df]
    best_epochs = [agg(df, keys, metric) for metric in others]
    rows = []
    for i, row in enumerate(agg(df, keys, last).to_dict("records")):
        of_best = [with_error(table["mean"][i], table["std"][i]) for table in best_epochs]
        cells = [f"`{row['model']}`", *(row[key] for key in keys[1:]), with_error(row["mean"], row["std"]), *of_best]
        published = ACCURACIES[name].get((row["model"], row["on_perc"]))
        beside = (with_error(*published), difference_from(row, published)) if published else ("", "")
        rows.append([*cells, *beside])
    headers = [
        *(HEADERS[key] for key in keys),
        "last epoch",
        *(["best epoch"] * len(others)),
        "published",
        "difference (95% interval)",
    ]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def difference_from(row: dict[Hashable, Any], published: Published) -> str:
    """Return how far a row of `agg` is from a published accuracy, with the 95% interval of the mean."""
    return with_interval(*(row[name] - published.accuracy for name in ("mean", "low", "high")))


def batch_norm_table() -> str:
    """Return the accuracy of each method over densities in the network with batch norm: mean and standard deviation."""
    df = load_trials("batch_norm_mlp")
    table = pivot(df[df["model"] != "Dense"], ["model", "layer_densities"], "on_perc", "test_acc_last")
    rows = [[f"`{model}`", densities, *cells] for (model, densities), *cells in table.itertuples()]
    headers = ["`model`", "`layer_densities`", *map(str, table.columns)]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def batch_norm_differences() -> str:
    """Return how far each method is above static masks, with 95% intervals of a linear model of the grid."""
    df = load_trials("batch_norm_mlp")
    keys = ["layer_densities", "on_perc"]
    found = contrasts(df[df["model"] != "Dense"], "model", "test_acc_last", within=keys, against="SparseModel")
    found["text"] = [with_interval(*row) for row in found[["difference", "low", "high"]].itertuples(index=False)]
    wide = found.pivot(index=["layer_densities", "b"], columns="on_perc", values="text")
    rows = [[f"`{model}`", densities, *cells] for (densities, model), *cells in wide.itertuples()]
    headers = ["`model`", "`layer_densities`", *map(str, wide.columns)]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def batch_norm_sentence() -> str:
    """Return the accuracy of the dense network with batch norm."""
    df = load_trials("batch_norm_mlp")
    [dense] = agg(df[df["model"] == "Dense"], "model", "test_acc_last").to_dict("records")
    return f"The dense network has {with_error(dense['mean'], dense['std'])}."


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    return {
        **{f"published_{name}": accuracy_table(name) for name in METRICS},
        "published_batch_norm_mlp": batch_norm_table(),
        "published_batch_norm_differences": batch_norm_differences(),
        "published_batch_norm_dense": batch_norm_sentence(),
        "published_cost": cost_list(RUNS),
    }
