"""Compare batch norm and dropout in the sparse engine with plain torch, step by step."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.plain_modules import MaskedLinear, reference
from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.data import Images, load_dataset
from dynsparse.planning.plan import plan

SparseEngine = pytest.importorskip("dynsparse.engines.sparse.engine").SparseEngine
pytestmark = pytest.mark.usefixtures("one_thread")

BASE = {
    "dataset_name": "digits", "model": "SparseModel", "hidden_sizes": [24, 16], "on_perc": 0.5, "batch_norm": True,
    "batch_size": 150, "weight_decay": 0.01,
}  # fmt: skip
# Batches of 2 and 2 + 1 blocks: the last one has 87 examples.
ENDS = [0, 150, 300, 450, 537]
COMPARED = {"weights", "biases", "gains", "shifts", "means", "variances"}


def with_noise(images: Images) -> Images:
    """Return images in which every pixel varies. The weight of a constant one is like a bias: see `compare`."""
    noise = np.random.RandomState(0).randn(*images.pixels.shape)
    return Images((images.normalised.numpy() + noise).astype(np.float32))


def plain_optimizer(config: Config, parameters: list[Tensor]) -> torch.optim.Optimizer:
    common: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.optim_alg == "SGD":
        return torch.optim.SGD(parameters, momentum=config.momentum, nesterov=config.nesterov, **common)
    return {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[config.optim_alg](parameters, **common)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"nesterov": True, "momentum": 0.9, "clip_norm": 0.2},
        {"optim_alg": "Adam", "learning_rate": 0.002},
        {"optim_alg": "AdamW", "learning_rate": 0.002, "clip_norm": 0.3},
        {"kwinners": True, "boost_strength": 0.0, "label_smoothing": 0.1},
        {"dropout": 0.3, "batch_norm": False},
        {"dropout": 0.3, "kwinners": True, "boost_strength": 2.0},
    ],
    ids=str,
)
def test_each_step_is_that_of_plain_torch(values: dict[str, Any]) -> None:
    config = Config.of({**BASE, "learning_rate": 0.1, **values})
    digits = load_dataset("digits")
    train, test = with_noise(digits.train), with_noise(digits.test)
    ours = SparseEngine(plan([config]))
    network = reference(ours, 0, config)
    optimizer = plain_optimizer(config, list(network.parameters()))
    data = ours.prepare([train], digits.train_y[None])
    rate = torch.tensor([[config.learning_rate]], dtype=torch.float64)
    for step in range(12):
        # Three passes; each step is an epoch of a single batch.
        batch = torch.arange(*list(pairwise(ENDS))[step % 4])
        sums = ours.train_epoch(data, batch[None], epoch=1, rates=rate)
        logits, labels = network(train.normalised[batch]), digits.train_y[batch]
        loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        if config.clip_norm is not None:
            norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            assert norm > config.clip_norm
        optimizer.step()
        assert sums.loss.item() / len(batch) == pytest.approx(loss.item(), rel=1e-5)
        assert sums.correct.item() == (logits.argmax(1) == labels).sum()
        compare(ours, network)
    x, y = ours.prepare([test], digits.test_y[None])
    sums, logits = ours.evaluate(x, y), network.eval()(test.normalised)
    # Of weights that may differ by rounding, which is larger in torch 2.4 than in newer versions.
    assert sums.loss.item() == pytest.approx(F.cross_entropy(logits, digits.test_y, reduction="sum").item(), rel=3e-4)
    assert sums.correct.item() == (logits.argmax(1) == digits.test_y).sum()


def compare(engine: Any, network: nn.Sequential) -> None:
    """Compare all parameters and running moments.

    Batch norm removes the bias before it, whose gradient is only a rounding error. Adam turns it into steps of full
    size. So with Adam the hidden biases differ, and the running means with them.
    """
    state = {name: [each[0] for each in layers] for name, layers in engine.state_dict().items() if name in COMPARED}
    linears = [module for module in network if isinstance(module, MaskedLinear)]
    norms = [module for module in network if isinstance(module, nn.BatchNorm1d)]
    expected = {
        "weights": [each.weight * each.mask for each in linears],
        "biases": [each.bias for each in linears],
        "gains": [each.weight for each in norms],
        "shifts": [each.bias for each in norms],
        "means": [each.running_mean for each in norms],
        "variances": [each.running_var for each in norms],
    }
    if norms and engine.plan.optimizer.name.startswith("Adam"):
        for layers in (state, expected):
            layers["biases"] = layers["biases"][-1:]
            del layers["means"]
    torch.testing.assert_close(state, expected, rtol=1e-4, atol=2e-5)
