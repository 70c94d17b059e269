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

    The 95% interval and the difference are those of the accuracy after the last epoch.
    """
    df, (last, *others) = load_trials(name), METRICS[name]
    keys = [key for key in ("model", "layer_densities", "on_perc") if key in df]
    best_epochs = [agg(df, keys, metric) for metric in others]
    rows = []
    for i, row in enumerate(agg(df, keys, last).to_dict("records")):
        interval = f"{max(row['low'], 0):.4f} to {min(row['high'], 1):.4f}"
        published = ACCURACIES[name].get((row["model"], row["on_perc"]))
        of_best = [mean_and_deviation(table.iloc[i].to_dict()) for table in best_epochs]
        cells = [f"`{row['model']}`", *(row[key] for key in keys[1:]), mean_and_deviation(row), interval, *of_best]
        rows.append([*cells, *published_and_difference(published, row["mean"])])
    headers = [*(HEADERS[key] for key in keys), "last epoch", "95% interval", *(["best epoch"] * len(others))]
    return tabulate(rows, [*headers, "published", "difference"], tablefmt="pipe", disable_numparse=True)


def mean_and_deviation(row: dict[str, float]) -> str:
    """Return the mean and standard deviation of a row of `agg`."""
    return f"{row['mean']:.4f} ± {row['std']:.4f}"


def published_and_difference(published: Published | None, mean: float) -> tuple[str, str]:
    """Return a published accuracy with its error, and the difference of our mean from it; empty texts if it is None."""
    if published is None:
        return "", ""
    error = "" if published.error is None else f" ± {published.error:.4f}"
    return f"{published.accuracy:.4f}{error}", f"{mean - published.accuracy:+.4f}"


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    found = {f"published_{name}": accuracy_table(name) for name in EXPERIMENTS}
    return {**found, "published_cost": cost_list(EXPERIMENTS)}
