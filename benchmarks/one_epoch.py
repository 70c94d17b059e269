"""Time one epoch of one trial on MNIST, on one thread: the sparse engine, the torch engine and two plain loops.

The network is 784-100-100-100-10 at on_perc 0.1, with k-winners and DSNNMixedHeb, a test and a noise test. Also timed
are the sparse engine at other densities, and a wide network, 784-1000-1000-500-200-10 at on_perc 0.05, in both engines.
"""

import argparse

import torch
from plain import PlainTrial
from tabulate import tabulate
from turns import HEADERS, rows, seconds_in_turns, write

from dynsparse.config import Config
from dynsparse.data.download import resolve_data_dir
from dynsparse.training.trainer import Trainer

WIDE = (1000, 1000, 500, 200)


def trial(**values):
    """Return a function that trains one more epoch."""
    return Trainer([Config(kwinners=True, epochs=1000, **values)]).step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data_dir = resolve_data_dir(None)

    sparse = "dynsparse, sparse engine"
    small = seconds_in_turns(
        {
            sparse: trial(engine="sparse"),
            "dynsparse, torch engine": trial(engine="torch"),
            "plain torch, data in memory": PlainTrial(data_dir, in_memory=True).epoch,
            "plain torch, DataLoader": PlainTrial(data_dir).epoch,
        },
        options.repeats,
    )
    densities = seconds_in_turns(
        {f"sparse engine, on_perc={each}": trial(engine="sparse", on_perc=each) for each in (0.05, 0.1, 0.2)},
        options.repeats,
    )
    wide = seconds_in_turns(
        {f"wide, {each} engine": trial(engine=each, on_perc=0.05, hidden_sizes=WIDE) for each in ("sparse", "torch")},
        min(options.repeats, 3),
    )
    table = rows(small, sparse) + rows(densities, "sparse engine, on_perc=0.2") + rows(wide, "wide, sparse engine")
    print(tabulate(table, HEADERS, floatfmt=(None, ".3f", ".3f", ".3f", ".2f")))
    write(options.json, {"small": small, "densities": densities, "wide": wide})


if __name__ == "__main__":
    main()
