"""Training that diverges: whatever becomes of the active weights, the inactive ones stay exactly zero."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from dynsparse.config import Config
from dynsparse.engines.active_bits import active_bits, zero_inactive, zero_inactive_
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("blobs", "one_thread")
WILD: dict[str, Any] = dict(
    dataset_name="blobs", hidden_sizes=[24, 16], on_perc=0.3, batch_size=32, epochs=4, learning_rate=1e30,
    weight_prune_perc=0.3, hebbian_prune_perc=0.2,
)  # fmt: skip
# What moves the weights, or scales the gradient, in different ways.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"weight_decay": 0.01},
    "Nesterov": {"nesterov": True, "momentum": 0.9},
    "Adam": {"optim_alg": "Adam", "weight_decay": 0.01},
    "AdamW": {"optim_alg": "AdamW", "weight_decay": 0.01},
    "clipped": {"clip_norm": 1.0},
}


def assert_inactive_weights_are_zero(trainer: Trainer) -> None:
    engine = trainer.engine.state_dict()
    for layer, (weight, mask) in enumerate(zip(engine["weights"], engine["masks"], strict=True)):
        assert (weight[~mask] == 0).all(), f"weights of layer {layer}"
        # With these rules the momentum of an inactive weight goes on.
        if trainer.plan.method.moves_inactive:
            continue
        for name, state in engine["optimizer"][layer].items():
            assert (state[~mask] == 0).all(), f"{name} of layer {layer}"


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", ["SparseModel", "SET", "RigL", "DSNNMixedHeb", "GMP"])
def test_inactive_weights_stay_zero(engine: str, optimizer: str, model: str) -> None:
    trainer = Trainer([Config.of({**WILD, "model": model, "engine": engine, **OPTIMIZERS[optimizer]})])
    train_all(trainer)


def test_inactive_weights_stay_zero_with_the_rules_of_2019() -> None:
    # Without a rule of magnitudes, the trial does not end at a layer without positive weights.
    values = {"model": "DSNNMixedHeb", "rules": "legacy_2019", "weight_prune_perc": None, "hebbian_prune_perc": 0.5}
    train_all(Trainer([Config.of({**WILD, **values})]))


def train_all(trainer: Trainer) -> None:
    losses = []
    while not trainer.is_done:
        [row] = trainer.step()
        assert row is not None
        losses.append(row["train_loss"])
        assert_inactive_weights_are_zero(trainer)
    assert math.isnan(losses[-1]), "the training did not diverge"


def test_active_values_keep_every_bit() -> None:
    special = [math.nan, -math.nan, math.inf, -math.inf, -0.0, 1e-45, -3.5, 0.1]
    # As gradients may be, it is not contiguous.
    values = torch.tensor(special).repeat(2, 3, 1).mT
    mask = (torch.arange(values.numel()) % 5 < 2).view(values.shape)
    found = zero_inactive(values, active_bits(mask))
    assert found.view(torch.int32)[mask].equal(values.view(torch.int32)[mask])
    assert (found.view(torch.int32)[~mask] == 0).all()
    zero_inactive_(values, active_bits(mask))
    assert values.view(torch.int32).equal(found.view(torch.int32))
