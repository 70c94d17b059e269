"""Folders of the studies that prune, written by hand, and trained for real."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.trial_folders import write_trial

from dynsparse.config import Config
from dynsparse.training.trainer import Trainer

SWEEP = {"study": "sweep", "retrain_epochs": 0, "epochs": 2, "val_fraction": 0.0, "dataset_name": "MNIST", "seed": 0}
TICKET = {
    "study": "ticket", "criterion": "l1", "init": "original", "prune_ratio": 0.75, "prune_iter": 2, "epochs": 2,
    "val_fraction": 0.0, "dataset_name": "MNIST", "seed": 0,
}  # fmt: skip


def write_rows_of(folder: Path, config: dict[str, Any], rows: Sequence[Mapping[str, Any]], done: bool = True) -> None:
    """A trial that has logged these rows; a name that a row lacks is missing in it."""
    names = dict.fromkeys(name for row in rows for name in row)
    write_trial(folder, config, {name: [row.get(name) for row in rows] for name in names}, done=done)


def write_sweep(
    folder: Path, accuracies: Mapping[str, Sequence[float]], sparsities: Sequence[float], trained: float, **config: Any
) -> None:
    """A sweep with these accuracies right after pruning, by kind. Its loss is 1 - accuracy; units 0.001 higher."""
    rows: list[dict[str, Any]] = [{"train_acc": 0.5, "train_loss": 1.0, **measured(0.5, 1.0)}]
    rows.append({"train_acc": 0.99, "train_loss": 0.01, **measured(trained, 1.0)})
    for kind, values in accuracies.items():
        for sparsity, value in zip(sparsities, values, strict=False):
            rows.append({**measured(value, 1 - sparsity), "pruning": kind, "sparsity": sparsity, "retrained": 0})
    settings = {**SWEEP, "sparsities": list(sparsities), "prune_kinds": list(accuracies), **config}
    whole = all(len(values) == len(sparsities) for values in accuracies.values())
    write_rows_of(folder, settings, rows, done=whole)


def measured(accuracy: float, density: float) -> dict[str, float]:
    return {"val_acc": accuracy, "val_loss": 1 - accuracy, "density": density}


def write_ticket(
    folder: Path, accuracies: Sequence[Sequence[float]], densities: Sequence[float], **config: Any
) -> None:
    """A ticket with these accuracies, one list of epochs for each round, and these densities of the rounds."""
    settings = {**TICKET, "prune_iter": len(densities) - 1, **config}
    fraction = 1 - (1 - settings["prune_ratio"]) ** (1 / settings["prune_iter"])
    rows = [
        {**measured(value, density), "round": number, "pruned_wanted": 1 - (1 - fraction) ** number}
        for number, (values, density) in enumerate(zip(accuracies, densities, strict=False))
        for value in values
    ]
    write_rows_of(folder, settings, rows, done=len(accuracies) == len(densities))


def train(experiment: Path, grid: Mapping[str, Sequence[Any]], **values: Any) -> None:
    """Real trials on the digits, one for each combination of the grid."""
    for n, chosen in enumerate(itertools.product(*grid.values())):
        config = Config.of({
            "dataset_name": "digits", "network": "MLP", "model": "Dense", "hidden_sizes": [20, 10], "batch_size": 64,
            "epochs": 2, "optim_alg": "Adam", "learning_rate": 0.005, "weight_decay": 0, "test_noise": False,
            **dict(zip(grid, chosen, strict=True)), **values,
        })  # fmt: skip
        trainer = Trainer([config])
        rows = []
        while not trainer.is_done:
            (row,) = trainer.step()
            assert row is not None
            rows.append(row)
        write_rows_of(experiment / f"T_{n:05d}", config.values(), rows)
