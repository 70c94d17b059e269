"""Tables of published.md: our accuracies beside published ones."""

from __future__ import annotations

from typing import NamedTuple

from tabulate import tabulate
from trials import cost_list, load_trials

from analysis import agg

EXPERIMENTS = ["lenet_300_100", "cannistraci_hebb"]
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

    The difference is that of the mean after the last epoch from the published accuracy.
    """
    df, (last, *others) = load_trials(name), METRICS[name]
    keys = [key for key in ("model", "layer_densities", "on_perc") if key in df]
    best_epochs = [agg(df, keys, metric) for metric in others]
    rows = []
    for i, row in enumerate(agg(df, keys, last).to_dict("records")):
        of_best = [with_error(table["mean"][i], table["std"][i]) for table in best_epochs]
        cells = [f"`{row['model']}`", *(row[key] for key in keys[1:]), with_error(row["mean"], row["std"]), *of_best]
        published = ACCURACIES[name].get((row["model"], row["on_perc"]))
        beside = (with_error(*published), f"{row['mean'] - published.accuracy:+.4f}") if published else ("", "")
        rows.append([*cells, *beside])
    headers = [
        *(HEADERS[key] for key in keys),
        "last epoch",
        *(["best epoch"] * len(others)),
        "published",
        "difference",
    ]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def with_error(accuracy: float, error: float | None) -> str:
    """Return an accuracy with its error, if it has one, which does not break into two lines."""
    return f"{accuracy:.4f}" if error is None else f"{accuracy:.4f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{error:.4f}"


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    found = {f"published_{name}": accuracy_table(name) for name in EXPERIMENTS}
    return {**found, "published_cost": cost_list(EXPERIMENTS)}
