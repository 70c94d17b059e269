"""Time one epoch of SET on MNIST in dynsparse and in other libraries, on one thread, and show that each one learns.

All train the same networks with ReLU in batches of 128 and SGD (rate 0.1, momentum 0.9, no weight decay). In each epoch
they test once on the 10,000 test images, and update the masks once if the library can. The data are in memory. Times
are CPU seconds, medians of several turns. `rivals_trials.py` has the rivals. Those that cannot be imported are left
out:

    pip install -e ".[bench,rivals]"
"""

import argparse
import importlib
import json
import os
import statistics
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from rivals_trials import RIVALS
from tabulate import tabulate
from turns import seconds_in_turns, write

from dynsparse.data import load_dataset

NETWORKS = {"small": (784, 100, 100, 100, 10), "wide": (784, 1000, 1000, 500, 200, 10)}
DENSITIES = {"small": (0.05, 0.1, 0.2, 1.0), "wide": (0.01, 0.05, 0.1, 0.2, 0.5)}
OURS = RIVALS["dynsparse"].label
HOW_TO_INSTALL = (
    'pip install -e ".[bench,rivals]"; for sparseprop: pip install pybind11 setuptools wheel && '
    "pip install --no-build-isolation sparseprop"
)
# A network that gives all images the same class has an accuracy of 0.11 at most.
LEARNS = 0.2


def use_one_thread():
    """Limit torch, OpenMP and XLA to one thread. Libraries that are imported later read the variables."""
    torch.set_num_threads(1)
    os.environ |= {"OMP_NUM_THREADS": "1", "NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


def importable(rivals):
    """Return the rivals that can be imported, and say which cannot."""
    found, missing = [], []
    for rival in rivals:
        try:
            importlib.import_module(rival.module)
            found.append(rival)
        except ImportError:
            missing.append(rival.module)
    if missing:
        print(f"Left out, because they cannot be imported: {', '.join(missing)}. To install: {HOW_TO_INSTALL}")
    return found


class Timed:
    """A trial that keeps the accuracy of each epoch."""

    def __init__(self, trial):
        self.trial, self.accuracies = trial, []

    def epoch(self):
        self.accuracies.append(self.trial.epoch())


def measure(rivals, networks, densities, repeats):
    """Return seconds and accuracies of the epochs, in one dictionary for each network, density and rival."""
    data = load_dataset("MNIST")
    figures = []
    for network in networks:
        for density in densities or DENSITIES[network]:
            print(f"{network} network at density {density:g}", flush=True)
            trials = {rival.label: Timed(rival(NETWORKS[network], density, data)) for rival in rivals}
            ways = {label: trial.epoch for label, trial in trials.items()}
            for label, seconds in seconds_in_turns(ways, repeats, clock=time.process_time).items():
                key = {"network": network, "density": density, "rival": label}
                figures.append({**key, "seconds": seconds, "accuracies": trials[label].accuracies})
    return figures


def median(figure):
    return statistics.median(figure["seconds"])


def tables(figures, check_epochs):
    """Return two tables, times and accuracies, with a row for each rival and a column for each network and density."""
    times, accuracies, ours = {}, {}, {}
    for each in figures:
        label, column = each["rival"], f"{each['network']} {each['density']:g}"
        if label == OURS:
            ours[column] = median(each)
            time_taken = f"{ours[column]:.3g} s"
        else:
            time_taken = f"{median(each) / ours[column]:.1f}x"
        n_epochs = len(each["accuracies"])
        after, last = (each["accuracies"][n - 1] for n in (min(check_epochs, n_epochs), n_epochs))
        times.setdefault(label, {})[column] = time_taken if last > LEARNS else f"{time_taken}, does not learn"
        accuracies.setdefault(label, {})[column] = f"{after:.3f}, {last:.3f}"
    return table("one epoch", times), table("test accuracy", accuracies)


def table(title, cells):
    rows = [[label, *by_column.values()] for label, by_column in cells.items()]
    return tabulate(rows, [title, *cells[OURS]], tablefmt="github", disable_numparse=True)


def draw(figures, path):
    """Draw the seconds of an epoch over the density: one panel for each network, one line for each rival."""
    networks = list(dict.fromkeys(each["network"] for each in figures))
    picture, panels = plt.subplots(1, len(networks), figsize=(4.2 * len(networks) + 1.6, 3.8), layout="constrained")
    for axes, network in zip(panels if len(networks) > 1 else [panels], networks, strict=True):
        of_network = [each for each in figures if each["network"] == network]
        for i, label in enumerate(dict.fromkeys(each["rival"] for each in figures)):
            line = [(each["density"], median(each)) for each in of_network if each["rival"] == label]
            style = {"lw": 2.8 if label == OURS else 1.4, "ls": "--" if "static" in label else "-"}
            axes.plot(*zip(*sorted(line), strict=True), marker="o", ms=4, color=f"C{i}", label=label, **style)
        densities = sorted({each["density"] for each in of_network})
        axes.set(xscale="log", yscale="log", xlabel="density", title="-".join(map(str, NETWORKS[network])))
        axes.set_xticks(densities, [f"{each:g}" for each in densities])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    picture.supylabel("CPU seconds for one epoch", fontsize="medium")
    handles, labels = axes.get_legend_handles_labels()
    # In the order of the lines' ends, which the reader sees beside the legend.
    order = sorted(range(len(handles)), key=lambda i: handles[i].get_ydata()[-1], reverse=True)
    picture.legend([handles[i] for i in order], [labels[i] for i in order], loc="outside right center", frameon=False)
    picture.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--densities", nargs="+", type=float, help="for each network; by default, each has its own")
    parser.add_argument("--rivals", nargs="+", choices=list(RIVALS)[1:], default=list(RIVALS)[1:])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--check-epochs", type=int, default=1, help="print the accuracy after so many epochs too")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--load", help="read the figures from such a file, and measure nothing")
    parser.add_argument("--plot", help="also draw the figures into this file")
    options = parser.parse_args()
    if options.load:
        figures = json.loads(Path(options.load).read_text())
    else:
        use_one_thread()
        rivals = importable(RIVALS[name] for name in ["dynsparse", *options.rivals])
        figures = measure(rivals, options.networks, options.densities, options.repeats)
    print("", *tables(figures, options.check_epochs), sep="\n\n")
    write(options.json, figures)
    if options.plot:
        draw(figures, options.plot)


if __name__ == "__main__":
    main()
