"""Packs of torch modules: one call for all trials against each trial alone, and when it is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.own_modules import PATCHES, SmallNet, lenet
from torch import Tensor, nn

from dynsparse.cli.grids import engine_lines
from dynsparse.config import Config
from dynsparse.data import DATASETS, load_dataset
from dynsparse.engines.base import UpdateContext
from dynsparse.engines.module import ModuleEngine
from dynsparse.engines.stacked_modules import one_by_one_reason
from dynsparse.nn.kwinners import KWinners, LocalKWinners
from dynsparse.nn.modules import MODULES
from dynsparse.planning.packs import join_trials, select_trials
from dynsparse.planning.plan import plan
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Trainer
from dynsparse.tune.preflight import explain_packs_of_modules

pytestmark = pytest.mark.usefixtures("one_thread", "tables")

# Two trials that share their batches, and one that does not. In these trials no input of a ReLU or max pooling comes so
# close to the next one that rounding decides; after such a decision a trial alone, too, would differ by far more.
TRIALS: list[dict[str, Any]] = [
    {"seed": 1, "on_perc": 0.3},
    {"seed": 1, "on_perc": 0.5, "label_smoothing": 0.1},
    {"seed": 3, "on_perc": 0.4, "learning_rate": 0.02},
]
STEPS, STEPS_PER_UPDATE, BATCH = 50, 10, 32


def small_convolutions(*followers: nn.Module) -> nn.Module:
    convolutions = [nn.Conv2d(1, 4, 3, padding=1), *followers, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3)]
    return nn.Sequential(*convolutions, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 5))


def group_norm() -> nn.Module:
    return small_convolutions(nn.GroupNorm(2, 4))


def batch_norm() -> nn.Module:
    return small_convolutions(nn.BatchNorm2d(4))


def k_winners(settings: Any) -> nn.Module:
    return small_convolutions(LocalKWinners(4, settings), KWinners(4, settings))


def half_frozen() -> nn.Module:
    net = small_convolutions()
    net.get_submodule("0").requires_grad_(False)
    return net


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "patches", PATCHES)
    for function in (lenet, group_norm, batch_norm, k_winners, half_frozen):
        monkeypatch.setitem(MODULES, function.__name__, function)
    monkeypatch.setitem(MODULES, "small", SmallNet)


def config(network: str, **values: Any) -> Config:
    keys = {
        "dataset_name": "patches",
        "batch_size": BATCH,
        "epochs": 5,
        "test_noise": False,
        "percent_on": 0.4,
        "learning_rate": 0.05,
    }
    return Config.of({**keys, "network": network, **values})


def trained(trials: list[Config], orders: list[Tensor]) -> ModuleEngine:
    """Train for some steps with mask updates in between. Shapes: orders (steps, batch) of each trial."""
    engine, data = ModuleEngine(plan(trials)), load_dataset("patches")
    for step, index in enumerate(zip(*orders, strict=True)):
        rows = torch.stack(index)
        # As an epoch does it: one row if all trials share their examples.
        rows = rows[:1] if len(set(trial.seed for trial in trials)) == 1 else rows
        rate = engine.plan.learning_rates(0, 1, 1)[0]
        engine.train_batch(data.train_x[rows], data.train_y[rows], epoch=1 + step // STEPS_PER_UPDATE, rate=rate)
        if step % STEPS_PER_UPDATE == STEPS_PER_UPDATE - 1:
            epoch = 1 + step // STEPS_PER_UPDATE
            if engine.plan.updates is not None:
                stopped = torch.zeros(len(trials), dtype=torch.bool)
                engine.update_masks(UpdateContext(epoch, (step + 1) / STEPS, 1.0, stopped=stopped))
            engine.end_epoch()
    return engine


def order(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(160, generator=generator)[:BATCH] for _ in range(STEPS)])


CASES = [
    # The methods whose rules or statistics differ in kind; tests/dynsparse/methods has them all.
    *(("lenet", model, {}) for model in ("Dense", "SNFS", "DeepR", "SRigL", "CHTs", "GraNet", "TopKAST", "SynFlow")),
    ("lenet", "DSNNMixedHeb", {"rules": "legacy_2019"}),
    ("lenet", "RigL", {"optim_alg": "Adam", "learning_rate": 0.005, "clip_norm": 1.0}),
    *((net, model, {}) for net in ("group_norm", "batch_norm") for model in ("SET", "RigL", "DSNNHeb")),
    *(("k_winners", model, {}) for model in ("SET", "DSNNMixedHeb")),
    ("half_frozen", "SET", {}),
]


# Trials of one seed share their examples, whatever the method.
ONE_SEED = [
    (1, *case) for case in CASES if case[:2] in [("lenet", "RigL"), ("batch_norm", "DSNNHeb"), ("k_winners", "SET")]
]


@pytest.mark.parametrize(("n_seeds", "network", "model", "values"), [*((2, *case) for case in CASES), *ONE_SEED])
def test_a_pack_in_one_call_gets_the_masks_and_weights_of_its_trials(
    network: str, model: str, values: dict[str, Any], n_seeds: int
) -> None:
    trials = [config(network, model=model, **{**each, **values}) for each in TRIALS[: 1 + n_seeds]]
    orders = [order(trial.seed) for trial in trials]
    together = trained(trials, orders)
    assert together.one_by_one is None
    data = load_dataset("patches")
    of_pack = together.evaluate(data.test_x[None], data.test_y[None])
    for place, trial in enumerate(trials):
        alone = trained([trial], orders[place : place + 1])
        assert alone.one_by_one == "a single trial"
        for mine, other in zip(together.masks, alone.masks, strict=True):
            assert torch.equal(mine[place], other[0])
        for mine, other in zip(
            [*together.parameters(), *together.buffers], [*alone.parameters(), *alone.buffers], strict=True
        ):
            torch.testing.assert_close(mine[place], other[0], rtol=1e-2, atol=1e-3)
        result = alone.evaluate(data.test_x[None], data.test_y[None])
        torch.testing.assert_close(of_pack.loss[place], result.loss[0], rtol=1e-2, atol=1e-2)
        for units, others in zip(of_pack.active, result.active, strict=True):
            assert torch.equal(units[place], others[0])
        # The 2019 rules count evaluations, too.
        for mine, other in zip(together.coactivation or [], alone.coactivation or [], strict=True):
            torch.testing.assert_close(mine[place], other[0], rtol=0, atol=5)


def test_coactivation_of_a_pack_is_counted_exactly() -> None:
    trials = [config("lenet", model="DSNNHeb", **each) for each in TRIALS]
    engines = [ModuleEngine(plan(trials)), *(ModuleEngine(plan([trial])) for trial in trials)]
    data = load_dataset("patches")
    for engine in engines:
        rate = torch.full((len(engine.modules),), 0.1)
        engine.train_batch(data.train_x[None, :BATCH], data.train_y[None, :BATCH], epoch=1, rate=rate)
    pack, *alone = (engine.coactivation for engine in engines)
    assert pack is not None
    for place, each in enumerate(alone):
        assert each is not None and all(
            torch.equal(mine[place], other[0]) for mine, other in zip(pack, each, strict=True)
        )


@pytest.mark.parametrize("network", ["batch_norm", "k_winners"])
def test_a_pack_in_one_call_resumes_bit_for_bit(network: str) -> None:
    trials = [config(network, model="RigL", **each) for each in TRIALS]
    whole = Trainer(trials)
    rows = [whole.step() for _ in range(3)]
    first, second = Trainer(trials), Trainer(trials)
    first.step()
    parts = [select_trials(copy.deepcopy(first.state_dict()), [place]) for place in range(3)]
    second.load_state_dict(join_trials([checked_state(part, trial) for part, trial in zip(parts, trials, strict=True)]))
    assert isinstance(second.engine, ModuleEngine) and second.engine.one_by_one is None
    assert repr([second.step(), second.step()]) == repr(rows[1:])


class Bent(nn.Module):
    """A small network that does something that cannot be done for several trials at once."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.body, self.what = nn.Linear(144, 5), what
        # An attribute of Python belongs to one module, a buffer to each.
        self.scale = float(torch.rand(())) if what == "attribute" else 1.0
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x.flatten(1)) * self.scale
        if self.what == "branch" and out.sum() > 0:
            out = out * 2
        if self.what == "slow":
            out = out + torch.zeros_like(out).scatter_(-1, torch.zeros_like(out).long(), 1.0)
        if self.what == "replaced buffer":
            self.calls = self.calls + 1
        return out


