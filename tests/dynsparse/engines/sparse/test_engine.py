"""Compare the sparse engine with the torch engine: same masks, same numbers to rounding, same saved states."""

from __future__ import annotations

import copy
import io
import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.paired_runs import assert_same_updates

from dynsparse import engines
from dynsparse.config import Config
from dynsparse.data import Images, load_dataset
from dynsparse.engines import EngineChoice, choose
from dynsparse.engines.base import Engine
from dynsparse.engines.packed.engine import PackedEngine
from dynsparse.engines.torch import TorchEngine
from dynsparse.planning.plan import Plan, plan
from dynsparse.results.trial_folder import identity
from dynsparse.training.trainer import Row, Trainer

SparseEngine = pytest.importorskip("dynsparse.engines.sparse.engine").SparseEngine
pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

SMALL = {"dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "epochs": 8, "on_perc": 0.3}
DIGITS = {"dataset_name": "digits", "hidden_sizes": [40, 30], "batch_size": 100, "on_perc": 0.2, "learning_rate": 0.05}
# Boost strengths at which exp(-boost * duty) is 0 in float32 for units that win often.
STRONG = [61.0, 300.0, 1e20, 3e38]
ADAM = {"optim_alg": "Adam", "learning_rate": 0.001}


def trainer(*trials: dict[str, Any], **values: Any) -> Trainer:
    return Trainer([Config.of({**values, **trial}) for trial in trials or ({},)])


def both(*trials: dict[str, Any], **values: Any) -> tuple[Trainer, Trainer]:
    """Return a trainer with the sparse engine and one with the torch engine."""
    sparse, dense = (trainer(*trials, **{**values, "engine": engine}) for engine in ("sparse", "torch"))
    assert isinstance(sparse.engine, SparseEngine)
    assert isinstance(dense.engine, TorchEngine)
    return sparse, dense


def only(rows: list[Row | None]) -> Row:
    (row,) = rows
    assert row is not None
    return row


def accuracies(row: Row) -> Row:
    return {name: number for name, number in row.items() if name.endswith("_acc")}


def assert_same(ours: Trainer, theirs: Trainer, tolerance: float = 1e-5) -> None:
    """Compare masks exactly, and the rest of the saved state to rounding."""
    for layer, (a, b) in enumerate(zip(ours.engine.masks, theirs.engine.masks, strict=True)):
        assert torch.equal(a, b), f"epoch {ours.epoch}, layer {layer}: {int((a != b).sum())} positions differ"
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=tolerance, atol=tolerance, equal_nan=True)


def train_as_one(ours: Trainer, theirs: Trainer, n_epochs: int) -> None:
    for _ in range(n_epochs):
        for row, expected in zip(ours.step(), theirs.step(), strict=True):
            assert row is not None
            assert expected is not None
            assert accuracies(row) == accuracies(expected)
            # The confidences of all examples round apart, and one at the end of an interval may move to the next one.
            assert row.pop("val_ece") == pytest.approx(expected.pop("val_ece"), abs=0.01)
            assert row == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)
        assert_same(ours, theirs)


def saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# Comparison with the torch engine

METHODS = [
    {"model": "DSNNMixedHeb"},
    {"model": "DSNNMixedHeb", "hebbian_grow": False},
    *(
        {"model": model}
        for model in ("SET", "DSNNHeb", "DSNNWeightedMag", "RigL", "GMP", "RandomPrune", "MEST", "GraNet", "SRigL")
    ),
    {"model": "SparseModel"},
    {"model": "Dense"},
    {"model": "CHT", "overlap_limit": 1.0},
    {"model": "CHTs"},
    {"model": "CHTss", "initial_density": 0.5},
]


