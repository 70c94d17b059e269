"""Compare the packed engine with the torch engine and plain networks: same masks, same numbers to rounding."""

from __future__ import annotations

import copy
import gc
import io
import math
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.paired_runs import assert_rows, assert_same_updates, differs
from support.plain_torch import Plain

from dynsparse.config import Config
from dynsparse.data import epoch_order, load_dataset
from dynsparse.engines import EngineChoice, choose
from dynsparse.engines.packed import engine as packed_engine
from dynsparse.engines.packed.engine import PackedEngine
from dynsparse.engines.torch import TorchEngine
from dynsparse.methods import METHODS
from dynsparse.planning.plan import Plan, keys_read, plan
from dynsparse.results.trial_folder import identity
from dynsparse.studies import Parameters
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

SMALL = {"dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "epochs": 8, "on_perc": 0.3}
DIGITS = {"dataset_name": "digits", "hidden_sizes": [40, 30], "batch_size": 100, "val_fraction": 0.75, "epochs": 52}
# The engine refuses the others.
SUPPORTED = sorted(set(METHODS) - {"DeepR", "TopKAST"})
ADAM = {"optim_alg": "Adam", "learning_rate": 0.001}
# Six trials that differ in every key in which a pack may.
PACK: list[dict[str, Any]] = [
    {"seed": 0, "on_perc": 0.2, "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4, "percent_on": 0.3,
     "weight_prune_perc": 0.3, "hebbian_prune_perc": 0.3, "boost_strength": 1.4, "boost_strength_factor": 0.7},
    {"seed": 0, "on_perc": 0.5, "learning_rate": 0.02, "momentum": 0.5, "weight_decay": 0.01, "percent_on": 0.5,
     "weight_prune_perc": 0.1, "hebbian_prune_perc": 0.6, "boost_strength": 0.0, "boost_strength_factor": 0.7},
    {"seed": 0, "on_perc": 1.0, "learning_rate": 0.01, "momentum": 0.0, "weight_decay": 0.0, "percent_on": 0.1,
     "weight_prune_perc": 0.5, "hebbian_prune_perc": 0.0, "boost_strength": 3.0, "boost_strength_factor": 0.9},
    {"seed": 1, "on_perc": 0.1, "learning_rate": 0.08, "momentum": 0.8, "weight_decay": 1e-3, "percent_on": 0.2,
     "weight_prune_perc": 0.2, "hebbian_prune_perc": 0.2, "boost_strength": 1.0, "boost_strength_factor": 0.5},
    {"seed": 1, "on_perc": 0.3, "learning_rate": 0.04, "momentum": 0.7, "weight_decay": 1e-5, "percent_on": 0.4,
     "weight_prune_perc": 0.0, "hebbian_prune_perc": 0.4, "boost_strength": 0.5, "boost_strength_factor": 1.0},
    {"seed": 1, "on_perc": 0.4, "learning_rate": 0.03, "momentum": 0.6, "weight_decay": 1e-2, "percent_on": 0.6,
     "weight_prune_perc": 0.4, "hebbian_prune_perc": 0.1, "boost_strength": 2.0, "boost_strength_factor": 0.3},
]  # fmt: skip
ADAMS = [{**trial, "learning_rate": trial["learning_rate"] / 20} for trial in PACK]


def with_seeds(*seeds: int) -> list[dict[str, Any]]:
    return [{**trial, "seed": seed} for trial, seed in zip(PACK, seeds, strict=False)]


def trainer(*trials: dict[str, Any], **values: Any) -> Trainer:
    return Trainer([Config.of({"engine": "packed", **values, **trial}) for trial in trials or ({},)])


def both(*trials: dict[str, Any], **values: Any) -> tuple[Trainer, Trainer]:
    """Return a trainer with the packed engine and one with the torch engine."""
    ours, theirs = trainer(*trials, **values), trainer(*trials, **values, engine="torch")
    assert isinstance(ours.engine, PackedEngine)
    assert isinstance(theirs.engine, TorchEngine)
    return ours, theirs


def assert_state(ours: dict[str, Any], theirs: dict[str, Any], tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


def train_as_one(ours: Trainer, theirs: Trainer, n_epochs: int) -> None:
    for _ in range(n_epochs):
        assert_rows(ours.step(), theirs.step())
        for a, b in zip(ours.engine.masks, theirs.engine.masks, strict=True):
            assert torch.equal(a, b)
        assert_state(ours.state_dict(), theirs.state_dict())


def saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def of_trial(value: Any, trial: int) -> Any:
    """Select one trial of a saved state."""
    if isinstance(value, torch.Tensor):
        return value[trial]
    if isinstance(value, list):
        return [of_trial(each, trial) for each in value]
    if isinstance(value, dict):
        return {name: of_trial(each, trial) for name, each in value.items()}
    return value


def assert_same_bits(rows: list[Any], others: list[Any], state: dict[str, Any], other: dict[str, Any]) -> None:
    # NaN differs from itself, but its text does not.
    assert repr(rows) == repr(others)
    torch.testing.assert_close(state, other, rtol=0, atol=0, equal_nan=True)


# Beside the torch engine and a plain network


@pytest.mark.parametrize(
    "values",
    [
        # With 1, the layers of CHT change in every update.
        *({"model": model, "overlap_limit": 1.0} for model in SUPPORTED),
        *({"model": model, "kwinners": True} for model in ("DSNNMixedHeb", "GMP")),
        *({"model": model, "kwinners": True, "optim_alg": "Adam"} for model in ("DSNNMixedHeb", "SNFS")),
    ],
    ids=lambda values: " ".join(str(value) for value in values.values()),
)
def test_each_mask_update_is_that_of_the_torch_engine(values: dict[str, Any]) -> None:
    trainers = both(*(ADAMS if "optim_alg" in values else PACK), **{**DIGITS, **values})
    assert_same_updates(*trainers)


@pytest.mark.parametrize("optim_alg", ["SGD", "Adam"])
def test_training_is_that_of_a_plain_network_with_autograd_and_torchs_optimizers(optim_alg: str) -> None:
    trials = PACK if optim_alg == "SGD" else ADAMS
    configs = [
        Config.of({**DIGITS, "val_fraction": 0.0, "model": "SparseModel", "optim_alg": optim_alg, **t}) for t in trials
    ]
    ours, digits = PackedEngine(plan(configs)), load_dataset("digits")
    networks = [
        Plain(config, *([layer[trial] for layer in layers] for layers in (ours.weights, ours.biases, ours.masks)))
        for trial, config in enumerate(configs)
    ]
    train, test = ours.prepare([digits.train], digits.train_y[None]), ours.prepare([digits.test], digits.test_y[None])
    for epoch in (1, 2, 3):
        orders = torch.stack([epoch_order(1437, c.seed, epoch) for c in configs])
        n_steps = -(-1437 // ours.plan.batch_size)
        ours.train_epoch(train, orders, epoch=epoch, rates=ours.plan.learning_rates(0, n_steps, n_steps))
        sums = ours.evaluate(*test)
        for trial, network in enumerate(networks):
            network.train([epoch])
            mine = Parameters(*([each[trial] for each in layers] for layers in (ours.weights, ours.biases, ours.masks)))
            assert_state({**mine._asdict()}, {**network.parameters._asdict()}, 1e-4)
            assert sums.correct[trial].item() / 360 == network.accuracy()


@pytest.mark.parametrize("batch_size", [16, 100, 1436, 5000])
# Adam moves all weights that one update grew by the same amount in a first step: after an epoch of one step, rounding
# decides which of them the next update drops.
@pytest.mark.parametrize(
    "values", [{"kwinners": True}, {"model": "RigL"}, {"model": "SET", **ADAM, "pruning_interval": 2}], ids=str
)
def test_batches_of_any_length_with_a_shorter_last_one(values: dict[str, Any], batch_size: int) -> None:
    # Of 1437 examples, the last batch has 13, 37, 1 and all of them.
    common = {"epochs": 3, "val_fraction": 0.0, "on_perc": 0.2, "learning_rate": 0.05, "batch_size": batch_size}
    ours, theirs = both({"seed": 1}, {"seed": 2}, **{**DIGITS, **common, **values})
    train_as_one(ours, theirs, 2)
    assert ours.engine.state_dict()["n_seen"] == 2 * 1437


@pytest.mark.parametrize("seeds", [(4,), (4, 4, 4), (1, 1, 2, 2), (1, 1, 1, 2), (1, 2, 1, 2), (1, 1, 2, 2, 1, 1)])
def test_trials_of_one_seed_and_of_several_equally_many_or_not(seeds: tuple[int, ...]) -> None:
    # Held-out examples and noisy images depend on the seed.
    values = {**DIGITS, "val_fraction": 0.4, "noise_level": 0.3, "kwinners": True, "k_inference_factor": 1.5}
    ours, theirs = both(*with_seeds(*seeds), **values)
    train_as_one(ours, theirs, 3)
    row = ours.step()[0]
    assert row is not None
    assert len({row[f"{name}_loss"] for name in ("train", "val", "test", "noise")}) == 4


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_sizes": []},
        {"hidden_sizes": [1], "batch_size": 1, "learning_rate": 0.001},
        {"hidden_sizes": [20] * 6, "on_perc": 0.5},
        {"model": "Dense", "kwinners": True, "percent_on": 1.0},
        {"kwinners": True, "duty_cycle_period": 20, "boost_strength": 5.0, "boost_strength_factor": 0.5},
        {"kwinners": True, "boost_strength": 300.0, "boost_strength_factor": 1.0},
        {"kwinners": True, "boost_strength": 3e38, "boost_strength_factor": 1.0},
        {"sparse_type": "bernoulli", "layer_densities": "erdos_renyi", "last_layer_dense": True},
        {"model": "RigL", "pruning_interval": 2, "prune_decay": "cosine"},
        {"hebbian_prune_perc": 1.0, "weight_prune_perc": 1.0, "hebbian_grow": False},
        {"model": "SET", "pruning_es": True, "pruning_es_threshold": 1.0, "pruning_es_window_size": 2},
        {"model": "SNFS", "pruning_active": False},
        {"debug_weights": False, "debug_sparse": False, "test_noise": False},
    ],
    ids=str,
)
def test_whatever_else_a_config_can_ask_of_it(values: dict[str, Any]) -> None:
    ours, theirs = both({"seed": 1}, {"seed": 2}, **{**SMALL, "learning_rate": 0.02, **values})
    train_as_one(ours, theirs, 6)


def test_an_evaluation_in_parts_counts_every_example_once(monkeypatch: pytest.MonkeyPatch) -> None:
    each = trainer(*with_seeds(1, 1, 2), **SMALL)
    digits = load_dataset("blobs")
    data = each.engine.prepare([digits.test] * 3, digits.test_y.expand(3, -1))
    assert len(data[0]) == 2, "one part for each seed, not for each trial"
    whole = each.engine.evaluate(*data)
    # Seven examples at a time, of 64.
    monkeypatch.setattr(packed_engine, "MAX_EVALUATION_VALUES_ON_CPU", 7 * 3 * 32 + 1)
    parts = each.engine.evaluate(*data)
    assert torch.equal(whole.correct, parts.correct)
    torch.testing.assert_close(whole.loss, parts.loss, rtol=1e-6, atol=0)


# Packs


@pytest.mark.parametrize("values", [{"kwinners": True}, {"model": "RigL"}, {"model": "GMP"}], ids=str)
def test_a_trial_alone_has_the_masks_and_weights_that_it_has_in_a_pack(values: dict[str, Any]) -> None:
    values = {**DIGITS, **values}
    together, alone = trainer(*with_seeds(3, 3, 3, 3, 3), **values), trainer(*with_seeds(3), **values)
    for epoch in range(1, 51):
        assert_rows(together.step()[:1], alone.step())
        assert not differs(together, alone)[0], f"epoch {epoch}"


@pytest.mark.parametrize("seeds", [(3,) * 6, (0, 0, 0, 1, 1, 1), (0, 1, 2, 3, 4, 5)])
def test_in_a_pack_of_the_same_width_the_place_changes_no_bit(seeds: tuple[int, ...]) -> None:
    # With an odd number of units the last digits depend, on a CPU and in the torch engine too, on where in memory the
    # numbers of a trial begin.
    values = {**DIGITS, "hidden_sizes": [40, 24], "kwinners": True}
    trials = with_seeds(*seeds)
    straight, turned = trainer(*trials, **values), trainer(*trials[::-1], **values)
    rows, others = [[each.step() for _ in range(6)] for each in (straight, turned)]
    assert len({row["train_loss"] for row in rows[-1] if row is not None}) == len(trials)
    for place, other in zip(range(6), range(5, -1, -1), strict=True):
        assert_same_bits(
            [row[place] for row in rows],
            [row[other] for row in others],
            of_trial(straight.engine.state_dict(), place),
            of_trial(turned.engine.state_dict(), other),
        )


@pytest.mark.parametrize("values", [{}, {"kwinners": True}, {"model": "RigL"}, {"model": "SNFS", **ADAM}], ids=str)
def test_a_trial_that_diverges_changes_no_bit_of_the_others(values: dict[str, Any]) -> None:
    trials = [{"learning_rate": 0.001 * (1 + number)} for number in range(5)]
    wild = [*trials[:2], {"learning_rate": 1e6, "momentum": 0.99}, *trials[3:]]
    pair = [trainer(*each, **{**SMALL, "epochs": 12, **values}) for each in (trials, wild)]
    rows, others = [[each.step() for _ in range(10)] for each in pair]
    last = others[-1][2]
    assert last is not None
    assert not last["val_loss"] < 1000
    for place in (0, 1, 3, 4):
        states = [of_trial(each.engine.state_dict(), place) for each in pair]
        assert_same_bits([row[place] for row in rows], [row[place] for row in others], *states)


@pytest.mark.parametrize("kwinners", [False, True])
def test_nan_in_a_hidden_unit_makes_the_loss_nan_as_in_torch(kwinners: bool) -> None:
    ours, theirs = both(**{**SMALL, "model": "Dense", "kwinners": kwinners})
    state = theirs.state_dict()
    state["engine"]["biases"][0][0, 3] = -math.nan
    for each in (theirs, ours):
        each.load_state_dict(state)
        row = each.step()[0]
        assert row is not None
        assert math.isnan(row["val_loss"]), type(each.engine).__name__  # type: ignore[arg-type]


# States

STATES = [{"kwinners": True}, {"model": "SET", **ADAM}, {"model": "RigL", "pruning_interval": 2}, {"model": "GMP"}]


@pytest.mark.parametrize("values", STATES, ids=str)
def test_save_load_and_continue_equals_continuing_bit_for_bit_after_any_epoch(values: dict[str, Any]) -> None:
    trials, values = with_seeds(1, 1, 2), {**SMALL, "epochs": 6, **values}
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
        others = [resumed.step() for _ in range(epoch, 6)]
        assert_same_bits(others, rows[epoch:], resumed.state_dict(), states[-1])


@pytest.mark.parametrize("values", [*STATES, {"model": "SNFS"}], ids=str)
def test_a_trial_goes_from_one_engine_to_another_and_back(values: dict[str, Any]) -> None:
    trials = [{"seed": 1, "on_perc": 0.3}, {"seed": 2, "on_perc": 0.6}]
    values = {**SMALL, "learning_rate": 0.02, "epochs": 12, **values}
    steady = trainer(*trials, **values, engine="torch")
    travelling = trainer(*trials, **values)
    others = ["torch", "packed"] if values.get("model") == "SNFS" else ["torch", "packed", "sparse", "packed"]
    train_as_one(travelling, steady, 2)
    for engine in others:
        state = saved_and_loaded(travelling.state_dict())
        travelling = trainer(*trials, **{**values, "engine": engine})
        travelling.step()
        travelling.load_state_dict(state)
        # Loading and saving alone is bit-identical.
        torch.testing.assert_close(travelling.state_dict(), state, rtol=0, atol=0, equal_nan=True)
        train_as_one(travelling, steady, 2)


def test_what_was_loaded_or_saved_does_not_change_with_the_training_nor_what_a_step_reads_its_place() -> None:
    values = {**SMALL, "kwinners": True}
    each, other = trainer(**values), trainer(**values)
    each.step()
    state = each.state_dict()
    before = copy.deepcopy(state)
    places = [tensor.data_ptr() for tensor in (*other.engine.weights, *other.engine.biases)]
    each.step()
    other.load_state_dict(state)
    other.step()
    torch.testing.assert_close(state, before, rtol=0, atol=0, equal_nan=True)
    assert places == [tensor.data_ptr() for tensor in (*other.engine.weights, *other.engine.biases)]


# Which engine


def planned(*trials: dict[str, Any], **values: Any) -> Plan:
    return plan([Config.of({**SMALL, **values, **trial}) for trial in trials or ({},)])


UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"batch_norm": True}, "batch_norm"),
    ({"batch_norm": True, "dropout": 0.1}, "batch_norm, dropout"),
    ({"rules": "legacy_2019"}, "rules='legacy_2019'"),
    ({"model": "DeepR"}, "a drift of the weights, the signs of positions"),
    ({"model": "TopKAST"}, "trained weights that are not active"),
]