def bent(what: str) -> Callable[[], nn.Module]:
    return lambda: Bent(what)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (SmallNet, "the network draws random numbers in training, as dropout does"),
        (bent("branch"), "torch.func.vmap fails: RuntimeError: "),
        (bent("slow"), "not yet implemented the batching rule for aten::scatter_"),
        (bent("attribute"), "the results of torch.func.vmap differ"),
        (bent("replaced buffer"), "the results of torch.func.vmap differ"),
        (lambda s: small_convolutions(nn.Dropout(s.dropout)), "differ in dropout, which the function"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 700), nn.Linear(700, 5)), "3.3 million multiplications"),
    ],
)
def test_trials_that_one_call_cannot_compute_are_computed_one_after_another(
    function: Callable[..., nn.Module], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODULES, "mine", function)
    trials = [config("mine", model="SET", seed=seed, on_perc=0.3, dropout=0.1 * seed) for seed in (1, 1, 2)]
    before = torch.get_rng_state()
    together = Trainer(trials)
    assert torch.equal(torch.get_rng_state(), before), "the caller's random numbers are its own"
    assert isinstance(together.engine, ModuleEngine) and reason in str(together.engine.one_by_one)
    assert one_by_one_reason(plan(trials)) == together.engine.one_by_one
    rows = [together.step() for _ in range(2)]
    for place, trial in enumerate(trials):
        alone = Trainer([trial])
        assert repr([row[place] for row in rows]) == repr([alone.step()[0] for _ in range(2)])


def test_show_and_run_say_why_once_for_each_network() -> None:
    trials = [config(network, model="SET", **each) for network in ("lenet", "small") for each in TRIALS]
    why = "the network draws random numbers in training, as dropout does, and each trial has its own"
    assert explain_packs_of_modules(trials, 16) == (
        f"the trials of a pack are computed one after another for network='small': {why}"
    )
    assert explain_packs_of_modules(trials, 1) is None and explain_packs_of_modules(trials[:3], 16) is None
    on_gpu = [replace(trial, device="cuda") for trial in trials[3:]]
    assert explain_packs_of_modules(on_gpu, 2) is not None
    assert engine_lines(trials) == [("module", f"6 trials; packs one trial after another for network='small': {why}")]
