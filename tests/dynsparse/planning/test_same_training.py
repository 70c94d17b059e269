"""Test which trials are said to have the same training, and that their training is in fact the same."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dynsparse.config import Config
from dynsparse.data import DATASETS, Source
from dynsparse.data.sampling import n_held_out
from dynsparse.planning.same_training import same_trials
from dynsparse.training.trainer import Trainer

SMALL: dict[str, Any] = dict(
    dataset_name="digits", hidden_sizes=[20], batch_size=64, model="SET", on_perc=0.3, weight_prune_perc=0.3, epochs=4
)
MODELS = ("SparseModel", "SET", "RigL", "DSNNHeb", "DSNNWeightedMag", "RandomPrune")
SAME = {
    "one epoch has no update": (dict(epochs=1), *(dict(model=model) for model in MODELS)),
    "the only update of 0.1's cosine drops nothing": (
        dict(epochs=2, prune_decay="cosine_0.1", network="MLP"), *(dict(model=model) for model in MODELS),
    ),
    "a share of 0": (dict(weight_prune_perc=0), *(dict(model=model) for model in MODELS)),
    "a share below half a weight": (
        dict(weight_prune_perc=0.0005, hidden_sizes=[10]), *(dict(model=model) for model in MODELS),
    ),
    "no update is active": (dict(pruning_active=False), dict(model="SET"), dict(model="RigL")),
    "the last update is the same": (dict(epochs=8), dict(pruning_end=0.76), dict(pruning_end=0.8)),
    "an interval after which there is one update": (
        dict(prune_decay="cosine"), dict(pruning_interval=2), dict(pruning_interval=2, pruning_end=0.6),
    ),
    "a milestone after the end": (
        {}, dict(), dict(lr_schedule="multistep", lr_milestones=[4]), dict(lr_schedule="multistep", lr_milestones=[9]),
    ),
    "a schedule that ends where it began": ({}, dict(), dict(lr_schedule="linear", lr_final=1.0)),
    "a density that gives as many weights": (dict(network="MLP"), dict(on_perc=0.3), dict(on_perc=0.3001)),
    "as many examples held out": (dict(epochs=2), dict(val_fraction=0.2), dict(val_fraction=0.20001)),
    "what ReLU does not read": (dict(kwinners=False), dict(percent_on=0.1), dict(percent_on=0.2)),
    "no boost": (dict(kwinners=True, boost_strength=0), dict(), dict(boost_strength_factor=0.9)),
    "all units win": (dict(kwinners=True, percent_on=1.0), dict(), dict(boost_strength=2.0)),
}  # fmt: skip
DIFFERENT = {
    "the method": ({}, *(dict(model=model) for model in MODELS)),
    "the drop fraction": ({}, dict(weight_prune_perc=0.3), dict(weight_prune_perc=0.4)),
    "the decay": ({}, dict(prune_decay="constant"), dict(prune_decay="cosine")),
    "the density": ({}, dict(on_perc=0.3), dict(on_perc=0.31)),
    "the probability of a weight": (dict(sparse_type="bernoulli"), dict(on_perc=0.3), dict(on_perc=0.35)),
    "a milestone": ({}, dict(), dict(lr_schedule="multistep", lr_milestones=[3])),
    "one more example held out": (dict(epochs=2), dict(val_fraction=0.2), dict(val_fraction=0.2006)),
    "the seed": ({}, dict(seed=0), dict(seed=1)),
    "the density at the start": (dict(model="GraNet"), dict(initial_density=0.9), dict(initial_density=0.8)),
    "GMP's own target": (dict(model="GMP"), dict(on_perc=0.3), dict(on_perc=0.4)),
    "k-winners": (dict(kwinners=True), dict(percent_on=0.1), dict(percent_on=0.2)),
    "boost": (dict(kwinners=True), dict(boost_strength=1.0), dict(boost_strength=2.0)),
    "fewer winners in evaluation": (
        dict(kwinners=True, percent_on=1.0, k_inference_factor=0.5),
        dict(boost_strength=1.0),
        dict(boost_strength=9.0),
    ),
}


def configs(common: dict[str, Any], *own: dict[str, Any]) -> list[Config]:
    return [Config.of({**SMALL, **common, **each}) for each in own]


def training(config: Config) -> list[Any]:
    """Return all numbers of a training that are no descriptions of the trial."""
    trainer = Trainer([config])
    rows = [row for _ in range(config.epochs) for row in trainer.step()]
    return [[value for name, value in sorted((row or {}).items()) if name[:4] in ("val_", "trai")] for row in rows]


@pytest.mark.parametrize("case", SAME)
def test_trials_with_the_same_training_are_found(case: str) -> None:
    trials = configs(*SAME[case])
    [group] = same_trials(trials)
    assert group == trials
    rows = [training(trial) for trial in trials]
    assert all(each == rows[0] for each in rows)
    assert math.isfinite(sum(rows[0][-1]))


@pytest.mark.parametrize("case", DIFFERENT)
def test_trials_with_different_training_are_not(case: str) -> None:
    trials = configs(*DIFFERENT[case])
    assert same_trials(trials) == []
    rows = [training(trial) for trial in trials]
    assert all(each not in rows[:i] for i, each in enumerate(rows))


def test_groups_hold_the_trials_of_one_seed() -> None:
    trials = configs(dict(epochs=1), *(dict(model=model, seed=seed) for model in ("SET", "RigL") for seed in (0, 1)))
    assert [[(each.model, each.seed) for each in group] for group in same_trials(trials)] == [
        [("SET", 0), ("RigL", 0)],
        [("SET", 1), ("RigL", 1)],
    ]


def test_updates_in_steps_are_compared_if_the_number_of_steps_is_known() -> None:
    late = dict(epochs=1, pruning_interval_steps=1000)
    trials = configs(late, *(dict(model=model) for model in ("SET", "RigL", "SparseModel")))
    assert same_trials(trials, lambda config: None) == []
    assert same_trials(trials, lambda config: 200) == [trials]
    # As many steps as to the first update.
    assert same_trials(trials, lambda config: 1001 * config.batch_size) == []


def test_fractions_are_compared_by_their_examples_if_the_size_of_the_data_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(DATASETS, "mine", Source(64, 10, lambda folder, download: pytest.fail("data were read")))
    trials = configs(dict(dataset_name="mine"), dict(val_fraction=0.2), dict(val_fraction=0.20001))
    assert same_trials(trials) == []
    assert same_trials(trials, lambda config: 100_000 - n_held_out(100_000, config.val_fraction)) == []
    assert same_trials(trials, lambda config: 1000 - n_held_out(1000, config.val_fraction)) == [trials]


def test_a_fraction_that_holds_out_nothing_is_not_no_fraction() -> None:
    assert same_trials(configs({}, dict(val_fraction=0.0), dict(val_fraction=1e-6))) == []