@pytest.mark.parametrize(
    "values",
    [
        *METHODS,
        *({**METHODS[i], "kwinners": True} for i in (0, 2, 5, 6)),
        *({**METHODS[i], **ADAM} for i in (0, 2, 6)),
        {"model": "RigL", "kwinners": True, **ADAM},
        # Not SET, which counts the weights of each sign. Some pixels are constant, so batch norm leaves their weights a
        # gradient that is a rounding error, and grown ones its sign.
        *({**METHODS[i], "batch_norm": True} for i in (0, 5)),
        {"model": "DSNNMixedHeb", "batch_norm": True, "kwinners": True},
        {"model": "SET", "dropout": 0.2},
        {"model": "DSNNMixedHeb", "batch_norm": True, "kwinners": True, "dropout": 0.3},
    ],
    ids=lambda values: " ".join(str(value) for value in values.values()),
)
def test_each_mask_update_is_that_of_the_torch_engine(values: dict[str, Any]) -> None:
    # Four seeds on a quarter of the digits.
    trainers = both(*({"seed": seed} for seed in range(4)), **{**DIGITS, "val_fraction": 0.75, "epochs": 27, **values})
    assert_same_updates(*trainers)


@pytest.mark.parametrize("batch_size", [16, 100, 150, 1436, 10**9])
@pytest.mark.parametrize(
    "values",
    [
        {"kwinners": True},
        {"model": "RigL"},
        # Adam moves all weights that one update grew by the same amount in a first step: after an epoch of one step,
        # rounding decides which of them the next update drops.
        {"model": "SET", **ADAM, "pruning_interval": 2},
        # With seed 0, a unit is zero to rounding for one example, and rounding decides if it passes the gradient.
        {"dropout": 0.3, "seed": 1},
    ],
    ids=str,
)
def test_batches_of_any_length_with_a_shorter_last_one(values: dict[str, Any], batch_size: int) -> None:
    # Of 1437 examples, the last batch has 13, 37, 87, 1 and 1437.
    ours, theirs = both(**{**DIGITS, "epochs": 3, "batch_size": batch_size, **values})
    train_as_one(ours, theirs, 2)
    assert ours.engine.state_dict()["n_seen"] == 2 * 1437


@pytest.mark.parametrize("batch_size", [16, 150, 5000])
@pytest.mark.parametrize("kwinners", [False, True])
def test_batch_norm_and_dropout_in_batches_of_any_length(kwinners: bool, batch_size: int) -> None:
    values = {"batch_norm": True, "kwinners": kwinners, "batch_size": batch_size, "epochs": 3}
    # Rounding differs between types of CPU. After a second epoch of many steps, a unit may be on where it was off.
    n_epochs = 2 if batch_size > 1000 else 1
    train_as_one(*both({"seed": 0}, {"seed": 1, "dropout": 0.4}, **{**DIGITS, **values}), n_epochs)


@pytest.mark.parametrize("order", ["F", "slice"])
def test_images_may_lie_in_any_order_in_memory(order: str) -> None:
    ours = trainer(**{**DIGITS, "engine": "sparse"})
    (images,), labels = ours.splits.test
    expected = ours.engine.evaluate([images], labels)
    repeated = np.repeat(images.pixels, 2, axis=1)
    pixels = {"F": np.asfortranarray(images.pixels), "slice": repeated[:, ::2]}[order]
    assert not pixels.flags.c_contiguous
    found = ours.engine.evaluate(*ours.engine.prepare([replace(images, pixels=pixels)], labels))
    assert torch.equal(found.loss, expected.loss)


