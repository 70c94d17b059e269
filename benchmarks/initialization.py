"""Accuracy after the first epochs for each weight initialization, beside masked layers in plain torch.

Trains networks that are wide, deep or very sparse on MNIST (or another data set) with SET, seeds 0 to 2, and prints a
Markdown table. The two columns in plain torch train with a fixed mask of the same density: with torch's own
initialization, and with the same weights divided by the square root of the density.

    DYNSPARSE_DATA_DIR=... python benchmarks/initialization.py
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from dynsparse.config import Config
from dynsparse.nn.init import WEIGHT_INITS
from dynsparse.training.trainer import Trainer

WIDE = [1000, 1000, 500, 200]
DEEP = [100] * 8
# Name, hidden sizes, density, epochs, other keys.
NETWORKS: list[tuple[str, list[int], float, int, dict[str, object]]] = [
    ("3 x 100", [100] * 3, 0.05, 1, {}),
    ("1000-1000-500-200", WIDE, 0.05, 1, {}),
    ("1000-1000-500-200", WIDE, 0.01, 1, {}),
    ("8 x 100", DEEP, 0.1, 3, {}),
    ("8 x 100, Adam", DEEP, 0.1, 1, {"optim_alg": "Adam", "learning_rate": 0.001}),
    ("8 x 100, batch norm", DEEP, 0.1, 1, {"batch_norm": True}),
    ("3 x 300, 15 winners", [300] * 3, 0.05, 1, {"kwinners": True, "percent_on": 0.05}),
    ("6 x 300, 30 winners", [300] * 6, 0.05, 1, {"kwinners": True, "percent_on": 0.1}),
    ("8 x 100, dense", DEEP, 1.0, 1, {"model": "Dense", "learning_rate": 0.03}),
]
SEEDS = (0, 1, 2)


def ours(
    dataset: str, sizes: list[int], density: float, epochs: int, values: dict[str, object], init: str
) -> list[float]:
    """Return the test accuracy of each seed after the last epoch."""
    common = {"dataset_name": dataset, "model": "SET", "kwinners": False, "test_noise": False, "weight_decay": 0.0}
    accuracies = []
    for seed in SEEDS:
        keys = {"hidden_sizes": sizes, "on_perc": density, "epochs": epochs, "weight_init": init, "seed": seed}
        trainer = Trainer([Config.of({**common, **keys, **values})])
        while not trainer.is_done:
            (row,) = trainer.step()
        assert row is not None
        accuracies.append(row["val_acc"])
    return accuracies


class MaskedLinear(nn.Linear):
    """A linear layer with a fixed random mask."""

    def __init__(self, n_in: int, n_out: int, density: float, scaled: bool) -> None:
        super().__init__(n_in, n_out)
        mask = torch.zeros(n_out * n_in)
        mask[torch.randperm(n_out * n_in)[: round(density * n_out * n_in)]] = 1
        self.register_buffer("mask", mask.view(n_out, n_in))
        if scaled:
            self.weight.data /= density**0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


def plain_torch(dataset: str, sizes: list[int], density: float, epochs: int, scaled: bool) -> list[float]:
    """Return the test accuracy of each seed for masked ReLU layers, trained with torch.optim.SGD."""
    data = Trainer([Config.of({"dataset_name": dataset, "engine": "torch", "test_noise": False})]).splits
    (train_x,), (train_y,) = data.train
    (test_x,), (test_y,) = data.test
    accuracies = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        units = [train_x.shape[1], *sizes, 10]
        layers = [MaskedLinear(n_in, n_out, density, scaled) for n_in, n_out in itertools.pairwise(units)]
        modules: list[nn.Module] = [layers[0]]
        for layer in layers[1:]:
            modules += [nn.ReLU(), layer]
        network = nn.Sequential(*modules)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        for _ in range(epochs):
            for index in torch.randperm(len(train_x)).split(128):
                optimizer.zero_grad()
                F.cross_entropy(network(train_x[index]), train_y[index]).backward()
                optimizer.step()
        with torch.no_grad():
            accuracies.append(float((network(test_x).argmax(1) == test_y).double().mean()))
    return accuracies


def rows(dataset: str) -> Iterator[dict[str, object]]:
    for name, sizes, density, epochs, values in NETWORKS:
        row: dict[str, object] = {"network": name, "density": density, "epochs": epochs}
        for init in reversed(WEIGHT_INITS):
            row[init] = ours(dataset, sizes, density, epochs, values, init)
        if not values:
            row["torch"] = plain_torch(dataset, sizes, density, epochs, scaled=False)
            row["torch, scaled"] = plain_torch(dataset, sizes, density, epochs, scaled=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="MNIST")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = [*reversed(WEIGHT_INITS), "torch", "torch, scaled"]
    print(f"| network | density | epochs | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 3) + "|")
    found = []
    for row in rows(options.dataset):
        found.append(row)
        cells = [" ".join(f"{each:.3f}" for each in row.get(name, [])) for name in columns]  # type: ignore[attr-defined]
        print(f"| {row['network']} | {row['density']} | {row['epochs']} | {' | '.join(cells)} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
