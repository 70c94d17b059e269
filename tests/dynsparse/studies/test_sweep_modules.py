"""Unit sweeps with norms: pruned units give exactly 0, also after retraining, in a resumed trial and in a pack."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.own_modules import PATCHES, SmallNet, lenet, plain_mlp
from torch import Tensor, nn
from torch.nn.utils import prune

from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS, load_dataset
from dynsparse.nn.kwinners import KWinners
from dynsparse.nn.modules import MODULES
from dynsparse.nn.resnet import PaddedShortcut, ResNet
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Row, Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "tables")

SWEEP: dict[str, Any] = {
    "study": "sweep", "dataset_name": "patches", "model": "Dense", "batch_size": 32, "epochs": 2, "test_noise": False,
    "prune_kinds": ["unit"], "sparsities": [0.5, 0.8], "retrain_epochs": 2, "learning_rate": 0.05,
    "weight_decay": 0.01, "momentum": 0.9,
}  # fmt: skip


class Gelu(nn.Module):
    """A network in which neither biases nor shifts of pruned units would stay 0 by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.norm2 = nn.Conv2d(6, 6, 3, padding=1), nn.GroupNorm(2, 6)
        self.fc, self.norm3 = nn.Linear(6, 8), nn.LayerNorm(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(self.conv1(x)))
        x = F.gelu(x + self.norm2(self.conv2(x)))
        return self.head(F.gelu(self.norm3(self.fc(x.mean((2, 3))))))


class Unnormed(nn.Module):
    """Convolutions and a linear layer with GELU and no norm: the bias of a pruned unit has a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.head = nn.Conv2d(1, 6, 3), nn.Linear(600, 9), nn.Linear(9, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.gelu(self.fc(F.gelu(self.conv(x)).flatten(1))))


class Behind(nn.Module):
    """A batch norm that does not directly follow its layer."""

    def __init__(self, *, before: nn.Module | None = None, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), norm or nn.BatchNorm2d(4), nn.Linear(400, 5)
        self.before = before or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.before(self.conv(x))).relu().flatten(1))


def residual() -> nn.Module:
    """Build a small ResNet-20: two stages of a block, of 4 and 8 filters."""
    return ResNet(1, (4, 8), 1, 5, PaddedShortcut)


def frozen_norm() -> nn.Module:
    net = Behind()
    net.norm.weight.requires_grad_(False)
    return net


def frozen_bias() -> nn.Module:
    net = Unnormed()
    assert net.fc.bias is not None
    net.fc.bias.requires_grad_(False)
    return net


class Rows(nn.Module):
    """A linear layer of the rows of an image, and a batch norm whose channels are the rows, not the units."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm, self.head = nn.Linear(12, 12), nn.BatchNorm1d(12), nn.Linear(144, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.linear(x[:, 0])).relu().flatten(1))


