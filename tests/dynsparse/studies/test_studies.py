"""Properties of all studies: keys, identity, packs, and resuming."""

from __future__ import annotations

import hashlib
import io
import json
from itertools import product
from typing import Any

import pytest
import torch

from dynsparse.config import Config, ConfigError, keys
from dynsparse.planning.packs import pack_key
from dynsparse.results.trial_folder import identity
from dynsparse.studies import STUDIES
from dynsparse.training import first_training_cache
from dynsparse.training.trainer import Row, Trainer

pytest.importorskip("numba")
pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

# With sizes and batches that are multiples of 16 a pack's sums are those of each trial: see test_packs.py.
BASE = {
    "dataset_name": "blobs", "network": "MLP", "model": "Dense", "hidden_sizes": [32, 16], "batch_size": 32,
    "epochs": 2, "learning_rate": 0.05,
}  # fmt: skip
SWEEP = {"study": "sweep", "sparsities": [0.5, 0.9], "retrain_epochs": 2}
TICKET = {"study": "ticket", "prune_ratio": 0.8, "prune_iter": 2}
ADAM = {"optim_alg": "Adam", "learning_rate": 0.002}
KWINNERS = {"network": "MLPHeb", "kwinners": True}
ENGINES = pytest.mark.parametrize("engine", ["torch", "sparse"])
# Every key that came with the studies or later, with another value than its default.
LATER: dict[str, Any] = {
    "study": "sweep", "sparsities": [0.5], "prune_kinds": ["unit", "weight"], "prune_scope": "global",
    "prune_biases": False, "prune_last_layer": True, "retrain_epochs": 1, "prune_iteratively": True,
    "prune_ratio": 0.7, "prune_iter": 2, "criterion": "random", "init": "reinit", "rewind_step": 1,
    "last_layer_rate": 1.0, "pixels": "unit", "precision": "tf32",
    "weight_init": "he_normal", "lr_schedule": "cosine", "lr_milestones": [2], "lr_gamma": 0.5, "lr_final": 0.5,
    "warmup_epochs": 1, "nesterov": True, "clip_norm": 1.0, "label_smoothing": 0.1, "pruning_interval_steps": 3,
    "pruning_end_step": 9, "noise_levels": [0.3], "target": "class", "impute": "median", "test_fraction": 0.3,
    "fold": 1, "n_folds": 3, "augment": "crop", "class_weights": "balanced", "dense_layers": ["head"],
    "test_corruptions": ["stripe"],
    "prune_gradient_weight": 0.5, "initial_density": 0.5, "score_examples": 50, "salient_share": 0.5, "l1_drift": 0.1,
    "weight_temperature": 0.01, "overlap_limit": 0.5, "removal_alpha": 0.5, "removal_delta": 0.9,
    "selection_temperature": 1.0, "brf_randomness": 0.5, "global_floor": 0.1, "backward_density": 0.7,
    "mask_pattern": "2x2", "redistribution": "magnitude", "starts_from": "0123456789ab@1",
}  # fmt: skip
# Later keys that follow others, or are for other data or networks, and have no other value here.
FOLLOWING = ("network_hash", "model_hash", "data_hash", "input_shape", "loss", "compile")


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    first_training_cache.clear()


def trainer(*trials: dict[str, Any], **values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values, **trial}) for trial in trials or ({},)])


def rest(each: Trainer) -> list[list[Row | None]]:
    """The rows that are left."""
    rows = []
    while not each.is_done:
        rows.append(each.step())
    return rows


