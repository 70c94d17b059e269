"""What an evaluation says beside loss and accuracy: calibration and dead units, on every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.nn.functional import calibration_gaps
from dynsparse.training.trainer import Trainer

BASE = {"dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "epochs": 3, "on_perc": 0.3}
Array = np.ndarray[Any, Any]


def expected_calibration_error(probabilities: Array, labels: Array) -> float:
    """The sum over 15 intervals of confidence of their share of the examples times |accuracy - mean confidence|."""
    confidence, is_correct = probabilities.max(1), probabilities.argmax(1) == labels
    total = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(is_correct[inside].mean() - confidence[inside].mean())
    return total


def test_calibration_worked_example() -> None:
    confidence, is_correct = torch.tensor([0.98, 0.95, 0.97, 0.5, 1.0, 0.05]), torch.tensor([1, 1, 0, 1, 1, 0]).bool()
    gaps = calibration_gaps(confidence, is_correct)
    # Of the four above 14/15 three are correct; 0.5 is in (7/15, 8/15]; 0.05 in (0, 1/15].
    assert gaps.nonzero()[:, 0].tolist() == [0, 7, 14]
    assert gaps[[0, 7, 14]].tolist() == pytest.approx([-0.05, 0.5, 3 - 3.9], abs=1e-6)


@pytest.mark.parametrize("n", [1, 7, 5000])
def test_calibration_agrees_with_its_definition(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    probabilities = (3 * torch.randn(2, n, 10, generator=generator, dtype=torch.float64)).softmax(-1)
    labels = torch.randint(0, 10, (2, n), generator=generator)
    gaps = calibration_gaps(probabilities.amax(-1), probabilities.argmax(-1) == labels)
    for trial in (0, 1):
        expected = expected_calibration_error(probabilities[trial].numpy(), labels[trial].numpy())
        assert float(gaps[trial].abs().sum() / n) == pytest.approx(expected, rel=1e-12)


def test_calibration_of_nan_is_nan() -> None:
    assert calibration_gaps(torch.tensor([0.9, torch.nan]), torch.tensor([True, False])).sum().isnan()


def forward(trainer: Trainer, trial: int, x: Tensor) -> list[Tensor]:
    """The activations of the hidden layers, and the logits."""
    activations = []
    layers = list(zip(trainer.engine.weights, trainer.engine.biases, strict=True))
    for place, (weight, bias) in enumerate(layers):
        x = F.linear(x, weight[trial], bias[trial])
        x = x.relu() if place < len(layers) - 1 else x
        activations.append(x)
    return activations


@pytest.mark.usefixtures("one_thread", "blobs")
@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
@pytest.mark.parametrize("held_out", [0.0, 0.25])
def test_calibration_and_dead_units_are_those_of_the_network(engine: str, held_out: float) -> None:
    # Without updates the network after a step is the one that it evaluated. The first trial's rate kills units.
    trials = [{"seed": 1, "learning_rate": 0.7}, {"seed": 2}]
    values = {**BASE, "model": "SparseModel", "engine": engine, "val_fraction": held_out}
    trainer, blobs = Trainer([Config.of({**values, **trial}) for trial in trials]), load_dataset("blobs")
    n_dead = 0
    for _ in range(3):
        for trial, row in enumerate(trainer.step()):
            assert row is not None
            *hidden, logits = forward(trainer, trial, blobs.test_x)
            expected = expected_calibration_error(logits.softmax(1).numpy(), blobs.test_y.numpy())
            assert row["test_ece" if held_out else "val_ece"] == pytest.approx(expected, abs=1e-5)
            for layer, units in enumerate(hidden):
                is_dead = (units <= 0).all(0)
                assert row[f"dead_units_l{layer}"] == is_dead.double().mean().item()
                n_dead += int(is_dead.sum())
            assert row["is_connected"] == 1.0
            assert ("test_ece" in row) == (held_out > 0)
    assert n_dead > 0


@pytest.mark.usefixtures("one_thread", "blobs")
@pytest.mark.parametrize("values", [{"model": "RigL"}, {"model": "SET", "kwinners": True, "k_inference_factor": 1.5}])
def test_engines_agree(values: dict[str, Any]) -> None:
    def rows(engine: str) -> list[dict[str, float | str]]:
        trials = [{"seed": 1}, {"seed": 2, "on_perc": 0.2}]
        trainer = Trainer([Config.of({**BASE, **values, **trial, "engine": engine}) for trial in trials])
        return [row for _ in range(3) for row in trainer.step() if row is not None]

    reference = rows("torch")
    for engine in ("sparse", "packed"):
        for row, expected in zip(rows(engine), reference, strict=True):
            assert row.keys() == expected.keys()
            # Rounding may move an example that is at the end of an interval into the next one.
            assert row["val_ece"] == pytest.approx(expected["val_ece"], abs=2.5 / 64)
            for name in ("dead_units_l0", "dead_units_l1", "is_connected", "flops_train", "explored"):
                assert row[name] == expected[name]


@pytest.mark.usefixtures("one_thread", "blobs")
@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_without_an_active_weight_nothing_is_connected(engine: str) -> None:
    study = {"study": "sweep", "prune_kinds": ["weight"], "sparsities": [0.5, 1.0], "prune_last_layer": True}
    trainer = Trainer([Config.of({**BASE, **study, "model": "Dense", "epochs": 1, "engine": engine})])
    rows = [row for _ in range(3) for row in trainer.step() if row is not None]
    assert [row["is_connected"] for row in rows] == [1.0, 1.0, 0.0]


@pytest.mark.usefixtures("one_thread", "blobs")
@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_calibration_of_a_network_that_diverges_is_nan(engine: str) -> None:
    trainer = Trainer([Config.of({**BASE, "learning_rate": 1e30, "engine": engine})])
    for _ in range(2):
        [row] = trainer.step()
    assert row is not None
    assert np.isnan(row["val_loss"]) and np.isnan(row["val_ece"])
