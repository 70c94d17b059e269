"""Mask updates counted in optimizer steps: beside a plain RigL loop, in all engines, in packs and after a resume."""

from __future__ import annotations

import io
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.plain_torch import of_first_trial, plain_logits
from torch import Tensor

from dynsparse.config import Config
from dynsparse.data import epoch_order, load_dataset
from dynsparse.engines.base import UpdateContext, tie_noise
from dynsparse.random import Purpose, Stream, noise
from dynsparse.studies import Parameters
from dynsparse.training.trainer import Row, Trainer, TrialError

ENGINES = ("sparse", "torch", "packed")
STEPS_PER_EPOCH = 5
BASE = {"dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "on_perc": 0.3, "epochs": 4}

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")


def trainer(*trials: dict[str, Any], **values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values, **trial}) for trial in trials or ({},)])


def masks_after_updates(each: Trainer) -> list[list[Tensor]]:
    """A list that fills with the masks of the first trial after each update."""
    update_masks, seen = each.engine.update_masks, []

    def watched(*args: Any) -> Any:
        result = update_masks(*args)
        seen.append([mask[0].clone() for mask in each.engine.masks])
        return result

    each.engine.update_masks = watched  # type: ignore[method-assign]
    return seen


def plain_rigl(
    config: Config, start: Parameters, interval: int, n_updates: int
) -> tuple[Parameters, list[list[Tensor]]]:
    """RigL in plain torch: the parameters at the end, and the masks after each update."""
    data, seen, step = load_dataset(config.dataset_name), [], 0
    weights = [weight.clone().requires_grad_() for weight in start.weights]
    biases, masks = [bias.clone().requires_grad_() for bias in start.biases], list(start.masks)
    optimizer = torch.optim.SGD(
        [*weights, *biases], config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )
    for epoch in range(1, config.epochs + 1):
        for batch in epoch_order(len(data.train_y), config.seed, epoch).split(config.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(plain_logits(data.train_x[batch], weights, biases), data.train_y[batch]).backward()
            gradients = [weight.grad.clone() for weight in weights]
            for weight, mask in zip(weights, masks, strict=True):
                weight.grad *= mask
            optimizer.step()
            step += 1
            if step % interval == 0 and step <= n_updates * interval:
                share = 0.3 * (1 + math.cos(math.pi * step / ((n_updates + 1) * interval))) / 2
                for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
                    old, n = masks[i], round(share * int(masks[i].sum()))
                    new = old.flatten().clone()
                    new[weight.detach().abs().masked_fill(~old, math.inf).flatten().argsort()[:n]] = False
                    new[gradient.abs().masked_fill(old, -1).flatten().argsort(descending=True)[:n]] = True
                    masks[i] = new.view_as(old)
                    with torch.no_grad():
                        weight *= masks[i]
                    optimizer.state[weight]["momentum_buffer"] *= masks[i] & old
                seen.append(list(masks))
    return Parameters([each.detach() for each in weights], [each.detach() for each in biases], masks), seen


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("interval", "end", "n_updates"),
    [(2, {}, 9), (3, {"pruning_end": 0.75}, 5), (5, {}, 3), (7, {"pruning_end_step": 14}, 2), (17, {}, 1)],
    ids=str,
)
def test_rigl_is_a_plain_loop_with_an_update_after_every_n_steps(
    engine: str, interval: int, end: dict[str, Any], n_updates: int
) -> None:
    values = {"model": "RigL", "prune_decay": "cosine", "pruning_interval_steps": interval, "engine": engine, **end}
    each = trainer(seed=3, **values)
    config = Config.of({**BASE, "seed": 3, **values})
    wanted, wanted_masks = plain_rigl(config, of_first_trial(each.parameters()), interval, n_updates)
    seen = masks_after_updates(each)
    while not each.is_done:
        each.step()
    assert len(seen) == len(wanted_masks) == n_updates
    for ours, theirs in zip(seen, wanted_masks, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    found = of_first_trial(each.parameters())
    # The order of additions differs.
    torch.testing.assert_close(found.weights, wanted.weights, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.biases, wanted.biases, rtol=1e-4, atol=1e-5)


METHODS = [
    {"model": "SET"},
    {"model": "RigL", "prune_decay": "cosine"},
    {"model": "DSNNHeb", "pruning_end": 0.5},
    {"model": "DSNNMixedHeb", "kwinners": True},
    {"model": "GMP"},
    {"model": "GraNet", "initial_density": 0.6},
    {"model": "SNFS", "engine": "torch"},
    {"model": "RandomPrune", "optim_alg": "Adam", "learning_rate": 0.01},
]


@pytest.mark.parametrize("values", METHODS, ids=str)
def test_an_update_after_the_steps_of_an_epoch_is_one_after_the_epoch(values: dict[str, Any]) -> None:
    in_epochs = trainer(**values)
    in_steps = trainer(**values, pruning_interval_steps=STEPS_PER_EPOCH)
    assert repr([in_epochs.step() for _ in range(4)]) == repr([in_steps.step() for _ in range(4)])


@pytest.mark.parametrize("model", ["SET", "RigL", "GMP"])
def test_so_it_is_with_two_epochs(model: str) -> None:
    in_epochs = trainer(model=model, pruning_interval=2, epochs=6)
    in_steps = trainer(model=model, pruning_interval_steps=2 * STEPS_PER_EPOCH, epochs=6)
    assert repr([in_epochs.step() for _ in range(6)]) == repr([in_steps.step() for _ in range(6)])


@pytest.mark.parametrize("values", METHODS, ids=str)
@pytest.mark.parametrize("interval", [3, 7])
def test_engines_agree(values: dict[str, Any], interval: int) -> None:
    engines = ENGINES if values["model"] != "SNFS" else ("torch", "packed")
    found = []
    for engine in engines:
        each = trainer(**{**values, "engine": engine}, pruning_interval_steps=interval)
        seen = masks_after_updates(each)
        while not each.is_done:
            each.step()
        found.append((seen, each.parameters()))
    (first_masks, first), *others = found
    assert first_masks
    for masks, parameters in others:
        assert all(
            torch.equal(a, b)
            for one, two in zip(first_masks, masks, strict=True)
            for a, b in zip(one, two, strict=True)
        )
        torch.testing.assert_close(parameters.weights, first.weights, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("values", [*METHODS, *({"model": "DSNNHeb", "engine": each} for each in ENGINES[1:])], ids=str)
@pytest.mark.parametrize("interval", [3, 7])
def test_a_resumed_trial_is_bit_identical(values: dict[str, Any], interval: int) -> None:
    trials = [{"seed": 1, "weight_prune_perc": 0.5}, {"seed": 2}]
    rule = {"pruning_es": True, "pruning_es_window_size": 2, "pruning_es_threshold": 0.3}
    undisturbed, interrupted, resumed = (
        trainer(*trials, **values, **rule, pruning_interval_steps=interval) for _ in range(3)
    )
    for each in (undisturbed, interrupted):
        each.step()
        each.step()
    file = io.BytesIO()
    torch.save(interrupted.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert repr([resumed.step() for _ in range(2)]) == repr([undisturbed.step() for _ in range(2)])
    torch.testing.assert_close(resumed.state_dict(), undisturbed.state_dict(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("second", ENGINES)
@pytest.mark.parametrize("first", ENGINES)
def test_each_engine_resumes_the_counts_of_each_other(first: str, second: str) -> None:
    values = {"model": "DSNNHeb", "pruning_interval_steps": 7}
    undisturbed, begun, resumed = (trainer(**values, engine=name) for name in (second, first, second))
    seen, later = masks_after_updates(undisturbed), masks_after_updates(resumed)
    begun.step()
    resumed.load_state_dict(begun.state_dict())
    for _ in range(4):
        undisturbed.step()
    for _ in range(3):
        resumed.step()
    assert len(seen) == 2
    for ours, theirs in zip(seen, later, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_coactivation_is_counted_from_one_update_to_the_next(engine: str) -> None:
    # Nothing is learned or pruned, so that the network is the same for all batches.
    frozen = {"learning_rate": 0.0, "weight_decay": 0.0, "weight_prune_perc": 0.0}
    each = trainer(model="DSNNHeb", pruning_interval_steps=7, engine=engine, seed=4, **frozen)
    update_masks, counts = each.engine.update_masks, []

    def watched(*args: Any) -> Any:
        now: Any = getattr(each.engine, "coactivation" if engine == "torch" else "_coactivation")
        counts.append([total[0].clone() for total in (now() if engine == "sparse" else now)])
        return update_masks(*args)

    each.engine.update_masks = watched  # type: ignore[method-assign]
    network, data = of_first_trial(each.parameters()), load_dataset("blobs")
    while not each.is_done:
        each.step()
    batches = [batch for epoch in range(1, 5) for batch in epoch_order(len(data.train_y), 4, epoch).split(32)]
    assert len(counts) == 2
    for number, found in enumerate(counts):
        x = data.train_x[torch.cat(batches[7 * number : 7 * number + 7])]
        layers = [x]
        for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            layers.append(F.linear(layers[-1].relu() if layer else x, weight, bias))
        for total, before, after in zip(found, layers, layers[1:], strict=False):
            assert torch.equal(total, (after > 0).float().T @ (before > 0).float())


def test_the_density_of_gmp_falls_over_steps() -> None:
    # Updates after steps 3, 6, 9 and 12 of 15: one in the first epoch, two in the second, one in the third.
    each, sizes = trainer(model="GMP", on_perc=0.1, epochs=3, pruning_interval_steps=3), [32 * 24, 24 * 16, 16 * 5]
    rows = rest(each)
    for layer, n in enumerate(sizes):
        final = round(0.1 * n)
        left = [final + round((1 - share) ** 3 * (n - final)) for share in (0, 1 / 4, 3 / 4, 1)]
        assert [row[f"mask_sizes_l{layer}"] for row in rows] == left[1:]
        assert [row[f"density_l{layer}"] * n for row in rows] == pytest.approx(left[1:])


def test_gradual_pruning_without_an_update_is_refused_when_the_data_are_known() -> None:
    message = (
        "A method that prunes gradually must have a mask update, but none is due in the 20 steps of the training with "
        "pruning_interval_steps=20. Lower pruning_interval_steps, or raise epochs, pruning_end or pruning_end_step."
    )
    with pytest.raises(TrialError) as raised:
        trainer(model="GMP", pruning_interval_steps=20)
    assert str(raised.value) == message
    assert trainer(model="GMP", pruning_interval_steps=19)


def rest(each: Trainer) -> list[Row]:
    """The rows of the first trial."""
    rows = []
    while not each.is_done:
        row = each.step()[0]
        assert row is not None
        rows.append(row)
    return rows


def test_a_row_has_the_sums_of_its_updates() -> None:
    # Updates after steps 2, 4, 6 and 8 of 10: two in each epoch.
    each = trainer(model="SET", epochs=2, pruning_interval_steps=2, prune_decay="cosine", weight_prune_perc=0.5)
    start, seen = [mask[0].clone() for mask in each.engine.masks], masks_after_updates(each)
    rows = rest(each)
    assert len(seen) == 4
    for layer, n in enumerate([32 * 24, 24 * 16, 16 * 5]):
        masks = [start[layer], *(update[layer] for update in seen)]
        grown = [int((new & ~old).sum()) for old, new in pairwise(masks)]
        kept = [int((new & old).sum()) for old, new in pairwise(masks)]
        alive = [int((masks[i + 1] & ~masks[i] & masks[i + 2]).sum()) / grown[i] for i in range(3)]
        for row, pair, survival in zip(rows, ([0, 1], [2, 3]), ([alive[0]], alive[1:]), strict=True):
            assert row[f"added_synapses_l{layer}"] == pytest.approx(sum(grown[i] for i in pair) / n)
            assert row[f"missing_weights_l{layer}"] == row[f"added_synapses_l{layer}"]
            assert row[f"weight_keep_mask_l{layer}"] == min(kept[i] for i in pair) / n
            assert row[f"mask_sizes_l{layer}"] == int(masks[pair[1] + 1].sum())
            assert row[f"surviving_synapses_l{layer}"] == pytest.approx(sum(survival) / len(survival))


@pytest.mark.parametrize("values", METHODS, ids=str)
def test_a_trial_of_a_pack_gives_what_it_gives_alone(values: dict[str, Any]) -> None:
    trials = [{"seed": seed, "on_perc": on_perc} for seed, on_perc in [(1, 0.3), (1, 0.1), (2, 0.5)]]
    rule = {"pruning_es": True, "pruning_es_window_size": 1, "pruning_es_threshold": 0.8, "pruning_es_patience": 1}
    values = {**values, **rule, "pruning_interval_steps": 2}
    pack = trainer(*trials, **values)
    together = [pack.step() for _ in range(4)]
    alone = [rest(trainer(trial, **values)) for trial in trials]
    for place, rows in enumerate(alone):
        for row, of_pack in zip(rows, together, strict=True):
            found = of_pack[place]
            assert found is not None
            # Engines of dense tensors round differently at another width.
            exact = values.get("engine") != "torch"
            assert found == (pytest.approx(row, nan_ok=True, rel=0 if exact else 1e-4, abs=0 if exact else 1e-6))


def test_updates_end_within_an_epoch_once_grown_weights_no_longer_survive() -> None:
    # A survival below 1 counts as low, so that no update follows the second one.
    rule = {"pruning_es": True, "pruning_es_window_size": 1, "pruning_es_threshold": 1.0}
    each = trainer(model="SET", pruning_interval_steps=2, **rule)
    seen = masks_after_updates(each)
    rows = rest(each)
    assert len(seen) == 2
    assert [row["added_synapses_l0"] > 0 for row in rows] == [True, False, False, False]


def test_an_update_is_named_by_its_epoch_and_step_and_one_at_the_end_of_an_epoch_by_the_epoch() -> None:
    each, seen = trainer(model="SET", epochs=2, pruning_interval_steps=1), []
    update_masks = each.engine.update_masks

    def watched(when: UpdateContext) -> Any:
        seen.append((when.epoch, when.step))
        return update_masks(when)

    each.engine.update_masks = watched  # type: ignore[method-assign]
    rest(each)
    assert seen == [(1, 1), (1, 2), (1, 3), (1, 4), (1, 0), (2, 1), (2, 2), (2, 3), (2, 4)]


def test_updates_of_one_epoch_draw_different_noise_and_one_after_an_epoch_draws_what_it_drew() -> None:
    plan = trainer(model="SET").plan
    drawn = [tie_noise(plan, Purpose.GROW, layer=1, epoch=2, step=step) for step in (0, 1, 2)]
    assert not any(torch.equal(drawn[i], drawn[i + 1]) for i in range(2))
    assert torch.equal(drawn[0][0], noise((16, 24), Stream(plan.seeds[0], Purpose.GROW, layer=1, epoch=2)))
