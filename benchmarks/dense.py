"""Time one epoch of networks with most weights active: the engines, and dense plain torch.

The training is that of `rivals.py`: SET with ReLU, SGD without weight decay, one test and one mask update in each
epoch, on one thread. Plain torch updates no masks. Times are CPU seconds. `dynsparse/engines/fastest.py` has the rule
of "auto". The test accuracies after the first and the last epoch show that what is timed also learns.
"""

import argparse
import time
from functools import partial

import torch
from rivals_trials import DROP_FRACTION, LEARNING_RATE, MOMENTUM, TorchDense
from tabulate import tabulate
from turns import HEADERS, rows, seconds_in_turns, write

from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.engines import choose_for_config
from dynsparse.training.trainer import Trainer

# Data set, units of the hidden layers, batch size, and density.
REGIMES = [
    ("digits", (100,), 512, 1.0),
    ("MNIST", (100,), 128, 1.0),
    ("MNIST", (100, 100, 100), 128, 1.0),
    ("MNIST", (300,), 128, 1.0),
    ("MNIST", (1000,), 128, 0.7),
    ("MNIST", (1000,), 128, 1.0),
    ("MNIST", (1000, 1000, 500, 200), 128, 0.5),
    ("MNIST", (1000, 1000, 500, 200), 128, 1.0),
]


def config(dataset, hidden, batch_size, density, engine):
    keys = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "weight_decay": 0.0, "test_noise": False}
    keys |= {"model": "SET", "weight_prune_perc": DROP_FRACTION, "epochs": 1000, "on_perc": density}
    return Config(dataset_name=dataset, hidden_sizes=hidden, batch_size=batch_size, engine=engine, **keys)


def keep(epoch, accuracies):
    """Train an epoch, and append its accuracy."""
    accuracies.append(epoch())


def accuracy_of_epoch(trainer):
    """Return a function that trains an epoch and returns the test accuracy."""
    return lambda: trainer.step()[0]["val_acc"]


def plain(dataset, hidden, batch_size):
    data = load_dataset(dataset)
    trial = TorchDense((data.train_x.shape[1], *hidden, 10), 1.0, data)
    trial.batch_size = batch_size
    return trial.epoch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--regimes", type=int, nargs="+", help="numbers in the list of REGIMES, from 0; default: all")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = []
    for number in options.regimes or range(len(REGIMES)):
        dataset, hidden, batch_size, density = REGIMES[number]
        epochs = {"plain torch, dense": plain(dataset, hidden, batch_size)}
        for engine in ("sparse", "packed"):
            epochs[engine] = accuracy_of_epoch(Trainer([config(*REGIMES[number], engine)]))
        accuracies = {name: [] for name in epochs}
        ways = {name: partial(keep, epochs[name], accuracies[name]) for name in epochs}
        seconds = seconds_in_turns(ways, options.repeats, clock=time.process_time)
        chosen = choose_for_config(config(*REGIMES[number], "auto")).name
        print(f"\n{dataset}, {hidden}, batches of {batch_size}, density {density:g}; auto: {chosen}")
        of_test = [[name, each[0], each[-1]] for name, each in accuracies.items()]
        print(tabulate(of_test, ["test accuracy", "first epoch", "last"], floatfmt=".3f"), end="\n\n")
        print(tabulate(rows(seconds, "plain torch, dense"), HEADERS, floatfmt=(None, ".4f", ".4f", ".4f", ".2f")))
        figures.append({"regime": REGIMES[number], "auto": chosen, "seconds": seconds})
    write(options.json, figures)


if __name__ == "__main__":
    main()
