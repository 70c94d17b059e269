"""Saved states: each state of a trial is accepted as it is, and nothing else is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from dynsparse.config import Config
from dynsparse.methods import METHODS
from dynsparse.planning.packs import select_trials
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

BASE = {"dataset_name": "blobs", "hidden_sizes": [6, 5], "batch_size": 64, "epochs": 3, "on_perc": 0.5}
SWEEP = {"study": "sweep", "sparsities": [0.5], "prune_kinds": ["weight"], "retrain_epochs": 1}
TRIALS: list[dict[str, Any]] = [
    *({"model": model} for model in METHODS),
    {"model": "SET", "kwinners": True, "optim_alg": "Adam"},
    {"model": "RigL", "batch_norm": True, "engine": "torch"},
    {"model": "RigL", "pruning_interval_steps": 2},
    {"model": "DSNNMixedHeb", "pruning_interval_steps": 2, "kwinners": True},
    {"model": "SET", "pruning_es": True, "pruning_es_patience": 0, "pruning_es_window_size": 1},
    {**SWEEP, "batch_norm": True, "momentum": 0.9},
    {"study": "ticket", "model": "Dense", "on_perc": 1.0, "prune_ratio": 0.5, "prune_iter": 2, "rewind_step": 1},
]


def states(config: Config) -> Iterator[dict[str, Any]]:
    trainer = Trainer([config])
    yield trainer.state_dict()
    while not trainer.is_done:
        trainer.step()
        yield copy.deepcopy(trainer.state_dict())


@pytest.mark.parametrize("values", TRIALS, ids=str)
def test_each_state_of_a_trial_is_accepted_unchanged(values: dict[str, Any]) -> None:
    config = Config.of({**BASE, **values})
    for state in states(config):
        checked = checked_state(copy.deepcopy(state), config)
        assert checked.keys() == state.keys()
        torch.testing.assert_close(checked, state, rtol=0, atol=0, equal_nan=True)


def test_a_state_from_before_there_were_studies_is_completed() -> None:
    config = Config.of({**BASE, "model": "SET"})
    *_, state = states(config)
    old = {name: value for name, value in state.items() if name not in ("n_rows", "kept", "counts", "counts_when_kept")}
    checked = checked_state(old, config)
    assert (checked["n_rows"], checked["kept"], checked["counts_when_kept"]) == (3, {}, {})
    assert checked["counts"]["flops"]["total"].isnan().all() and not checked["counts"]["exploration"]["is_known"].any()


def alterations(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each part of a state, by its place, and values that do not belong there."""
    if path:
        yield from ((path, wrong) for wrong in (None, "text", -1, 10**30, [1], {"a": 1}, torch.zeros(3, 1, 4)))
    if isinstance(value, torch.Tensor):
        yield from ((path, wrong) for wrong in (value[..., :-1], value.cfloat(), value.to_sparse(), value[None]))
        yield path, value.float() if value.dtype is torch.bool else value.bool()
    elif isinstance(value, list):
        yield path, value[:-1]
        yield path, [*value, *value[:1]]
        for place, each in enumerate(value):
            yield from alterations(each, (*path, place))
    elif isinstance(value, dict):
        for name, each in value.items():
            yield path, {other: part for other, part in value.items() if other != name}
            yield from alterations(each, (*path, name))


def altered(state: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    result = copy.copy(state)
    result[path[0]] = altered(state[path[0]], path[1:], value)
    return result


@pytest.mark.parametrize("values", [{"model": "SET", "kwinners": True}, {**SWEEP, "batch_norm": True}], ids=str)
def test_an_altered_state_is_refused_or_loads(values: dict[str, Any]) -> None:
    """Nothing else happens: not an error of another type, and none of the Trainer that is to continue."""
    config, n_refused = Config.of({**BASE, **values}), 0
    *_, state = states(config)
    for path, value in alterations(state):
        try:
            checked = checked_state(altered(state, path, value), config)
        except ValueError:
            n_refused += 1
            continue
        Trainer([config]).load_state_dict(select_trials(checked, [0]))
    assert n_refused > 300


def test_entries_that_no_trainer_reads_are_left_out_however_large_they_would_become() -> None:
    config = Config.of({**BASE, "model": "SET"})
    *_, state = states(config)
    each: list[Any] = []
    for _ in range(200):  # 2 ** 200 empty lists, for whoever looks at each
        each = [each, each]
    assert checked_state({**state, "more": each}, config).keys() == state.keys()


@pytest.mark.parametrize("state", [None, [], {}, {"epoch": "x"}, {"n_rows": 1, "epoch": 1, "engine": {}}], ids=str)
def test_what_is_no_state_is_refused(state: Any) -> None:
    with pytest.raises(ValueError, match=r"it must have a dict|must be of type int|is missing"):
        checked_state(state, Config.of({**BASE, "model": "SET"}))