def test_images_whose_mean_is_far_from_zero_lose_no_digits() -> None:
    ours, theirs = both(**{**DIGITS, "epochs": 1})
    pixels = (254 + np.random.RandomState(0).randint(0, 2, (300, 64))).astype(np.uint8)
    images, labels = Images(pixels, mean=254.5, scale=2.0), ours.splits.test[1][:, :300]
    losses = [each.engine.evaluate(*each.engine.prepare([images], labels)).loss for each in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_trials_of_a_pack_with_strong_boosting_may_differ_in_their_winners() -> None:
    values = {"kwinners": True, "boost_strength": 300.0, "boost_strength_factor": 1.0, "epochs": 2}
    train_as_one(*both({"percent_on": 0.3}, {"percent_on": 0.5}, **{**DIGITS, **values}), 1)


def test_a_batch_of_one_example() -> None:
    ours, theirs = both(**{**SMALL, "batch_size": 1, "learning_rate": 0.001})
    train_as_one(ours, theirs, 2)
    assert ours.engine.state_dict()["n_steps"] == 320


@pytest.mark.parametrize("kwinners", [False, True])
@pytest.mark.parametrize("seeds", [(1, 2, 1), (5, 5)])
def test_held_out_examples_and_noisy_ones_are_those_of_each_seed(seeds: tuple[int, ...], kwinners: bool) -> None:
    trials = [{"seed": seed, "on_perc": 0.2 + 0.1 * i} for i, seed in enumerate(seeds)]
    values = {"val_fraction": 0.2, "noise_level": 0.3, "kwinners": kwinners, "k_inference_factor": 1.5, "epochs": 4}
    ours, theirs = both(*trials, **{**DIGITS, **values})
    train_as_one(ours, theirs, 3)
    row = ours.step()[0]
    assert row is not None
    assert len({row[f"{name}_loss"] for name in ("train", "val", "test", "noise")}) == 4


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_sizes": []},
        {"hidden_sizes": [1]},
        {"hidden_sizes": [20] * 6, "on_perc": 0.5},
        {"model": "Dense", "kwinners": True, "percent_on": 1.0},
        {"kwinners": True, "duty_cycle_period": 20, "boost_strength": 5.0, "boost_strength_factor": 0.5},
        *({"kwinners": True, "boost_strength": strength, "boost_strength_factor": 1.0} for strength in STRONG),
        {"kwinners": True, "boost_strength": 1000.0, "boost_strength_factor": 0.1},
        {"sparse_type": "exact_per_output", "first_layer_dense": True},
        {"sparse_type": "bernoulli", "layer_densities": "erdos_renyi", "last_layer_dense": True},
        {"model": "RigL", "pruning_interval": 2, "prune_decay": "cosine"},
        {"model": "GMP", "on_perc": 0.02},
        {"model": "GraNet", "on_perc": 0.1, "initial_density": 0.5, "layer_densities": "erdos_renyi"},
        {"hebbian_prune_perc": 1.0, "weight_prune_perc": 1.0, "hebbian_grow": False},
        {"model": "SET", "pruning_es": True, "pruning_es_threshold": 1.0, "pruning_es_window_size": 2},
        {"network": "MLP", "momentum": 0.0, "weight_decay": 0.1},
        {"model": "SNFS", "pruning_active": False},
        {"debug_weights": False, "debug_sparse": False, "test_noise": False},
        *({"batch_norm": True, "model": model} for model in ("SET", "RigL", "GMP")),
        {"batch_norm": True, "optim_alg": "SGD", "nesterov": True, "clip_norm": 0.5, "label_smoothing": 0.1},
    ],
    ids=str,
)
def test_every_other_supported_option(values: dict[str, Any]) -> None:
    ours, theirs = both({"seed": 1}, {"seed": 2}, **{**SMALL, "learning_rate": 0.02, **values})
    train_as_one(ours, theirs, 6)


def test_units_beyond_65536() -> None:
    values = {"hidden_sizes": [70_000], "on_perc": 0.002, "epochs": 3, "test_noise": False}
    ours, theirs = both(**{**SMALL, **values})
    before = ours.engine.weights
    train_as_one(ours, theirs, 1)
    # The weights of the last units, in both layers, have been trained.
    first, last = (now - then for now, then in zip(ours.engine.weights, before, strict=True))
    assert (first[0, 66_000:] != 0).any()
    assert (last[0, :, 66_000:] != 0).any()


def test_saved_boosting_of_any_strength_is_resumed() -> None:
    values = {**SMALL, "kwinners": True, "boost_strength": 1000.0, "boost_strength_factor": 0.5, "engine": "sparse"}
    straight, stopped = trainer(**values), trainer(**values)
    rows = [straight.step() for _ in range(4)]
    stopped.step()
    stopped.step()
    resumed = trainer(**values)
    resumed.load_state_dict(stopped.state_dict())
    assert [resumed.step() for _ in range(2)] == rows[2:]


# Packs

