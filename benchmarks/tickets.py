"""Time one lottery ticket on MNIST, on one thread: in dynsparse, and in two plain loops.

784-300-100-10, Adam, batches of 60: an epoch, then ten rounds that each prune a fifth, rewind to the initial weights
and train an epoch. dynsparse is also timed on the second ticket of a worker, which reuses the dense training.
"""

import argparse

import torch
from plain_ticket import PlainTicket
from tabulate import tabulate
from turns import HEADERS, rows, seconds_in_turns, write

from dynsparse.config import Config
from dynsparse.data.download import resolve_data_dir
from dynsparse.training import first_training_cache
from dynsparse.training.trainer import Trainer

ROUNDS = 10


def ours(engine, again=False):
    """Return a function that trains a whole ticket."""
    values = {
        "study": "ticket", "model": "Dense", "network": "MLP", "hidden_sizes": [300, 100], "epochs": 1,
        "prune_ratio": 1 - 0.8**ROUNDS, "prune_iter": ROUNDS, "optim_alg": "Adam", "learning_rate": 0.0012,
        "weight_decay": 0, "batch_size": 60, "test_noise": False, "engine": engine,
    }  # fmt: skip

    def train():
        if not again:
            first_training_cache.clear()
        trainer = Trainer([Config.of(values)])
        while not trainer.is_done:
            trainer.step()

    return train


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data_dir = resolve_data_dir(None)
    in_memory, loader = PlainTicket(data_dir, in_memory=True), PlainTicket(data_dir)
    sparse = "dynsparse"
    seconds = seconds_in_turns(
        {
            sparse: ours("sparse"),
            "dynsparse, the dense training remembered": ours("sparse", again=True),
            "dynsparse, torch engine": ours("torch"),
            "torch.nn.utils.prune, data in memory": lambda: in_memory.run(ROUNDS),
            "torch.nn.utils.prune, DataLoader": lambda: loader.run(ROUNDS),
        },
        options.repeats,
    )
    print(tabulate(rows(seconds, sparse), ["one ticket", *HEADERS[1:]], floatfmt=(None, ".2f", ".2f", ".2f", ".2f")))
    write(options.json, seconds)


if __name__ == "__main__":
    main()