NETS: dict[str, Any] = {
    "small": SmallNet, "lenet": lenet, "plain": plain_mlp, "residual": residual, "gelu": Gelu, "unnormed": Unnormed,
    "relu before": lambda: Behind(before=nn.ReLU()),
    "winners before": lambda settings: Behind(before=nn.Sequential(nn.ReLU(), KWinners(4, settings))),
    "without gain": lambda: Behind(norm=nn.BatchNorm2d(4, affine=False)),
    "frozen": frozen_norm, "frozen bias": frozen_bias, "rows": Rows,
    "over positions": lambda: Behind(norm=nn.LayerNorm((10, 10))),
}  # fmt: skip


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rows for the networks and images of these tests."""
    monkeypatch.setitem(DATASETS, "patches", PATCHES)
    for name, build in NETS.items():
        monkeypatch.setitem(MODULES, name, build)
    yield


def config(network: str, **values: Any) -> Config:
    return Config.of({**SWEEP, "network": network, **values})


def outputs_of_units(trainer: Trainer, trial: int = 0) -> list[Tensor]:
    """Return the outputs of each layer behind its norms, on the test images. Shapes: (examples, units, ...)."""
    module, found = copy.deepcopy(trainer.engine.modules[trial]), {}  # type: ignore[attr-defined]
    layers = trainer.plan.network.layers  # type: ignore[attr-defined]
    for layer in layers:
        part = module.get_submodule(layer.activity)
        part.register_forward_hook(lambda _, __, out, name=layer.name: found.__setitem__(name, out.detach().clone()))
    with torch.no_grad():
        module.eval()(load_dataset("patches").test_x.view(-1, 1, 12, 12))
    return [found[layer.name] for layer in layers]


def steps(trainer: Trainer) -> Iterator[list[Row | None]]:
    while not trainer.is_done:
        yield trainer.step()


@pytest.mark.parametrize("optimizer", [{}, {"optim_alg": "Adam", "learning_rate": 0.003, "clip_norm": 1.0}], ids=str)
@pytest.mark.parametrize("network", ["small", "residual", "gelu", "unnormed"])
def test_pruned_units_give_zero_after_pruning_and_after_retraining(network: str, optimizer: dict[str, Any]) -> None:
    trainer = Trainer([config(network, **optimizer)])
    n_pruned, before = 0, trainer.parameters()
    for [row] in steps(trainer):
        assert row is not None
        outputs = outputs_of_units(trainer)
        if "pruning" in row:
            for layer, mask in list(zip(outputs, trainer.engine.masks, strict=True))[:-1]:
                pruned = ~mask[0].any(1)
                assert int(pruned.sum()) == int(float(row["sparsity"]) * len(pruned))
                assert not layer[:, pruned].any()
                # The other units are alive, and retraining changes them.
                assert layer.movedim(1, 0)[~pruned].flatten(1).any(1).all()
                n_pruned += int(pruned.sum())
            if row["retrained"]:
                assert not torch.equal(trainer.engine.weights[-1], before.weights[-1])
        before = trainer.parameters()
    assert n_pruned > 0


@pytest.mark.parametrize("engine", ["torch", "sparse"])
@pytest.mark.parametrize("optimizer", [{}, {"optim_alg": "Adam", "learning_rate": 0.003}], ids=str)
def test_gains_and_shifts_of_pruned_units_of_a_multilayer_perceptron_stay_zero(
    engine: str, optimizer: dict[str, Any]
) -> None:
    values = {"hidden_sizes": [20, 15], "batch_norm": True, "engine": engine, "dataset_name": "digits", **optimizer}
    trainer = Trainer([config("MLP", **values)])
    for [row] in steps(trainer):
        state = trainer.engine.state_dict()
        if row is not None and "pruning" in row:
            for layer in (0, 1):
                kept = state["masks"][layer][0].any(1)
                assert int(kept.sum()) == len(kept) - int(float(row["sparsity"]) * len(kept))
                for name in ("biases", "gains", "shifts"):
                    assert torch.equal(state[name][layer][0] != 0, kept), (name, row)


def test_a_multilayer_perceptron_with_batch_norm_is_pruned_like_the_same_module() -> None:
    rows = []
    for network, engine in (("MLP", "torch"), ("plain", "module")):
        values = {"hidden_sizes": [20, 15], "batch_norm": True, "dataset_name": "digits", "engine": engine}
        trainer = Trainer([config(network, **values, learning_rate=0.01)])
        rows.append([row for [row] in steps(trainer) if row is not None])
    assert len(rows[0]) == 2 + 2 * 3
    for one, other in zip(*rows, strict=True):
        assert one["density"] == other["density"]
        assert one["val_acc"] == pytest.approx(other["val_acc"], abs=0.01)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=0.02)


@pytest.mark.parametrize("network", ["small", "residual", "lenet"])
def test_the_pruned_filters_are_those_of_torch(network: str) -> None:
    trainer = Trainer([config(network, retrain_epochs=0, epochs=1)])
    trainer.step()
    trained = copy.deepcopy(trainer.engine.modules[0])  # type: ignore[attr-defined]
    for [row] in steps(trainer):
        assert row is not None
        for place, layer in enumerate(trainer.plan.network.layers[:-1]):  # type: ignore[attr-defined]
            part = copy.deepcopy(trained.get_submodule(layer.name))
            n = int(float(row["sparsity"]) * layer.weight_shape[0])
            prune.ln_structured(part, "weight", amount=n, n=2, dim=0)
            assert torch.equal(part.weight_mask.flatten(1).bool(), trainer.engine.masks[place][0])


@pytest.mark.parametrize("iteratively", [False, True])
@pytest.mark.parametrize("network", ["residual", "gelu"])
def test_a_resumed_sweep_continues_bit_for_bit_and_a_pack_trains_its_trials(network: str, iteratively: bool) -> None:
    trials = [config(network, seed=seed, prune_iteratively=iteratively) for seed in (1, 2)]
    alone = [[row for [row] in steps(Trainer([each]))] for each in trials]
    pack = Trainer(trials)
    # One call computes both trials, which rounds otherwise than each alone.
    for ours, theirs in zip(alone, zip(*steps(pack), strict=True), strict=True):
        assert list(ours) == [pytest.approx(row, rel=1e-4, abs=1e-4, nan_ok=True) for row in theirs]
    for trial in (0, 1):
        for layer, mask in list(zip(outputs_of_units(pack, trial), pack.engine.masks, strict=True))[:-1]:
            assert not layer[:, ~mask[trial].any(1)].any()

    trainer, rows = Trainer(trials[:1]), []
    while not trainer.is_done:
        rows.append(trainer.step()[0])
        state = checked_state(copy.deepcopy(trainer.state_dict()), trials[0])
        trainer = Trainer(trials[:1])
        trainer.load_state_dict(state)
    assert repr(rows) == repr(alone[0])


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        ("relu before", "the batch norm 'norm' reads layer 'conv', but does not directly follow it"),
        ("winners before", "the batch norm 'norm' reads layer 'conv', but does not directly follow it"),
        ("SpeechCNN", "the batch norm 'norm1' reads layer 'conv1', but does not directly follow it"),
        ("without gain", "the norm 'norm' behind layer 'conv' has no gain and shift that are trained"),
        ("frozen", "the norm 'norm' behind layer 'conv' has no gain and shift that are trained"),
        ("frozen bias", "layer 'fc' has a bias that is not trained"),
        ("rows", "the norm 'norm' behind layer 'linear' has no gain for each unit"),
        ("over positions", "the norm 'norm' behind layer 'conv' has no gain for each unit"),
    ],
)
def test_a_norm_that_cannot_be_pruned_with_its_layer_is_refused(network: str, problem: str) -> None:
    values = {"dataset_name": "MNIST"} if network == "SpeechCNN" else {}
    with pytest.raises(ConfigError, match=rf"prune_kinds must not contain 'unit' with network='{network}': {problem}"):
        Trainer([config(network, **values)])
    assert Config.of({**SWEEP, "network": network, **values, "prune_kinds": ["weight"]})
