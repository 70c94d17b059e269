"""Tables of published.md: our accuracies beside published ones."""

from __future__ import annotations

from typing import NamedTuple

from tabulate import tabulate
from trials import Run, cost, load_trials

from analysis import agg

RUNS = {"cannistraci_hebb": Run("cannistraci_hebb")}
# Without held-out examples, val_* is measured on the test set.
METRICS = {"after the last epoch": "val_acc_last", "best epoch": "val_acc_max"}


class Published(NamedTuple):
    """A published test accuracy with its standard error."""

    accuracy: float
    error: float


# By method. The source is on the page.
ACCURACIES = {
    "SET": Published(0.9814, 0.0002),
    "RigL": Published(0.9861, 0.0001),
    "CHT": Published(0.9848, 0.0004),
    "CHTs": Published(0.9876, 0.0005),
}


def accuracy_table() -> str:
    """Return mean and standard deviation of each method, after the last epoch and in the best one, beside the paper."""
    df = load_trials("cannistraci_hebb")
    found = {name: agg(df, "model", metric).set_index("model") for name, metric in METRICS.items()}
    rows = []
    for model, published in ACCURACIES.items():
        here = [f"{each.loc[model, 'mean']:.4f} ± {each.loc[model, 'std']:.4f}" for each in found.values()]
        last = found["after the last epoch"].loc[model]
        interval = f"{last['low']:.4f} to {last['high']:.4f}"
        beside = f"{published.accuracy:.4f} ± {published.error:.4f}"
        rows.append([f"`{model}`", here[0], interval, here[1], beside, f"{last['mean'] - published.accuracy:+.4f}"])
    headers = ["`model`", *METRICS, "published", "difference"]
    headers.insert(2, "95% interval")
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def tables() -> dict[str, str]:
    """Return the tables of the page in Markdown, by the name under which it includes them."""
    return {"published": accuracy_table(), "published_cost": cost(RUNS)}
