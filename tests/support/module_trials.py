"""Trials of torch modules, for tests of their engine. The fixture `module_tables` has the networks and images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.training.trainer import Row, Trainer

BATCH = 32
DIGITS: dict[str, Any] = {"dataset_name": "digits", "hidden_sizes": [24, 16], "batch_size": 50, "epochs": 8}
BASE: dict[str, Any] = {
    "dataset_name": "patches",
    "batch_size": BATCH,
    "epochs": 3,
    "on_perc": 0.4,
    "test_noise": False,
}


def config(network: str = "small", **values: Any) -> Config:
    return Config.of({**BASE, "network": network, **values})


def train(*configs: Config) -> list[list[Row | None]]:
    """Return the rows of each step."""
    trainer = Trainer(configs)
    rows = []
    while not trainer.is_done:
        rows.append(trainer.step())
    return rows


def batches(dataset: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches without end."""
    data = load_dataset(dataset)
    while True:
        yield from zip(data.train_x.split(size)[:-1], data.train_y.split(size)[:-1], strict=True)