def saved_and_loaded(each: Trainer) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(each.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# Save, load and continue

CONTINUED = [
    {**SWEEP, **ADAM},
    # Units without weights would tie for a place among the winners, which each engine decides in its own way.
    {**SWEEP, "prune_iteratively": True, "prune_kinds": ["weight"], "sparsities": [0.3, 0.5], **KWINNERS},
    {**SWEEP, "retrain_epochs": 0, "model": "SET", "on_perc": 0.3},
    {**TICKET, "rewind_step": 7, **ADAM},
    {**TICKET, "init": "reinit", "criterion": "random", **KWINNERS},
    {**TICKET, "rewind_step": 3, "model": "SparseModel", "on_perc": 0.5, **KWINNERS},
]
PAIR = {"seed": 1}, {"seed": 2}


@ENGINES
@pytest.mark.parametrize(
    ("values", "from_memory"),
    [(values, again) for values in CONTINUED for again in ([False, True] if values["study"] == "ticket" else [False])],
    ids=str,
)
def test_continued_from_any_row_it_is_the_same_bit_for_bit(
    engine: str, values: dict[str, Any], from_memory: bool
) -> None:
    if from_memory:
        rest(trainer(*PAIR, engine=engine, **values))
    undisturbed = trainer(*PAIR, engine=engine, **values)
    states, rows = [saved_and_loaded(undisturbed)], []
    while not undisturbed.is_done:
        rows.append(undisturbed.step())
        states.append(saved_and_loaded(undisturbed))
    # While rows come from the memory, a state is that of a network which is as it began.
    assert [state["n_rows"] for state in states] == [0 if from_memory and n < 2 else n for n in range(len(states))]
    for state in states:
        resumed = trainer(*PAIR, engine=engine, **values)
        # It has done something else before.
        resumed.step()
        resumed.load_state_dict(state)
        assert resumed.n_rows == state["n_rows"]
        # NaN is equal to nothing; its text is.
        assert repr(rest(resumed)) == repr(rows[state["n_rows"] :])
        torch.testing.assert_close(resumed.state_dict(), states[-1], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("values", CONTINUED, ids=str)
@pytest.mark.parametrize("engines", [("torch", "sparse"), ("sparse", "torch")], ids=str)
def test_each_engine_continues_what_the_other_began(engines: tuple[str, str], values: dict[str, Any]) -> None:
    first = trainer(*PAIR, engine=engines[0], **values)
    states = [saved_and_loaded(first)]
    while not first.is_done:
        first.step()
        states.append(saved_and_loaded(first))
    for state in states:
        second = trainer(*PAIR, engine=engines[1], **values)
        second.load_state_dict(state)
        # The same to the last bit, as long as nothing is computed with it.
        torch.testing.assert_close(second.state_dict(), state, rtol=0, atol=0, equal_nan=True)
        rest(second)
        for layer, (ours, theirs) in enumerate(zip(second.parameters().masks, first.parameters().masks, strict=True)):
            assert torch.equal(ours, theirs), f"masks of layer {layer}"
        for ours, theirs in zip(second.parameters()[:2], first.parameters()[:2], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_what_was_loaded_does_not_change_with_the_training() -> None:
    for values in ({**SWEEP, "prune_iteratively": True}, TICKET):
        each = trainer(**values, engine="torch")
        each.step(), each.step()
        state = saved_and_loaded(each)
        other = trainer(**values, engine="torch")
        other.load_state_dict(state)
        rest(other)
        torch.testing.assert_close(state, saved_and_loaded(each), rtol=0, atol=0, equal_nan=True)


# Packs

TICKETS = [
    {"seed": 0, "prune_ratio": 0.8, "last_layer_rate": 0.5, "learning_rate": 0.05, "momentum": 0.9},
    {"seed": 1, "prune_ratio": 0.3, "last_layer_rate": 0.0, "learning_rate": 0.02, "momentum": 0.5},
    {"seed": 1, "prune_ratio": 1.0, "last_layer_rate": 1.0, "learning_rate": 0.05, "momentum": 0.9},
    {"seed": 2, "prune_ratio": 0.0, "last_layer_rate": 1.0, "learning_rate": 0.1, "momentum": 0.0},
    {"seed": 0, "prune_ratio": 0.55, "last_layer_rate": 0.7, "learning_rate": 0.05, "momentum": 0.9},
]
SWEEPS = [
    {"seed": 0, "learning_rate": 0.05, "on_perc": 0.5},
    {"seed": 1, "learning_rate": 0.02, "on_perc": 1.0},
    {"seed": 1, "learning_rate": 0.1, "on_perc": 0.3},
]


@ENGINES
@pytest.mark.parametrize(
    ("trials", "values"),
    [
        (TICKETS, {**TICKET, "prune_iter": 3}),
        (TICKETS, {**TICKET, "rewind_step": 6, "criterion": "random"}),
        (TICKETS, {**TICKET, "init": "reinit", **KWINNERS}),
        (SWEEPS, SWEEP),
        (SWEEPS, {**SWEEP, "prune_iteratively": True, "prune_scope": "global", "model": "SparseModel"}),
        (SWEEPS, {**SWEEP, "model": "SET", **KWINNERS, "prune_kinds": ["weight"]}),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_each_trial_of_a_pack_gives_what_it_gives_alone(
    engine: str, trials: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    together = trainer(*trials, **values, engine=engine)
    alone = [trainer(trial, **values, engine=engine) for trial in trials]
    while not together.is_done:
        for number, (row, single) in enumerate(zip(together.step(), alone, strict=True)):
            (own,) = single.step()
            assert own is not None
            # But for the last digits, so that another machine's sums pass as well; the sparse engine takes trials one
            # after the other.
            assert row == pytest.approx(own, abs=1e-5, nan_ok=True), f"trial {number}"
            assert engine != "sparse" or repr(row) == repr(own), f"trial {number}"
            for ours, theirs in zip(together.parameters().masks, single.parameters().masks, strict=True):
                assert torch.equal(ours[number], theirs[0])
    assert all(single.is_done for single in alone)
    assert any(not torch.equal(mask[0], other) for mask in together.parameters().masks for other in mask[1:])


def test_what_may_differ_within_a_pack() -> None:
    usual = Config.of(BASE)
    may = {name for name in LATER if pack_key(Config.of({**BASE, name: LATER[name]})) == pack_key(usual)}
    schedules = {"lr_schedule", "lr_milestones", "lr_gamma", "lr_final", "warmup_epochs"}
    # A trial without a limit of the gradient's norm has another control flow.
    of_methods = {"initial_density", "prune_gradient_weight", "salient_share", "l1_drift", "weight_temperature"}
    of_methods |= {"overlap_limit", "removal_alpha", "removal_delta", "backward_density"}
    assert may == {"prune_ratio", "last_layer_rate", "label_smoothing", "starts_from", *schedules, *of_methods}


# Keys


def problems(**values: Any) -> list[str]:
    """The lines of the error that these values raise."""
    with pytest.raises(ConfigError) as raised:
        Config.of({**BASE, **values})
    return str(raised.value).splitlines()


SPARSITIES_ARE = "sparsities must be a list of distinct values, each in [0, 1], got"
KINDS_ARE = "prune_kinds must be a list of distinct values, each one of weight, unit, got"


def as_list(name: str, value: str) -> str:
    return f'Write a list: [{value}] or [{value}, ...]; with --set, "{name}=({value},)" or "{name}=({value},...)"'


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("study", "prune", "Unknown study 'prune'. Available: train, sweep, ticket"),
        ("study", "tickets", "Unknown study 'tickets'. Did you mean 'ticket'? Available: train, sweep, ticket"),
        ("sparsities", [], f"{SPARSITIES_ARE} []"),
        ("sparsities", [0.5, 0.5], f"{SPARSITIES_ARE} [0.5, 0.5]"),
        ("sparsities", [1, 1.0], f"{SPARSITIES_ARE} [1, 1.0]"),
        ("sparsities", 0.5, f"{SPARSITIES_ARE} 0.5. {as_list('sparsities', '0.5')}"),
        ("sparsities", "0.5", f"{SPARSITIES_ARE} the string '0.5'. " + as_list("sparsities", "'0.5'")),
        ("sparsities", None, f"{SPARSITIES_ARE} None"),
        ("sparsities", [0.5, 1.5], "sparsities must be in [0, 1], got 1.5"),
        ("sparsities", [-0.1], "sparsities must be in [0, 1], got -0.1"),
        ("sparsities", [float("nan")], "sparsities must be a number in [0, 1], got nan"),
        ("sparsities", ["0.5"], "sparsities must be a number in [0, 1], got '0.5'"),
        ("prune_kinds", [], f"{KINDS_ARE} []"),
        ("prune_kinds", ["unit", "unit"], f"{KINDS_ARE} ['unit', 'unit']"),
        ("prune_kinds", "unit", f"{KINDS_ARE} the string 'unit'. " + as_list("prune_kinds", "'unit'")),
        ("prune_kinds", ["units"], "Unknown prune_kinds 'units'. Did you mean 'unit'? Available: weight, unit"),
        ("prune_scope", "all", "Unknown prune_scope 'all'. Available: layer, global"),
        ("prune_biases", 1, "prune_biases must be True or False, got 1"),
        ("retrain_epochs", -1, "retrain_epochs must be an integer of at least 0, got -1"),
        ("prune_ratio", 1.01, "prune_ratio must be in [0, 1], got 1.01"),
        ("prune_iter", 0, "prune_iter must be an integer of at least 1, got 0"),
        ("criterion", "L1", "Unknown criterion 'L1'. Did you mean 'l1'? Available: l1, random"),
        ("init", "rewind", "Unknown init 'rewind'. Did you mean 'reinit'? Available: original, reinit"),
        ("rewind_step", 0.5, "rewind_step must be an integer of at least 0, got 0.5"),
        ("last_layer_rate", 2, "last_layer_rate must be in [0, 1], got 2"),
    ],
    ids=str,
)
def test_a_value_out_of_range(name: str, value: Any, text: str) -> None:
    assert problems(**{name: value}) == [f"{text}."]


def test_keys_at_odds_with_each_other() -> None:
    values = {"study": "sweep", "retrain_epochs": 1, "prune_iteratively": True, "sparsities": [0.9, 0.5]}
    assert problems(**values) == [
        "sparsities must rise with prune_iteratively=True, got [0.9, 0.5]. Sort them, or set prune_iteratively=False."
    ]
    # Where each begins with the trained network, or none is trained again, any order is as good.
    for other in ({"prune_iteratively": False}, {"retrain_epochs": 0}, {"study": "train"}):
        Config.of({**BASE, **values, **other})


def test_values_take_their_final_type_and_come_back_from_a_file() -> None:
    config = Config.of({**BASE, "study": "sweep", "sparsities": [0, 1], "prune_kinds": ["unit"]})
    assert (config.sparsities, config.prune_kinds) == ((0.0, 1.0), ("unit",))
    assert all(type(each) is float for each in config.sparsities)
    again = Config.of(json.loads(json.dumps(config.values())))
    assert (again, identity(again)) == (config, identity(config))


# Identity


@pytest.mark.parametrize(
    ("values", "before"),
    [
        # As the last version without studies gave them.
        ({}, "f995384ddf2d"),
        ({"dataset_name": "digits", "hidden_sizes": [20], "seed": 3}, "0875689f5af4"),
        (
            {
                "model": "RigL", "kwinners": True, "on_perc": 0.05, "optim_alg": "Adam", "learning_rate": 0.001,
                "val_fraction": 0.1, "network": "MLPHeb", "hidden_sizes": [300, 100],
            },
            "5a88a921b168",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_trials_from_before_the_studies_keep_their_identity(values: dict[str, Any], before: str) -> None:
    config = Config.saved(values)
    not_in_it = {*LATER, *FOLLOWING, "data_dir", "device", "engine", "debug_weights", "debug_sparse"}
    known = {name: value for name, value in config.values().items() if name not in not_in_it}
    canonical = json.dumps(known, sort_keys=True, separators=(",", ":"))
    assert identity(config) == hashlib.sha256(canonical.encode()).hexdigest()[:12] == before
    absent = {name: keys()[name].metadata["absent"] for name in (*LATER, *FOLLOWING)}
    assert identity(Config.of({**values, **absent})) == before
    assert identity(Config.of(json.loads(json.dumps({**values, **absent})))) == before


def test_a_trial_from_before_weight_init_had_the_dense_fan_in() -> None:
    assert Config.saved({"seed": 3}).weight_init == "dense_uniform"
    assert Config.of({"seed": 3}).weight_init == "he_uniform"
    assert Config.of({"rules": "legacy_2019", "model": "DSNNMixedHeb"}).weight_init == "dense_uniform"
    assert identity(Config.of({"seed": 3})) != identity(Config.saved({"seed": 3}))


def test_each_later_key_makes_another_trial() -> None:
    assert {name for name, each in keys().items() if each.metadata["later"]} == {*LATER, *FOLLOWING}
    each = [{name: value} for name, value in LATER.items()]
    studies = [{"study": name, **other} for name, other in product(STUDIES, ({}, {"prune_iter": 4}))]
    found = [identity(Config.of({**BASE, **other})) for other in [*each, *studies, {"sparsities": [0.5, 0.25]}]]
    # Among the studies is BASE itself, and LATER has the sweep.
    assert len(set(found)) == len(found) - 1
    assert identity(Config.of(BASE)) in found
