"""Lottery tickets: held against Frankle and Carbin's procedure in plain torch, and what each key does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from support.plain_torch import Plain, of_first_trial, plain_test

from dynsparse.config import Config, ConfigError
from dynsparse.data import epoch_order, load_dataset
from dynsparse.planning.plan import plan
from dynsparse.studies import Parameters
from dynsparse.training import first_training_cache
from dynsparse.training.trainer import Row, Trainer, TrialError

pytest.importorskip("numba")
pytestmark = pytest.mark.usefixtures("one_thread")

BASE = {
    "study": "ticket", "dataset_name": "digits", "network": "MLP", "model": "Dense", "hidden_sizes": [20, 12],
    "batch_size": 64, "epochs": 2, "learning_rate": 0.05, "prune_ratio": 0.75, "prune_iter": 2,
}  # fmt: skip
ADAM = {"optim_alg": "Adam", "learning_rate": 0.002, "weight_decay": 0.0}
# Steps of an epoch: 1437 examples in batches of 64, and of all of the first training.
N_BATCHES, N_STEPS = 23, 46
ENGINES = pytest.mark.parametrize("engine", ["torch", "sparse"])


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    first_training_cache.clear()


def trainer(**values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values})])


def steps(each: Trainer) -> Iterator[tuple[Row, Parameters]]:
    """The rows that are left, each with the network after it."""
    while not each.is_done:
        (row,) = each.step()
        assert row is not None
        yield row, of_first_trial(each.parameters())


def ends_of_rounds(**values: Any) -> list[Parameters]:
    """The networks with which the rounds end."""
    return [network for _, network in steps(trainer(**values))][1::2]


def frozen(**values: Any) -> list[Parameters]:
    """As `ends_of_rounds`, without learning: a round ends with the network that it began with."""
    return ends_of_rounds(learning_rate=0.0, weight_decay=0.0, **values)


def frankle_and_carbin(config: Config, start: Parameters) -> Iterator[Plain]:
    """The network after each epoch of all rounds."""
    fraction = 1 - (1 - config.prune_ratio) ** (1 / config.prune_iter)
    early, network = Plain(config, *start), Plain(config, *start)
    early.train(range(1, config.epochs + 1), n_steps=config.rewind_step)
    for number in range(config.prune_iter + 1):
        if number > 0:
            masks = []
            for layer, (weight, mask) in enumerate(zip(network.parameters.weights, network.masks, strict=True)):
                rate = config.last_layer_rate if layer == len(start.weights) - 1 else 1.0
                active = mask.flatten().nonzero()[:, 0].tolist()
                by_magnitude = weight.abs().flatten()[active].argsort().tolist()
                left = mask.flatten().clone()
                left[[active[i] for i in by_magnitude[: round(fraction * rate * len(active))]]] = False
                masks.append(left.view_as(mask))
            network = Plain(config, early.parameters.weights, early.parameters.biases, masks)
        for epoch in range(1, config.epochs + 1):
            network.train([number * config.epochs + epoch])
            yield network


# The procedure


@ENGINES
@pytest.mark.parametrize(
    "other",
    [
        {},
        {"prune_iter": 3, "prune_ratio": 0.9, "last_layer_rate": 1.0, **ADAM},
        {"prune_iter": 1, "last_layer_rate": 0.0, "momentum": 0.0, "weight_decay": 0.01},
        {"rewind_step": 7, "seed": 3},
        {"rewind_step": N_BATCHES + 4, **ADAM},
        {"hidden_sizes": []},
        {"hidden_sizes": [1], "last_layer_rate": 1.0},
        {"prune_ratio": 1.0},
        {"prune_ratio": 0.0},
    ],
    ids=str,
)
def test_a_ticket_is_that_of_frankle_and_carbin(engine: str, other: dict[str, Any]) -> None:
    config = Config.of({**BASE, **other, "engine": engine})
    each, digits = Trainer([config]), load_dataset("digits")
    plain = frankle_and_carbin(config, of_first_trial(each.parameters()))
    for row, (weights, biases, masks) in steps(each):
        network = next(plain)
        assert all(torch.equal(a, b) for a, b in zip(masks, network.masks, strict=True))
        assert not any(weight[~mask].any() for weight, mask in zip(weights, masks, strict=True))
        for ours, theirs in zip((weights, biases), network.parameters[:2], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
        # Of 360 examples one may stand on the border.
        assert row["val_acc"] == pytest.approx(network.accuracy(), abs=1.5 / 360)
        loss, accuracy = plain_test(digits.test_x, digits.test_y, weights, biases)
        assert (row["val_loss"], row["val_acc"]) == (pytest.approx(loss, rel=1e-5), accuracy)
        assert row["density"] == sum(int(m.sum()) for m in masks) / sum(m.numel() for m in masks)
    assert next(plain, None) is None


@ENGINES
def test_the_first_training_is_an_ordinary_one(engine: str) -> None:
    rows = [row for row, _ in steps(trainer(engine=engine))]
    ordinary = [row for row, _ in steps(trainer(engine=engine, study="train"))]
    of_round = {"round": 0, "pruned_wanted": 0.0}
    # NaN is equal to nothing; its text is.
    assert repr(rows[:2]) == repr([{**row, **of_round} for row in ordinary])
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert [row["round"] for row in rows] == [0, 0, 1, 1, 2, 2]


# What is pruned


@pytest.mark.parametrize(("rate", "last"), [(0.5, [120, 90, 68]), (1.0, [120, 60, 30]), (0.0, [120, 120, 120])])
@pytest.mark.parametrize("criterion", ["l1", "random"])
def test_so_many_are_left(rate: float, last: list[int], criterion: str) -> None:
    # 0.75 in two rounds is a half in each. In the last layer a half of 30/120, then 22.5 of 90: 22, the even one.
    all_steps = list(steps(trainer(last_layer_rate=rate, criterion=criterion)))
    counts = [[int(mask.sum()) for mask in network.masks] for _, network in all_steps]
    of_rounds = [[1280, 240, last[0]], [640, 120, last[1]], [320, 60, last[2]]]
    assert counts == [each for each in of_rounds for _ in range(2)]
    assert [row["density"] for row, _ in all_steps] == [sum(each) / 1640 for each in counts]
    assert [row["pruned_wanted"] for row, _ in all_steps] == pytest.approx([0, 0, 0.5, 0.5, 0.75, 0.75])


@pytest.mark.parametrize("prune_iter", [1, 3, 5])
def test_all_rounds_together_prune_what_is_wanted(prune_iter: int) -> None:
    values = {"prune_ratio": 0.8, "prune_iter": prune_iter, "last_layer_rate": 1.0}
    all_steps = list(steps(trainer(**values)))
    (row, network) = all_steps[-1]
    assert row["pruned_wanted"] == pytest.approx(0.8)
    for mask in network.masks:
        # Each round prunes a whole number.
        assert abs(int(mask.sum()) - 0.2 * mask.numel()) <= 0.5 * prune_iter
    for (_, earlier), (_, later) in pairwise(all_steps):
        assert not any((b & ~a).any() for a, b in zip(earlier.masks, later.masks, strict=True))


def test_at_random_magnitudes_do_not_count() -> None:
    slow, fast, other_seed = (
        [net.masks for net in ends_of_rounds(criterion="random", **values)]
        for values in ({"learning_rate": 0.001}, {"learning_rate": 0.1}, {"seed": 1})
    )
    assert all(torch.equal(a, b) for x, y in zip(slow, fast, strict=True) for a, b in zip(x, y, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(slow[1], other_seed[1], strict=True))
    by_magnitude = [net.masks for net in ends_of_rounds(criterion="l1")]
    # Two random halves of 1280 share a quarter of the positions, give or take; so do a random one and another.
    for round_one in (other_seed[1], by_magnitude[1]):
        assert 0.18 < (slow[1][0] & round_one[0]).double().mean() < 0.32
    # Of the half that was left, too, no place is favoured.
    first, second = (masks[0].flatten() for masks in slow[1:])
    share_of_halves = [float(second[part][first[part]].double().mean()) for part in (slice(0, 640), slice(640, None))]
    assert all(0.4 < share < 0.6 for share in share_of_halves)


# What it goes back to


@ENGINES
def test_reinitialised_weights_are_new_ones_in_every_round(engine: str) -> None:
    values = {"init": "reinit", "prune_iter": 3, "engine": engine}
    original = of_first_trial(trainer(**values).parameters())
    rounds, again = frozen(**values), frozen(**values)
    first_training_cache.clear()
    other_seed = frozen(seed=1, **values)
    for ours, same in zip(rounds, again, strict=True):
        for a, b in zip(ours, same, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    networks = [*rounds, *other_seed]
    for i, one in enumerate(networks):
        for other in networks[:i]:
            for a, b, mask in zip(
                one.weights, other.weights, (x & y for x, y in zip(one.masks, other.masks, strict=True)), strict=True
            ):
                # They are multiples of 2**-24 of their range: some may be equal by chance.
                assert (a[mask] != b[mask]).double().mean() > 0.99
            assert all((a != b).double().mean() > 0.99 for a, b in zip(one.biases, other.biases, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(rounds[0].weights, original.weights, strict=True))
    for network in rounds:
        for weight, bias, mask in zip(*network, strict=True):
            assert bias.abs().max() <= weight.shape[1] ** -0.5
            assert not weight[~mask].any()
            # U(-1, 1) times the square root of 3 gain^2 / n for the n active inputs of the new mask.
            gain = 1.0 if weight is network.weights[0] else 2**0.5
            relative = (weight / (gain * (3 / mask.sum(1, keepdim=True).clamp(min=1)).sqrt()))[mask]
            assert relative.abs().max() <= 1 + 1e-6
            assert relative.square().mean() == pytest.approx(1 / 3, rel=0.35)


@ENGINES
@pytest.mark.parametrize("rewind_step", [0, 1, 10, N_BATCHES - 1, N_BATCHES, N_BATCHES + 1, N_STEPS - 1])
def test_it_goes_back_to_the_network_before_that_step(engine: str, rewind_step: int) -> None:
    values = {"rewind_step": rewind_step, "engine": engine, "learning_rate": 0.02}
    each = trainer(**values)
    plain = Plain(Config.of({**BASE, **values}), *of_first_trial(each.parameters()))
    plain.train([1, 2], n_steps=rewind_step)
    undivided = trainer(study="train", engine=engine, learning_rate=0.02)
    for epoch in (1, 2):
        assert ("early" in each.state_dict()["kept"]) == (rewind_step < (epoch - 1) * N_BATCHES)
        each.step(), undivided.step()
    early = Parameters(*each.state_dict()["kept"]["early"][:3])
    for ours, theirs in zip(of_first_trial(early), plain.parameters, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    # That an epoch is interrupted makes no difference to it.
    for ours, theirs in zip(each.parameters(), undivided.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_it_goes_back_to_the_weights_and_the_biases_in_every_round() -> None:
    # What does not learn after the first training shows what it began with: its optimiser, that of a trial without
    # learning, is put in between.
    values = {"prune_iter": 3, "rewind_step": 5}
    each, without_learning = trainer(**values), trainer(**values, learning_rate=0.0, weight_decay=0.0)
    each.step(), each.step()
    early = Parameters(*each.state_dict()["kept"]["early"][:3])
    without_learning.load_state_dict(each.state_dict())
    trained = of_first_trial(each.parameters())
    rounds = [network for _, network in steps(without_learning)][::2]
    for network in rounds:
        for weight, bias, mask, at_first, its_bias in zip(*network, *of_first_trial(early)[:2], strict=True):
            torch.testing.assert_close(weight, at_first * mask, rtol=0, atol=0)
            torch.testing.assert_close(bias, its_bias, rtol=0, atol=0)
    assert not torch.equal(rounds[0].biases[0], trained.biases[0])


def test_batch_norm_goes_back_with_it() -> None:
    # Without learning the moments of the first layer follow from the examples alone.
    values = {"rewind_step": 9, "batch_norm": True, "prune_iter": 1, "epochs": 1, "learning_rate": 0.0}
    each, digits, size = trainer(weight_decay=0.0, **values), load_dataset("digits"), BASE["batch_size"]
    weight, bias = (layers[0][0] for layers in each.parameters()[:2])
    _, (_, (_, _, masks)) = steps(each)
    mean = torch.zeros(20)
    for epoch, seen, active in [(1, slice(0, 9), 1.0), (2, slice(0, 23), masks[0])]:
        for batch in epoch_order(1437, 0, epoch).split(size)[seen]:
            mean = 0.9 * mean + 0.1 * (digits.train_x[batch] @ (weight * active).T + bias).mean(0)
    torch.testing.assert_close(each.engine.state_dict()["means"][0][0], mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rewind_step", [N_STEPS, 10_000])
def test_a_step_beyond_the_first_training_is_refused(rewind_step: int) -> None:
    message = (
        r"rewind_step must be below 46, the number of steps of the first training \(epochs=2 of 23 steps\), "
        rf"got {rewind_step}\. Lower rewind_step\."
    )
    with pytest.raises(TrialError, match=message):
        trainer(rewind_step=rewind_step)
    # New weights go back to no step.
    trainer(rewind_step=rewind_step, init="reinit")


# Other networks


@pytest.mark.parametrize("model", ["SET", "RigL", "GMP", "DSNNMixedHeb"])
def test_a_method_that_updates_masks_is_refused(model: str) -> None:
    message = f"cannot be combined with the mask updates of model='{model}'. Set model='Dense' or 'SparseModel', or"
    with pytest.raises(ConfigError, match=message):
        trainer(model=model)
    if model != "GMP":
        assert plan([Config.of({**BASE, "model": model, "pruning_active": False})]).updates is None


@ENGINES
@pytest.mark.parametrize("init", ["original", "reinit"])
def test_a_sparse_network_with_k_winners_loses_its_share_of_what_is_active(engine: str, init: str) -> None:
    values = {"model": "SparseModel", "on_perc": 0.5, "network": "MLPHeb", "kwinners": True, "init": init}
    each = trainer(engine=engine, prune_ratio=0.5, prune_iter=1, epochs=6, **values)
    before = of_first_trial(each.parameters()).masks
    *_, (row, (weights, _, masks)) = steps(each)
    assert [int(mask.sum()) for mask in before] == [640, 120, 60]
    assert [int(mask.sum()) for mask in masks] == [320, 60, 45]
    assert not any((b & ~a).any() for a, b in zip(before, masks, strict=True))
    assert not any(weight[~mask].any() for weight, mask in zip(weights, masks, strict=True))
    assert row["val_acc"] > 0.5
