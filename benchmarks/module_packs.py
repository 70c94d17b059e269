"""Time training steps of torch modules in packs, on one thread: one call for all trials, and each trial alone.

The rule of the module engine for a CPU, `MOST_MULTIPLICATIONS`, comes from here. CPU seconds, in turns. The losses of
the first and the last step, on the same batch, show that both ways learn.
"""

import argparse
import math
import statistics
import time

import torch
from tabulate import tabulate
from torch import nn
from turns import seconds_in_turns, write

from dynsparse.config import Config
from dynsparse.engines import stacked_modules
from dynsparse.nn.modules import MODULES
from dynsparse.training.trainer import Trainer


def small_conv(settings):
    """Build a network of two convolutions for images of 8 x 8."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, settings.num_classes)),
    )


MODULES["small_conv"] = small_conv
# Network, data set and batch size.
CASES = [
    ("ResidualMLP", "digits", 32),
    ("small_conv", "digits", 32),
    ("small_conv", "digits", 128),
    ("LeNet5", "MNIST", 32),
    ("LeNet5", "MNIST", 128),
]


def step_of(configs):
    """Return the engine of a pack, and a function that trains one step on the same batch."""
    trainer = Trainer(configs)
    engine, (images, labels) = trainer.engine, trainer.splits.train
    index, rate = trainer.splits.order(1)[:, : trainer.plan.batch_size], torch.full((len(configs),), 0.01)
    x, y = images[0][index], labels[0][index]
    return engine, lambda: engine.train_batch(x, y, epoch=1, rate=rate)


def compare(network, dataset, batch, n_trials, repeats):
    """Return a row of the table, and the seconds of both ways."""
    keys = {"network": network, "dataset_name": dataset, "batch_size": batch, "model": "SET", "test_noise": False}
    configs = [Config(**keys, seed=seed) for seed in range(n_trials)]
    engine, together = step_of(configs)
    alone = [step_of([config])[1] for config in configs]
    losses = {"alone": [], "pack": []}
    assert n_trials == 1 or engine.one_by_one is None, engine.one_by_one
    ways = {
        "alone": lambda: losses["alone"].append(sum(float(step().loss) for step in alone)),
        "pack": lambda: losses["pack"].append(float(together().loss.sum())),
    }
    seconds = seconds_in_turns(ways, repeats, clock=time.process_time)
    ratios = [pack / each for pack, each in zip(seconds["pack"], seconds["alone"], strict=True)]
    per_trial = [1e3 * statistics.median(seconds[name]) / n_trials for name in ways]
    least = min(seconds["pack"]) / min(seconds["alone"])
    layers = zip(engine.shapes, engine.plan.network.positions, strict=True)
    millions = batch * sum(math.prod(shape) * n for shape, n in layers) / 1e6
    per_example = [losses[name][place] / n_trials / batch for name in losses for place in (0, -1)]
    return [network, batch, millions, n_trials, *per_trial, statistics.median(ratios), least, *per_example], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stacked_modules.MOST_MULTIPLICATIONS = math.inf
    rows, figures = [], {}
    for case in CASES:
        for n_trials in options.trials:
            row, figures[f"{case}, {n_trials}"] = compare(*case, n_trials, options.repeats)
            rows.append(row)
    headers = ["network", "batch", "10^6 mult.", "trials", "alone ms/trial", "pack", "median ratio", "ratio of minima"]
    headers += ["first loss alone", "last", "first loss of the pack", "last"]
    print(tabulate(rows, headers, floatfmt=("", "", ".1f", "", *[".2f"] * 8)))
    write(options.json, figures)


if __name__ == "__main__":
    main()
