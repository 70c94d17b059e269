"""Lottery tickets of torch modules: held against a loop in plain torch that rewinds norms and buffers, too."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.own_modules import PATCHES
from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.data import DATASETS, epoch_order, load_dataset
from dynsparse.engines.base import draw_parameters
from dynsparse.nn.kwinners import KWinners
from dynsparse.nn.modules import MODULES
from dynsparse.nn.resnet import Block, PaddedShortcut
from dynsparse.training import first_training_cache
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "tables")

TICKET: dict[str, Any] = {
    "study": "ticket", "dataset_name": "patches", "network": "net", "model": "Dense", "batch_size": 32, "epochs": 2,
    "prune_ratio": 0.6, "prune_iter": 1, "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.001, "seed": 3,
    "test_noise": False,
}  # fmt: skip
N_BATCHES = 5  # of an epoch


def net() -> nn.Module:
    """Build two convolutions, of which one is in a residual block, with three batch norms, and a linear layer."""
    block = Block(4, 6, 2, PaddedShortcut(4, 6, 2))
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), block, nn.Flatten(), nn.Linear(150, 5))


def winners(settings: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), KWinners(4, settings), nn.Flatten(), nn.Dropout(0.2), nn.Linear(400, 5))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rows for the networks and images of these tests, and no first training that is remembered."""
    monkeypatch.setitem(DATASETS, "patches", PATCHES)
    monkeypatch.setitem(MODULES, "net", net)
    monkeypatch.setitem(MODULES, "winners", winners)
    first_training_cache.clear()
    yield
    first_training_cache.clear()


def layers_of(module: nn.Module) -> list[Any]:
    return [each for each in module.modules() if isinstance(each, nn.Conv2d | nn.Linear)]


def train(module: nn.Module, masks: list[Tensor], config: Config, epochs: range) -> Iterator[int]:
    """Train with torch's own optimizer, and yield the number of steps before each."""
    data, n_steps = load_dataset("patches"), 0
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02, momentum=0.9, weight_decay=0.001)
    for epoch in epochs:
        for batch in epoch_order(160, config.seed, epoch).split(32):
            yield n_steps
            optimizer.zero_grad()
            F.cross_entropy(module.train()(data.train_x[batch].view(-1, 1, 12, 12)), data.train_y[batch]).backward()
            for layer, mask in zip(layers_of(module), masks, strict=True):
                layer.weight.grad *= mask
            optimizer.step()
            n_steps += 1
    yield n_steps


def smallest(layer: Any, share: float) -> Tensor:
    """Return the mask without the weights of smallest magnitude."""
    order = layer.weight.detach().abs().flatten().argsort()
    mask = torch.ones(layer.weight.numel(), dtype=torch.bool)
    mask[order[: round(share * len(order))]] = False
    return mask.view(layer.weight.shape)


@pytest.mark.parametrize(
    "values", [{}, {"rewind_step": 3}, {"rewind_step": N_BATCHES}, {"init": "reinit"}], ids=str
)  # fmt: skip
def test_a_round_is_that_of_a_plain_loop(values: dict[str, Any]) -> None:
    config = Config.of({**TICKET, **values})
    trainer = Trainer([config])
    module = copy.deepcopy(trainer.engine.modules[0])  # type: ignore[attr-defined]
    early = {}
    for step in train(module, [torch.tensor(1)] * 4, config, range(1, 3)):
        if step == config.rewind_step:
            early = copy.deepcopy(module.state_dict())
        if step == 0:
            initial = copy.deepcopy(module.state_dict())
    layers = layers_of(module)
    masks = [smallest(layer, 0.6 if layer is not layers[-1] else 0.3) for layer in layers]
    for _ in range(2):
        trainer.step()
    if config.init == "reinit":
        drawn = draw_parameters(trainer.plan, [mask.flatten(1)[None] for mask in masks], number=1)
        module.load_state_dict(initial)
        with torch.no_grad():
            for layer, weight, bias in zip(layers, drawn.weights, drawn.biases, strict=True):
                assert not torch.equal(layer.weight.flatten(1) * (weight[0] != 0), weight[0])
                layer.weight.copy_(weight[0].view(layer.weight.shape))
                if layer.bias is not None:
                    layer.bias.copy_(bias[0])
    else:
        module.load_state_dict(early)
    with torch.no_grad():
        for layer, mask in zip(layers, masks, strict=True):
            layer.weight *= mask
    list(train(module, masks, config, range(3, 5)))
    for _ in range(2):
        [row] = trainer.step()
    assert row is not None and trainer.is_done
    assert all(torch.equal(a[0], b.flatten(1)) for a, b in zip(trainer.engine.masks, masks, strict=True))
    [ours] = trainer.engine.modules  # type: ignore[attr-defined]
    for (name, mine), theirs in zip(ours.state_dict().items(), module.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
    data = load_dataset("patches")
    with torch.no_grad():
        right = module.eval()(data.test_x.view(-1, 1, 12, 12)).argmax(1) == data.test_y
    assert row["val_acc"] == pytest.approx(right.double().mean().item(), abs=1.01 / 64)


@pytest.mark.parametrize("values", [{"rewind_step": 3}, {"init": "reinit"}], ids=str)
@pytest.mark.parametrize("network", ["net", "winners"])
def test_a_resumed_ticket_continues_bit_for_bit(network: str, values: dict[str, Any]) -> None:
    config = Config.of({**TICKET, "network": network, "prune_iter": 2, "percent_on": 0.2, **values})

    def rows(resume: bool) -> list[str]:
        first_training_cache.clear()
        trainer, found = Trainer([config]), []
        while not trainer.is_done:
            found.append(repr(trainer.step()))
            if resume:
                state = checked_state(copy.deepcopy(trainer.state_dict()), config)
                first_training_cache.clear()
                trainer = Trainer([config])
                trainer.load_state_dict(state)
        return found

    whole = rows(resume=False)
    assert len(whole) == 6 and rows(resume=True) == whole
