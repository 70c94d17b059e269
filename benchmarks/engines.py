"""Time one epoch of a trial in the sparse and in the torch engine: plain, with batch norm, dropout, SNFS, 2019 rules.

Each way trains SET (or SNFS) with ReLU on MNIST, on one thread. Times are CPU seconds of an epoch with its tests and
mask update, medians of several turns. The accuracy is that on the test images after the first epoch. SNFS and the rules
of 2019 are computed by the torch engine only; their ratio is to the plain trial in the sparse engine.
"""

import argparse
import statistics
import time

import torch
from tabulate import tabulate
from turns import seconds_in_turns, write

from dynsparse.config import Config
from dynsparse.training.trainer import Trainer

NETWORKS = [("3 x 100", (100, 100, 100), 0.05), ("3 x 100", (100, 100, 100), 0.2),
            ("1000-1000-500-200", (1000, 1000, 500, 200), 0.05)]  # fmt: skip
BOTH = {
    "plain": {},
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": 0.2},
    "batch norm, dropout": {"batch_norm": True, "dropout": 0.2},
}
TORCH_ONLY = {"SNFS": {"model": "SNFS"}, "rules of 2019": {"rules": "legacy_2019", "model": "DSNNMixedHeb"}}


class Trial:
    """A trial, of which each call of `step` trains one more epoch."""

    def __init__(self, engine, hidden_sizes, on_perc, values):
        keys = {"model": "SET", "test_noise": False, "epochs": 1000, "engine": engine, "on_perc": on_perc, **values}
        self._trainer = Trainer([Config.of({"hidden_sizes": hidden_sizes, **keys})])
        self.first_accuracy = None

    def step(self):
        (row,) = self._trainer.step()
        if self.first_accuracy is None:
            self.first_accuracy = row["val_acc"]


def measure(hidden_sizes, on_perc, repeats):
    """Return the CPU seconds of each way and engine, and the accuracy after the first epoch."""
    trials = {(name, e): Trial(e, hidden_sizes, on_perc, v) for name, v in BOTH.items() for e in ("sparse", "torch")}
    trials |= {(name, "torch"): Trial("torch", hidden_sizes, on_perc, v) for name, v in TORCH_ONLY.items()}
    ways = {way: trial.step for way, trial in trials.items()}
    seconds = seconds_in_turns(ways, repeats, clock=time.process_time)
    return {way: (statistics.median(times), trials[way].first_accuracy) for way, times in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, found = [], []
    for name, hidden_sizes, on_perc in NETWORKS:
        measured = measure(
            hidden_sizes, on_perc, options.repeats if max(hidden_sizes) < 500 else min(options.repeats, 3)
        )
        for (what, engine), (taken, accuracy) in measured.items():
            found.append([name, on_perc, what, engine, taken, accuracy])
            if engine == "torch":
                sparse, sparse_accuracy = measured.get((what, "sparse"), (measured["plain", "sparse"][0], None))
                own = sparse if sparse_accuracy else None
                rows.append([name, on_perc, what, own, taken, taken / sparse, sparse_accuracy, accuracy])
    headers = ["network", "on_perc", "trial", "sparse s", "torch s", "ratio", "sparse val_acc", "torch val_acc"]
    print(tabulate(rows, headers, floatfmt=("", "g", "", ".3f", ".2f", ".1f", ".4f", ".4f"), tablefmt="github"))
    write(options.json, found)


if __name__ == "__main__":
    main()
