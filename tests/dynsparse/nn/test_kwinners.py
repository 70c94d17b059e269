"""k-winners as modules: against formulas in NumPy, the torch engine, and themselves after a resume."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from support.doctests import run_examples
from support.own_modules import PATCHES
from torch import Tensor, nn

from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS, load_dataset
from dynsparse.engines.base import UpdateContext
from dynsparse.engines.module import ModuleEngine
from dynsparse.engines.torch import TorchEngine
from dynsparse.nn.kwinners import KWinners, LocalKWinners, activation
from dynsparse.nn.modules import MODULES
from dynsparse.planning.plan import keys_read, plan
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "tables")

SETTINGS: dict[str, Any] = {
    "percent_on": 0.3,
    "k_inference_factor": 1.5,
    "boost_strength": 1.4,
    "boost_strength_factor": 0.7,
    "duty_cycle_period": 10,
}
BASE: dict[str, Any] = {
    "dataset_name": "patches",
    "network": "winners",
    "batch_size": 32,
    "epochs": 3,
    "on_perc": 0.4,
    "test_noise": False,
    "kwinners": True,
}


class Winners(nn.Module):
    """Both kinds of k-winners, behind a norm and behind a pooling, and k-winners of units."""

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(4)
        self.active1 = activation(4, settings)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.active2 = LocalKWinners(6, settings)
        self.fc = nn.Linear(24, 10)
        self.active3 = activation(10, settings)
        self.head = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.active1(self.norm1(self.conv1(x))), 2)
        x = self.active2(nn.functional.max_pool2d(self.conv2(x), 2))
        return self.head(self.active3(self.fc(x.flatten(1))))


def perceptron(settings: Any) -> nn.Module:
    """Build the multilayer perceptron of MLPHeb."""
    layers: list[nn.Module] = [nn.Flatten()]
    n_in = settings.input_size
    for n_out in settings.hidden_sizes:
        norm = [nn.BatchNorm1d(n_out)] if settings.batch_norm else []
        layers += [nn.Linear(n_in, n_out), *norm, activation(n_out, settings)]
        n_in = n_out
    return nn.Sequential(*layers, nn.Linear(n_in, settings.num_classes))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rows for the networks and images of these tests. Rows that a test adds go with it."""
    monkeypatch.setitem(DATASETS, "patches", PATCHES)
    before = dict(MODULES)
    MODULES.update({"winners": Winners, "perceptron": perceptron})
    yield
    MODULES.clear()
    MODULES.update(before)


def config(**values: Any) -> Config:
    return Config.of({**BASE, **values})


# The formula


def plain_winners(x: np.ndarray, k: int, boost: float, duty: np.ndarray, local: bool) -> np.ndarray:
    """Return the winners, one example and position after the other. Shapes: x (batch, channels, height, width)."""
    out = np.zeros_like(x)
    n = x.shape[1] if local else x[0].size
    boosted = x * np.exp(boost * (k / n - duty))[:, None, None]
    for example in range(len(x)):
        if local:
            for row, column in np.ndindex(x.shape[2:]):
                won = np.argsort(-boosted[example, :, row, column])[:k]
                out[example, won, row, column] = x[example, won, row, column]
        else:
            won = np.argsort(-boosted[example].ravel())[:k]
            out[example].ravel()[won] = x[example].ravel()[won]
    return out


@pytest.mark.parametrize(
    ("kind", "k", "k_in_evaluation"),
    # 0.3 of 5 * 4 * 3 = 60 outputs; 0.3 of 5 channels is 1.5, which rounds to the even 2.
    [(KWinners, 18, 27), (LocalKWinners, 2, 3)],
)
def test_winners_and_duty_cycles_are_those_of_the_formula(kind: type[KWinners], k: int, k_in_evaluation: int) -> None:
    module = kind(5, Config(**SETTINGS))
    local = kind is LocalKWinners
    generator = np.random.default_rng(0)
    duty, boost, n_seen = np.zeros(5), 1.4, 0
    # Channels differ, so that boosting matters.
    offsets = np.linspace(-0.5, 1, 5)[:, None, None]
    for step in range(12):
        # The period of 10 examples is reached in the third step.
        x = generator.normal(size=(4, 5, 4, 3)) + offsets
        expected = plain_winners(x, k, boost, duty, local)
        inputs = torch.tensor(x, dtype=torch.float32, requires_grad=True)
        out = module(inputs)
        np.testing.assert_allclose(out.detach(), expected, rtol=1e-6)
        [gradient] = torch.autograd.grad(out.sum(), inputs)
        np.testing.assert_array_equal(gradient, expected != 0)
        n_seen += 4
        period = min(10, n_seen)
        shares = (expected > 0).mean((2, 3)).sum(0)
        duty = (duty * (period - 4) + shares) / period
        np.testing.assert_allclose(module.duty, duty, rtol=1e-5, atol=1e-6)
        if step % 4 == 3:
            module.end_epoch()
            boost *= 0.7
    unboosted = plain_winners(x, k, 0.0, duty, local)
    assert not np.array_equal(plain_winners(x, k, 1.4, duty, local), unboosted)
    module.eval()
    before = copy.deepcopy(module.state_dict())
    out = module(torch.tensor(x, dtype=torch.float32))
    np.testing.assert_allclose(out, plain_winners(x, k_in_evaluation, boost, duty, local), rtol=1e-6)
    assert all(torch.equal(before[name], each) for name, each in module.state_dict().items())