@pytest.mark.parametrize(("values", "reason"), UNSUPPORTED)
def test_unsupported_options_use_the_torch_engine_and_give_the_reason(values: dict[str, Any], reason: str) -> None:
    assert choose(replace(planned(**values), device="cuda")) == EngineChoice("torch", reason)
    with pytest.raises(ValueError) as error:
        choose(planned(engine="packed", **values))
    assert str(error.value) == f"engine='packed' does not support {reason}. Use engine='auto' or engine='torch'."


@pytest.mark.parametrize("model", SUPPORTED)
def test_the_packed_engine_is_the_default_on_a_gpu_and_available_on_a_cpu(model: str) -> None:
    of_model = planned(model=model, kwinners=True)
    for device, engine, name in [("cuda", "auto", "packed"), ("cuda:1", "packed", "packed"), ("cuda", "torch", "torch"),
                                 ("cpu", "packed", "packed"), ("cpu", "torch", "torch")]:  # fmt: skip
        assert choose(replace(of_model, device=device, engine=engine)) == EngineChoice(name)
    assert choose(of_model).name == ("packed" if model == "SNFS" else "sparse")


def test_precision_is_read_on_a_gpu_only_and_at_its_default_no_part_of_what_a_trial_is() -> None:
    assert "precision" in keys_read(Config(device="cuda"))
    assert "precision" not in keys_read(Config())
    assert planned(precision="tf32").precision == "float32"
    assert identity(Config(engine="packed")) == identity(Config()) != identity(Config(precision="tf32"))


def test_an_engine_is_freed_with_its_trainer() -> None:
    """A reference cycle would keep GPU memory, and free a CUDA graph while another one is being recorded."""
    trained = trainer(*PACK, **SMALL)
    trained.step()
    engine = weakref.ref(trained.engine)
    gc.disable()
    try:
        del trained
        assert engine() is None
    finally:
        gc.enable()
