"""Class weights: against torch's cross-entropy with weights, and scikit-learn's balanced weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from support.own_modules import plain_mlp
from torch import nn

from dynsparse.config import Config, ConfigError
from dynsparse.data import load_data, split
from dynsparse.engines import choose_for_config, start
from dynsparse.nn.modules import MODULES
from dynsparse.ops.losses import class_weights
from dynsparse.planning.plan import plan
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def rare(tmp_path: Path) -> str:
    """A table of 400 examples in which one of two overlapping classes has 40 examples."""
    generator = np.random.default_rng(0)
    y = (np.arange(400) % 10 == 0).astype(int)
    np.savez(tmp_path / "rare.npz", x=generator.normal(size=(400, 4)) + y[:, None], y=y)
    return str(tmp_path / "rare.npz")


def config(dataset_name: str, **values: Any) -> Config:
    usual = {"test_fraction": 0.25, "model": "Dense", "hidden_sizes": [16], "batch_size": 32, "learning_rate": 0.05}
    return Config.of({"dataset_name": dataset_name, **usual, "test_noise": False, "epochs": 8, **values})


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    y = np.array([0] * 7 + [1] * 2 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y)
    np.testing.assert_allclose(class_weights("balanced", torch.tensor(y), 3), expected)
    assert class_weights([1.0, 2.0, 0.5], torch.tensor(y), 3).tolist() == [1, 2, 0.5]


@pytest.mark.parametrize(
    ("engine", "network"), [("torch", "MLP"), ("packed", "MLP"), ("sparse", "MLP"), ("module", "net")]
)
@pytest.mark.parametrize("chosen", ["balanced", [0.5, 4.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_training_is_that_of_torch(
    engine: str, network: str, chosen: Any, smoothing: float, rare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODULES, "net", lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)))
    values = {"momentum": 0.0, "weight_decay": 0.0, "label_smoothing": smoothing, "class_weights": chosen}
    # A pack, so that a trial may not depend on the others.
    trials = [config(rare, engine=engine, network=network, seed=seed, **values) for seed in (1, 2)]
    data, ours = load_data(trials[0]), start(plan(trials))
    layers = [nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        for layer, weight, bias in zip(layers[::2], ours.weights, ours.biases, strict=True):
            layer.weight.copy_(weight[1])
            layer.bias.copy_(bias[1])
    order = torch.stack([torch.randperm(300) for _ in range(2)])
    rates = torch.full((10, 2), 0.05, dtype=torch.float64)
    weights = torch.tensor([300 / (2 * 270), 300 / (2 * 30)] if chosen == "balanced" else chosen)
    prepared = ours.prepare([data.train], data.train_y[None])
    sums = ours.train_epoch(
        prepared, order, epoch=1, rates=rates, class_weights=class_weights(chosen, data.train_y, 2)[None]
    )
    total = 0.0
    for index in order[1].split(32):
        y = data.train_y[index]
        loss = F.cross_entropy(net(data.train_x[index]), y, weight=weights, label_smoothing=smoothing)
        net.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= 0.05 * parameter.grad
        total += loss.item() * len(index)
    assert float(sums.loss[1]) == pytest.approx(total, rel=1e-5)
    for layer, weight in zip(layers[::2], ours.weights, strict=True):
        torch.testing.assert_close(weight[1], layer.weight.detach(), rtol=1e-4, atol=1e-6)


def test_balanced_weights_count_the_examples_that_are_trained_on(tmp_path: Path) -> None:
    y = np.array([0] * 7 + [1] * 3)
    np.savez(
        tmp_path / "ten.npz", train_x=np.arange(20.0).reshape(10, 2), train_y=y, test_x=np.ones((2, 2)), test_y=[0, 1]
    )
    # Three are held out: two of the seven and one of the three.
    trial = config(str(tmp_path / "ten.npz"), test_fraction=None, val_fraction=0.3, class_weights="balanced")
    weights = Trainer([trial]).splits.class_weights
    assert weights is not None
    torch.testing.assert_close(weights, torch.tensor([[7 / (2 * 5), 7 / (2 * 2)]]))


@pytest.mark.usefixtures("blobs")
@pytest.mark.parametrize(
    ("engine", "network"), [("torch", "MLP"), ("packed", "MLP"), ("sparse", "MLP"), ("module", "plain")]
)
def test_each_trial_of_a_pack_has_the_weights_of_its_own_training_part(
    engine: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODULES, "plain", plain_mlp)
    values = {"engine": engine, "network": network, "val_fraction": 0.5, "class_weights": "balanced"}
    # One batch and a learning rate of 0: the loss is that of the initial network.
    still = {"batch_size": 80, "learning_rate": 0.0, "weight_decay": 0.0, "test_fraction": None, "epochs": 1}
    trials = [config("blobs", seed=seed, label_smoothing=0.1, **values, **still) for seed in (1, 2)]
    trainer, data = Trainer(trials), load_data(trials[0])
    rows = trainer.step()
    weights, biases, _ = trainer.parameters()
    distinct = set()
    for trial, row in enumerate(rows):
        train, _ = split(data, 0.5, trial + 1)
        x, y = data.train_x[train], data.train_y[train]
        balanced = torch.tensor(compute_class_weight("balanced", classes=np.arange(5), y=y.numpy())).float()
        distinct.add(tuple(balanced.tolist()))
        logits = F.linear(F.linear(x, weights[0][trial], biases[0][trial]).relu(), weights[1][trial], biases[1][trial])
        expected = float(F.cross_entropy(logits, y, weight=balanced, label_smoothing=0.1))
        assert row is not None and row["train_loss"] == pytest.approx(expected, rel=1e-5)
    assert len(distinct) == 2


def test_balanced_weights_find_more_of_the_rare_class(rare: str) -> None:
    found = {}
    for chosen in (None, "balanced"):
        trial = config(rare, class_weights=chosen)
        trainer = Trainer([trial])
        while not trainer.is_done:
            [row] = trainer.step()
        data = load_data(trial)
        weights, biases, _ = trainer.parameters()
        x = F.linear(F.linear(data.test_x, weights[0][0], biases[0][0]).relu(), weights[1][0], biases[1][0])
        found[chosen] = float((x.argmax(1) == 1)[data.test_y == 1].float().mean())
        # Evaluation has no weights.
        assert row is not None and row["val_loss"] == pytest.approx(float(F.cross_entropy(x, data.test_y)), rel=1e-5)
    assert found["balanced"] > found[None] + 0.2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"class_weights": "even"},
            "class_weights must be 'balanced' or a list of numbers above 0, got 'even'.",
        ),
        ({"class_weights": [1, 0]}, "class_weights must be 'balanced' or a list of numbers above 0, got [1, 0]."),
        ({"class_weights": 2.0}, "class_weights must be 'balanced' or a list of numbers above 0, got 2.0."),
        ({"class_weights": [1, 2, 3]}, "class_weights must have a number for each of the 2 classes of dataset_name="),
        ({"class_weights": "balanced", "loss": "mse"}, "class_weights must be None with loss='mse', got 'balanced'."),
    ],
)
def test_what_is_refused(values: dict[str, Any], message: str, rare: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(rare, **values)
    assert message in str(error.value)


def test_the_fast_engines_have_class_weights(rare: str) -> None:
    assert choose_for_config(config(rare, class_weights="balanced", device="cuda")) == ("packed", None)
    assert choose_for_config(config(rare, class_weights="balanced")) == ("sparse", None)