def test_exactly_k_win_if_outputs_tie_and_if_boosting_is_strong() -> None:
    for boost in (0.0, 500.0):
        module = KWinners(3, Config(percent_on=0.5, boost_strength=boost))
        assert [int((module(torch.ones(2, 3, 4)) > 0).sum()) for _ in range(3)] == [12, 12, 12]


@pytest.mark.parametrize("kind", [KWinners, LocalKWinners])
def test_units_of_a_linear_layer_are_channels_without_positions(kind: type[KWinners]) -> None:
    x = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    [flat, image] = [kind(10, Config(**SETTINGS)) for _ in range(2)]
    assert torch.equal(flat(x), image(x[..., None, None]).flatten(1)) and torch.equal(flat.duty, image.duty)
    assert (flat(x) != 0).sum(1).tolist() == [3, 3, 3]


@pytest.mark.parametrize("documented", [KWinners, LocalKWinners, activation])
def test_the_examples_run(documented: Any) -> None:
    run_examples(documented)


# In the engine


@pytest.mark.parametrize(
    "values", [{"model": "SET"}, {"model": "DSNNMixedHeb"}, {"model": "DSNNHeb", "batch_norm": True}]
)
def test_a_perceptron_is_that_of_the_torch_engine(values: dict[str, Any]) -> None:
    keys = {**BASE, **values, "dataset_name": "digits", "hidden_sizes": [24, 16], "batch_size": 50, "epochs": 8}
    trials = [{"seed": 1, "percent_on": 0.3}, {"seed": 2, "boost_strength": 0.5, "boost_strength_factor": 0.9}]
    ours, theirs = (
        engine(plan([Config.of({**keys, "network": network, **trial}) for trial in trials]))
        for engine, network in ((ModuleEngine, "perceptron"), (TorchEngine, "MLPHeb"))
    )
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        assert torch.equal(mine, other), "the initial weights have the gain of k-winners"
    rate = ours.plan.learning_rates(0, 1, 1)[0]
    data = load_dataset("digits")
    for step, (x, y) in enumerate(zip(data.train_x.split(50)[:20], data.train_y.split(50), strict=False)):
        for each in (ours, theirs):
            each.train_batch(x[None], y[None], epoch=1 + step // 10, rate=rate)
            if step % 10 == 9:
                each.update_masks(UpdateContext(1 + step // 10, (step + 1) / 20, 1.0, torch.zeros(2).bool()))
                each.end_epoch()
        for mine, other in zip(ours.masks, theirs.masks, strict=True):
            assert torch.equal(mine, other), step
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    winners = [[each for each in module if isinstance(each, KWinners)] for module in ours.modules]
    for place, duty in enumerate(theirs.duty):
        torch.testing.assert_close(torch.stack([each[place].duty for each in winners]), duty, rtol=0, atol=0.01)
    assert [float(each[0].boost) for each in winners] == theirs.boost.tolist()
    results = [each.evaluate(data.test_x[None], data.test_y[None]) for each in (ours, theirs)]
    torch.testing.assert_close(results[0].loss, results[1].loss, rtol=1e-3, atol=0)


def test_a_resumed_trial_is_bit_for_bit_the_unbroken_one_and_boosting_fades() -> None:
    trial = config(model="DSNNMixedHeb", pruning_interval_steps=3, **SETTINGS)
    whole, first = Trainer([trial]), Trainer([trial])
    rows = [whole.step() for _ in range(3)]
    first.step()
    second = Trainer([trial])
    second.load_state_dict(checked_state(copy.deepcopy(first.state_dict()), trial))
    assert repr([second.step(), second.step()]) == repr(rows[1:])
    parts = [[each for each in t.engine.modules[0].modules() if isinstance(each, KWinners)] for t in (whole, second)]  # type: ignore[attr-defined]
    for one, other in zip(*parts, strict=True):
        assert torch.equal(one.duty, other.duty) and 0 < float(one.duty.max()) <= 1
        assert float(one.boost) == float(other.boost) == pytest.approx(1.4 * 0.7**3)
        assert int(one.n_seen) == int(other.n_seen) == 3 * 160


def test_a_trial_of_a_pack_is_bit_for_bit_the_trial_alone() -> None:
    trials = [config(seed=seed, percent_on=density) for seed, density in ((0, 0.3), (0, 0.5), (3, 0.4))]
    together = Trainer(trials)
    rows = [together.step(), together.step()]
    for place, trial in enumerate(trials):
        alone = Trainer([trial])
        assert repr([row[place] for row in rows]) == repr([alone.step()[0], alone.step()[0]])


def test_a_unit_is_active_if_it_wins() -> None:
    network = plan([config()]).network
    # Behind conv2 there is a pooling, whose outputs are at other positions.
    assert [(each.name, each.activity) for each in network.layers] == [
        ("conv1", "active1"), ("conv2", "conv2"), ("fc", "active3"), ("head", "head"),
    ]  # fmt: skip


# Keys


def test_the_keys_are_read_where_they_have_an_effect() -> None:
    assert SETTINGS.keys() | {"kwinners"} <= keys_read(config())
    assert SETTINGS.keys() <= keys_read(Config(network="SpeechCNN", kwinners=True))
    assert not SETTINGS.keys() & keys_read(Config(network="SpeechCNN"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"percent_on": 0.01}, r"ValueError: percent_on=0\.01 leaves no winner among 6 outputs\. Raise percent_on"),
        ({"network": "LeNet5"}, "kwinners must be False with network='LeNet5', whose function does not read it"),
        (
            {"network": "perceptron", "model": "Dense", "study": "sweep", "retrain_epochs": 1},
            "prune_kinds must not contain 'unit' with k-winners",
        ),
    ],
)
def test_keys_that_do_not_fit(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**values)
