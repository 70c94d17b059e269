"""Sparse networks learn from the first epoch on MNIST, as they do in other libraries."""

from __future__ import annotations

import os
from typing import Any

import pytest

from dynsparse.config import Config
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.skipif("DYNSPARSE_DATA_DIR" not in os.environ, reason="DYNSPARSE_DATA_DIR is not set")


def accuracy(seed: int, **values: Any) -> float:
    """Return the test accuracy of SET with SGD, rate 0.1 and momentum 0.9, after the last epoch."""
    common = {"dataset_name": "MNIST", "model": "SET", "kwinners": False, "test_noise": False, "weight_decay": 0.0}
    trainer = Trainer([Config.of({**common, "seed": seed, **values})])
    while not trainer.is_done:
        (row,) = trainer.step()
    assert row is not None
    return row["val_acc"]


# The bounds are what other libraries with active fan-in reach, less a margin for the seed.
@pytest.mark.parametrize(
    ("hidden_sizes", "density", "epochs", "least"),
    [
        ([100, 100, 100], 0.05, 1, 0.87),
        ([1000, 1000, 500, 200], 0.05, 1, 0.94),
        ([1000, 1000, 500, 200], 0.01, 1, 0.68),
        ([100] * 8, 0.1, 3, 0.90),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sparse_networks_learn_from_the_first_epoch(
    hidden_sizes: list[int], density: float, epochs: int, least: float, seed: int
) -> None:
    assert accuracy(seed, hidden_sizes=hidden_sizes, on_perc=density, epochs=epochs) >= least


def test_with_the_dense_fan_in_eight_layers_stay_at_chance() -> None:
    assert accuracy(0, hidden_sizes=[100] * 8, on_perc=0.1, epochs=1, weight_init="dense_uniform") < 0.15