PACK: list[dict[str, Any]] = [
    {"seed": 0, "on_perc": 0.3, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "percent_on": 0.3,
     "weight_prune_perc": 0.3, "hebbian_prune_perc": 0.3, "boost_strength": 1.4, "boost_strength_factor": 0.7},
    {"seed": 1, "on_perc": 0.5, "learning_rate": 0.05, "momentum": 0.5, "weight_decay": 0.01, "percent_on": 0.5,
     "weight_prune_perc": 0.1, "hebbian_prune_perc": 0.6, "boost_strength": 0.0, "boost_strength_factor": 0.7},
    {"seed": 2, "on_perc": 1.0, "learning_rate": 0.02, "momentum": 0.0, "weight_decay": 0.0, "percent_on": 0.1,
     "weight_prune_perc": 0.5, "hebbian_prune_perc": 0.0, "boost_strength": 3.0, "boost_strength_factor": 0.9},
    {"seed": 1, "on_perc": 0.1, "learning_rate": 0.2, "momentum": 0.9, "weight_decay": 1e-4, "percent_on": 0.3,
     "weight_prune_perc": 0.2, "hebbian_prune_perc": 0.2, "boost_strength": 1.4, "boost_strength_factor": 0.7},
]  # fmt: skip


def of_trial(value: Any, trial: int) -> Any:
    """Select one trial of a saved state."""
    if isinstance(value, torch.Tensor):
        return value[trial]
    if isinstance(value, list):
        return [of_trial(each, trial) for each in value]
    if isinstance(value, dict):
        return {name: of_trial(each, trial) for name, each in value.items()}
    return value


@pytest.mark.parametrize("one_seed", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        {"kwinners": True},
        {"model": "RigL", "val_fraction": 0.2},
        {"model": "GMP", "optim_alg": "Adam"},
        {"kwinners": True, "batch_norm": True},
        {"model": "SET", "dropouts": (0.2, 0.0, 0.5, 0.2)},
        {"kwinners": True, "batch_norm": True, "dropouts": (0.2, 0.0, 0.5, 0.3)},
        {"kwinners": True, "boosts": (1.4, 300.0, 61.0, 3e38)},
    ],
    ids=lambda values: " ".join(str(value) for value in values.values()),
)
def test_each_trial_of_a_pack_gives_bit_for_bit_what_it_gives_alone(values: dict[str, Any], one_seed: bool) -> None:
    # 37 is not a multiple of any vector length, and leaves 12 examples for the last batch.
    values = {**SMALL, "hidden_sizes": [23, 17], "batch_size": 37, "engine": "sparse", **values}
    trials = [{**trial, "seed": 3} for trial in PACK] if one_seed else PACK
    dropouts = values.pop("dropouts", [0.0] * len(PACK))
    trials = [{**trial, "dropout": dropout} for trial, dropout in zip(trials, dropouts, strict=True)]
    boosts = values.pop("boosts", [trial["boost_strength"] for trial in PACK])
    trials = [{**trial, "boost_strength": boost} for trial, boost in zip(trials, boosts, strict=True)]
    together = trainer(*trials, **values)
    rows = [together.step() for _ in range(6)]
    assert len({row["train_loss"] for row in rows[-1] if row is not None}) == len(PACK)
    for number, trial in enumerate(trials):
        alone = trainer(trial, **values)
        # NaN differs from itself, but its text does not.
        assert repr([row[number] for row in rows]) == repr([only(alone.step()) for _ in range(6)])
        states = of_trial(together.engine.state_dict(), number), of_trial(alone.engine.state_dict(), 0)
        torch.testing.assert_close(*states, rtol=0, atol=0)


# States

STATES = [
    {"kwinners": True},
    {"model": "SET", "kwinners": True, **ADAM},
    {"model": "RigL", "pruning_interval": 2},
    {"model": "GMP", **ADAM},
    {"hebbian_grow": False, "batch_size": 37},
    {"kwinners": True, "batch_norm": True, "batch_size": 37},
    {"model": "SET", "dropout": 0.3, **ADAM},
    {"kwinners": True, "batch_norm": True, "dropout": 0.3},
]


