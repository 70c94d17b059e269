"""Compare the torch engine with plain torch.nn networks; test its statistics and mask updates."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from support.plain_modules import MaskedLinear, PlainKWinners, reference
from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.engines.base import UpdateContext
from dynsparse.engines.torch import TorchEngine
from dynsparse.methods import METHODS
from dynsparse.planning.plan import plan

N_BATCHES, BATCH = 20, 50
BASE = {"dataset_name": "digits", "hidden_sizes": [24, 16], "learning_rate": 0.1}
# Three trials that differ in every key that a training step depends on.
PACK: list[dict[str, Any]] = [
    {"seed": 1, "on_perc": 0.3, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "percent_on": 0.3},
    {"seed": 2, "on_perc": 0.7, "learning_rate": 0.03, "momentum": 0.5, "weight_decay": 0.01, "percent_on": 0.5},
    {"seed": 3, "on_perc": 1.0, "learning_rate": 0.05, "momentum": 0.0, "weight_decay": 0.0, "percent_on": 0.1},
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread: a second one only slows down networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pack(**values: Any) -> list[Config]:
    return [Config.of({**BASE, **trial, **values}) for trial in PACK]


def engine(**values: Any) -> TorchEngine:
    """Return the engine of a single trial."""
    return TorchEngine(plan([Config.of({**BASE, **values})]))


def full_rate(ours: TorchEngine) -> Tensor:
    """Return the learning rates of the trials in the first step. Shapes: (trials,)."""
    return ours.plan.learning_rates(0, 1, 1)[0]


def batches() -> list[tuple[Tensor, Tensor]]:
    digits = load_dataset("digits")
    return list(zip(digits.train_x.split(BATCH), digits.train_y.split(BATCH), strict=True))[:N_BATCHES]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"batch_norm": True},
        {"kwinners": True, "boost_strength": 2.0, "boost_strength_factor": 0.6, "duty_cycle_period": 180},
        {"kwinners": True, "batch_norm": True, "boost_strength": 0.0},
    ],
    ids=["relu", "batch norm", "k-winners", "k-winners and batch norm"],
)
def test_training_is_that_of_a_plain_network_whose_weights_are_multiplied_by_masks(values: dict[str, Any]) -> None:
    configs = pack(model="SparseModel", **values)
    ours = TorchEngine(plan(configs))
    plain = [reference(ours, trial, config) for trial, config in enumerate(configs)]
    optimizers = [
        torch.optim.SGD(network.parameters(), config.learning_rate, config.momentum, weight_decay=config.weight_decay)
        for network, config in zip(plain, configs, strict=True)
    ]
    for step, (x, y) in enumerate(batches()):
        sums = ours.train_batch(x[None], y[None], epoch=1, rate=full_rate(ours))
        for trial, (network, optimizer) in enumerate(zip(plain, optimizers, strict=True)):
            logits = network(x)
            loss = F.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            torch.testing.assert_close(sums.loss[trial].item() / BATCH, loss.item(), rtol=1e-5, atol=1e-5)
            assert sums.correct[trial] == (logits.argmax(1) == y).sum()
        if step == 9:
            ours.end_epoch()
            for each in (module for network in plain for module in network.modules()):
                if isinstance(each, PlainKWinners):
                    each.boost *= each.factor

    test = load_dataset("digits")
    sums = ours.evaluate(test.test_x[None], test.test_y[None])
    for trial, network in enumerate(plain):
        pairs = [(ours.weights, [m.weight * m.mask for m in network if isinstance(m, MaskedLinear)])]
        pairs += [(ours.biases, [m.bias for m in network if isinstance(m, MaskedLinear)])]
        norms = [m for m in network if isinstance(m, nn.BatchNorm1d)]
        pairs += [(ours.gains, [m.weight for m in norms]), (ours.shifts, [m.bias for m in norms])]
        pairs += [(ours.means, [m.running_mean for m in norms]), (ours.variances, [m.running_var for m in norms])]
        for own, theirs in pairs:
            torch.testing.assert_close([each[trial] for each in own], theirs, rtol=1e-5, atol=1e-5)
        # Evaluation: running statistics, no more duty cycles; logits to rounding, so the classes are the same.
        logits = network.eval()(test.test_x)
        assert sums.correct[trial] == (logits.argmax(1) == test.test_y).sum()
        loss = F.cross_entropy(logits, test.test_y, reduction="sum").item()
        assert sums.loss[trial].item() == pytest.approx(loss, rel=1e-4)


def test_evaluation_in_parts_counts_every_example_once(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = load_dataset("digits")
    ours = TorchEngine(plan(pack()))
    whole = ours.evaluate(digits.test_x[None], digits.test_y[None])
    monkeypatch.setattr(TorchEngine, "EVALUATION_BATCH", 77)
    parts = ours.evaluate(digits.test_x[None], digits.test_y[None])
    assert torch.equal(whole.correct, parts.correct)
    torch.testing.assert_close(whole.loss, parts.loss, rtol=1e-6, atol=0)


def test_evaluation_changes_nothing_that_is_saved() -> None:
    ours = engine(kwinners=True, batch_norm=True, dropout=0.5)
    x, y = batches()[0]
    ours.train_batch(x[None], y[None], epoch=1, rate=full_rate(ours))
    before = copy.deepcopy(ours.state_dict())
    ours.evaluate(x[None], y[None])
    torch.testing.assert_close(ours.state_dict(), before, rtol=0, atol=0)


def test_dropout_drops_its_share_of_the_units_scales_the_others_and_spares_evaluation() -> None:
    dense = {**BASE, "model": "Dense", "hidden_sizes": [10]}
    ours = TorchEngine(plan([Config.of({**dense, "dropout": share}) for share in (0.0, 0.25)]))
    # The hidden units are passed on as they are: the logits are what dropout left of them.
    ours.weights[1] = torch.eye(10).expand(2, -1, -1).clone()
    ours.biases[1].zero_()
    x = load_dataset("digits").train_x[None].expand(2, -1, -1)
    kept, activations = ours.forward(x, epoch=1, training=True)
    hidden = activations[1]
    assert torch.equal(kept[0], hidden[0])
    on = hidden[1] > 0
    dropped = (kept[1] == 0) & on
    assert stats.binomtest(int(dropped.sum()), int(on.sum()), 0.25).pvalue > 0.001
    torch.testing.assert_close(kept[1][on & ~dropped], hidden[1][on & ~dropped] / 0.75)
    ours.n_steps += 1
    assert not torch.equal(ours.forward(x, epoch=1, training=True)[0][1], kept[1]), "the next step drops others"
    assert torch.equal(ours.forward(x, epoch=1, training=False)[0][1], hidden[1])


# TopKAST trains inactive weights, too: see test_latent_weights.py.
@pytest.mark.parametrize("model", [name for name in METHODS if name != "TopKAST"])
@pytest.mark.parametrize("optim_alg", ["SGD", "Adam"])
def test_inactive_weights_and_their_state_are_zero_after_every_step_and_update(model: str, optim_alg: str) -> None:
    ours = TorchEngine(plan(pack(model=model, optim_alg=optim_alg, kwinners=True, epochs=4)))
    counts = [mask.sum((-2, -1)) for mask in ours.masks]
    none = torch.zeros(3, dtype=torch.bool)
    for epoch in (1, 2, 3):
        for x, y in batches()[:4]:
            ours.train_batch(x[None], y[None], epoch=epoch, rate=full_rate(ours))
            assert_zero_where_inactive(ours)
        if ours.plan.updates is not None:
            ours.update_masks(UpdateContext(epoch, share_done=epoch / 3, drop_scale=1.0, stopped=none))
            assert_zero_where_inactive(ours)
        ours.end_epoch()
    if model not in ("GMP", "GraNet", "CHTss"):
        assert all(torch.equal(mask.sum((-2, -1)), n) for mask, n in zip(ours.masks, counts, strict=True))


def assert_zero_where_inactive(engine: TorchEngine) -> None:
    # The state goes on with that of the biases.
    for weight, mask, state in zip(engine.weights, engine.masks, engine.optimizer, strict=False):
        assert all((each[~mask] == 0).all() for each in (weight, *state.values()))
        assert (weight != 0).sum() > 0.5 * mask.sum(), "and active ones are not"


# Statistics and mask updates


@pytest.mark.parametrize("rules", ["fixed", "legacy_2019"])
def test_coactivation_counts_examples_one_by_one_in_tests_too_only_under_legacy(rules: str) -> None:
    ours = engine(hidden_sizes=[6, 5], rules=rules, on_perc=0.6)
    expected = [torch.zeros(shape) for shape in ours.shapes]

    def count(x: Tensor) -> None:
        for example in x:
            active = [example > 0]
            for weight, bias in zip(ours.weights, ours.biases, strict=True):
                # ReLU passes what is positive; the last layer's logits count as they are.
                example = weight[0] @ (example.clamp_min(0) if len(active) > 1 else example) + bias[0]
                active.append(example > 0)
            for total, i, j in zip(expected, active, active[1:], strict=False):
                total += j[:, None] & i[None, :]

    for x, y in batches()[:3]:
        count(x)
        ours.train_batch(x[None], y[None], epoch=1, rate=full_rate(ours))
    test_x, test_y = batches()[4]
    if rules == "legacy_2019":
        count(test_x)
    ours.evaluate(test_x[None], test_y[None])
    assert ours.coactivation is not None
    for total, each in zip(ours.coactivation, expected, strict=True):
        assert torch.equal(total[0], each)
        assert 0 < each.max() <= 4 * BATCH
    ours.end_epoch()
    assert all((total == 0).all() for total in ours.coactivation)


def test_momentum_of_inactive_positions_integrates_the_dense_gradient_under_legacy() -> None:
    legacy = {"rules": "legacy_2019", "momentum": 0.8, "weight_decay": 0.0, "hebbian_grow": False}
    config = Config.of({**BASE, **legacy})
    ours = TorchEngine(plan([config]))
    velocity = [torch.zeros(shape) for shape in ours.shapes]
    for x, y in batches()[:5]:
        # The gradient of a network whose weights are not multiplied by a mask.
        network = reference(ours, 0, config)
        for layer, linear in enumerate(network[::2]):
            linear.mask = torch.ones_like(linear.weight)
            assert torch.equal(linear.weight, ours.weights[layer][0])
        F.cross_entropy(network(x), y).backward()
        velocity = [0.8 * v + linear.weight.grad for v, linear in zip(velocity, network[::2], strict=True)]
        ours.train_batch(x[None], y[None], epoch=1, rate=full_rate(ours))
    for layer, (v, mask) in enumerate(zip(velocity, ours.masks, strict=True)):
        state = ours.optimizer[layer]["velocity"]
        torch.testing.assert_close(state[0], v, rtol=1e-4, atol=1e-6)
        assert state[~mask].abs().max() > 0
        assert (ours.weights[layer][~mask] == 0).all()

    before = copy.deepcopy(ours.optimizer)
    updates, _ = ours.update_masks(UpdateContext(1, share_done=0.5, drop_scale=1.0, stopped=torch.tensor([False])))
    torch.testing.assert_close(ours.optimizer, before, rtol=0, atol=0)
    x, y = batches()[5]
    ours.train_batch(x[None], y[None], epoch=2, rate=full_rate(ours))
    for weight, update, state in zip(ours.weights, updates, ours.optimizer, strict=False):
        assert update.grown.any()
        # A new weight jumps at its first step by all the momentum that has built up.
        torch.testing.assert_close(weight[update.grown], -0.1 * state["velocity"][update.grown])


@pytest.mark.parametrize("optim_alg", ["SGD", "Adam"])
def test_a_mask_update_zeroes_the_state_of_what_it_drops_and_grows_and_no_other(optim_alg: str) -> None:
    ours = TorchEngine(plan(pack(model="SET", optim_alg=optim_alg, learning_rate=0.01)))
    for x, y in batches()[:4]:
        ours.train_batch(x[None], y[None], epoch=1, rate=full_rate(ours))
    before = copy.deepcopy((ours.masks, ours.weights, ours.optimizer))
    stopped = torch.tensor([False, True, False])
    updates, failed = ours.update_masks(UpdateContext(1, share_done=0.1, drop_scale=1.0, stopped=stopped))
    assert not failed.any()
    for layer, update in enumerate(updates):
        mask, weight, state = (each[layer] for each in before)
        assert torch.equal(ours.masks[layer], update.mask)
        kept = mask & update.mask
        for old, new in [
            (weight, ours.weights[layer]),
            *zip(state.values(), ours.optimizer[layer].values(), strict=True),
        ]:
            assert torch.equal(new, torch.where(kept, old, 0.0))
        # The first trial has changed; the second was stopped, the third is dense.
        assert update.grown.sum((-2, -1)).tolist() == [(~update.mask & mask).sum((-2, -1)).tolist()[0], 0, 0]
        assert update.grown[0].any()
        assert torch.equal(update.mask[1:], mask[1:])
        assert torch.equal(update.kept[1], mask[1])