@pytest.mark.parametrize("values", STATES, ids=str)
def test_save_load_and_continue_equals_continuing_bit_for_bit_after_any_epoch(values: dict[str, Any]) -> None:
    values = {**SMALL, "engine": "sparse", "epochs": 6, **values}
    trials = {"seed": 1, "on_perc": 0.3}, {"seed": 2, "on_perc": 0.6}
    undisturbed = trainer(*trials, **values)
    states, rows = [saved_and_loaded(undisturbed.state_dict())], []
    for _ in range(6):
        rows.append(undisturbed.step())
        states.append(saved_and_loaded(undisturbed.state_dict()))
    for epoch, state in enumerate(states[:-1]):
        resumed = trainer(*trials, **values)
        # It has trained before, so loading must replace that state.
        resumed.step()
        resumed.load_state_dict(state)
        assert repr([resumed.step() for _ in range(epoch, 6)]) == repr(rows[epoch:])
        torch.testing.assert_close(resumed.state_dict(), states[-1], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("values", STATES, ids=str)
def test_each_engine_continues_what_the_other_began(values: dict[str, Any]) -> None:
    trials = {"seed": 1, "on_perc": 0.3}, {"seed": 2, "on_perc": 0.6}
    values = {"learning_rate": 0.02, **values}
    for start_with_sparse in (False, True):
        pair = both(*trials, **{**SMALL, **values})
        first, second = pair if start_with_sparse else pair[::-1]
        for _ in range(3):
            first.step()
        state = saved_and_loaded(first.state_dict())
        second.load_state_dict(state)
        # Loading and saving alone is bit-identical.
        torch.testing.assert_close(second.state_dict(), state, rtol=0, atol=0, equal_nan=True)
        train_as_one(first, second, 4)


def test_training_does_not_change_a_state_that_was_saved_or_loaded() -> None:
    values = {**SMALL, "kwinners": True, "engine": "sparse"}
    each, other = trainer(**values), trainer(**values)
    each.step()
    state = each.state_dict()
    before = copy.deepcopy(state)
    each.step()
    other.load_state_dict(state)
    other.step()
    torch.testing.assert_close(state, before, rtol=0, atol=0, equal_nan=True)


def test_evaluation_changes_no_saved_state() -> None:
    each = trainer(**{**SMALL, "kwinners": True, "engine": "sparse"})
    each.step()
    before = copy.deepcopy(each.engine.state_dict())
    data = each.engine.prepare([load_dataset("blobs").test], load_dataset("blobs").test_y[None])
    sums = each.engine.evaluate(*data)
    assert torch.equal(each.engine.evaluate(*data).loss, sums.loss)
    torch.testing.assert_close(each.engine.state_dict(), before, rtol=0, atol=0)


# Which engine


def planned(*trials: dict[str, Any], **values: Any) -> Plan:
    return plan([Config.of({**SMALL, **values, **trial}) for trial in trials or ({},)])


UNSUPPORTED: list[tuple[dict[str, Any], str, type[Engine]]] = [
    ({"model": "SNFS"}, "a gradient of all weights at every step", PackedEngine),
    ({"model": "SNFS", "batch_norm": True}, "a gradient of all weights at every step", TorchEngine),
    ({"rules": "legacy_2019"}, "rules='legacy_2019'", TorchEngine),
]


@pytest.mark.parametrize(("values", "reason", "engine"), UNSUPPORTED)
def test_unsupported_options_use_a_dense_engine_and_give_the_reason(
    values: dict[str, Any], reason: str, engine: type[Engine]
) -> None:
    assert choose(planned(**values)) == EngineChoice("packed" if engine is PackedEngine else "torch", reason)
    assert isinstance(trainer(**{**SMALL, **values}).engine, engine)
    message = f"engine='sparse' does not support {reason}. Use engine='auto' or engine='torch'."
    for refuse in (lambda: choose(planned(engine="sparse", **values)), lambda: both(**{**SMALL, **values})):
        with pytest.raises(ValueError) as error:
            refuse()
        assert str(error.value) == message


def test_other_devices_than_the_cpu_are_not_for_the_sparse_engine() -> None:
    on_cuda = replace(planned(), device="cuda")
    assert choose(on_cuda) == EngineChoice("packed")
    with pytest.raises(ValueError, match="device='cuda'"):
        choose(replace(on_cuda, engine="sparse"))


def test_without_numba_it_is_a_dense_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    reason = "this Python environment: the package numba is not installed"
    assert choose(planned()) == EngineChoice("packed", reason)
    assert choose(planned(batch_norm=True)) == EngineChoice("torch", reason)
    with pytest.raises(ValueError, match="the package numba is not installed"):
        choose(planned(engine="sparse"))


@pytest.mark.parametrize("values", [*METHODS, {"kwinners": True}, ADAM, {"batch_norm": True, "dropout": 0.1}], ids=str)
def test_auto_is_the_sparse_engine_for_what_it_can_do(values: dict[str, Any]) -> None:
    for engine, name in [("auto", "sparse"), ("sparse", "sparse"), ("torch", "torch")]:
        assert choose(planned(engine=engine, **values)) == EngineChoice(name)
    assert isinstance(trainer(**{**SMALL, **values}).engine, SparseEngine)


def test_the_gradient_at_every_step_is_asked_for_only_where_masks_are_updated() -> None:
    assert choose(planned(model="SNFS", pruning_active=False)) == EngineChoice("sparse")
    # The only update would come after the last epoch.
    assert choose(planned(model="SNFS", epochs=1)) == EngineChoice("sparse")
    assert choose(planned(model="SNFS", epochs=2)).name == "packed"


def test_the_engines_of_a_grid_are_those_of_its_trials() -> None:
    methods = [{"model": "SET"}, {"model": "SNFS"}, {"model": "DSNNMixedHeb", "rules": "legacy_2019"}]
    axes = {
        "device": ["cpu", "cuda"], "epochs": [1, 3], "dropout": [0.0, 0.1, 0.2], "batch_norm": [False, True],
        "seed": [0, 1], "pruning_active": [True, False],
    }  # fmt: skip
    grid = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    configs = [Config.of({**SMALL, **values, **method}) for values in grid for method in methods]
    choices = engines.choose_for_configs(configs)
    assert choices == [engines.choose_for_config(config) for config in configs]
    assert len(set(choices)) > 6


def test_the_engine_is_not_part_of_a_trials_identity() -> None:
    assert len({identity(Config(engine=engine)) for engine in ("auto", "sparse", "packed", "torch")}) == 1
    assert identity(Config(engine="torch")) != identity(Config(engine="torch", seed=1))


# Non-finite numbers


@pytest.mark.parametrize("kwinners", [False, True])
@pytest.mark.parametrize("model", ["DSNNMixedHeb", "SET", "RigL", "GMP", "Dense"])
@pytest.mark.parametrize("optim_alg", ["SGD", "Adam"])
def test_training_that_diverges_continues_with_non_finite_losses(model: str, kwinners: bool, optim_alg: str) -> None:
    values = {"model": model, "kwinners": kwinners, "learning_rate": 1e30, "optim_alg": optim_alg}
    each = trainer(**{**SMALL, "engine": "sparse", "epochs": 5, **values})
    counts = [int(mask.sum()) for mask in each.engine.masks]
    rows = [only(each.step()) for _ in range(5)]
    for row in rows[1:]:
        assert not any(math.isfinite(row[f"{name}_loss"]) for name in ("train", "val", "noise"))
    if model != "GMP":
        assert [int(mask.sum()) for mask in each.engine.masks] == counts


@pytest.mark.parametrize("values", [{}, {"kwinners": True}, {"batch_norm": True}, {"dropout": 0.5}], ids=str)
def test_nan_in_a_hidden_unit_makes_the_loss_nan_as_in_torch(values: dict[str, Any]) -> None:
    ours, theirs = both(**{**SMALL, "model": "Dense", **values})
    state = theirs.state_dict()
    # As inf - inf gives it on x86: with the sign bit set.
    state["engine"]["biases"][0][0, 3] = -math.nan
    for each in (theirs, ours):
        each.load_state_dict(state)
        assert math.isnan(only(each.step())["val_loss"]), type(each.engine).__name__
