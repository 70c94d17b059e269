"""Packs: each trial gives the numbers that it gives alone, whatever becomes of its neighbours."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from dynsparse.config import Config, keys
from dynsparse.packs import PER_TRIAL, pack_key, stack
from dynsparse.training import Row, Trainer

# Sums depend in their last bits on where a matrix starts in memory. With sizes and batches that are multiples of 16
# every matrix starts alike in a pack and alone, and the results are the same bit for bit.
BASE = {"dataset_name": "blobs", "hidden_sizes": [32, 16], "batch_size": 32, "epochs": 60}
PACK: list[dict[str, Any]] = [
    {"seed": 0, "on_perc": 0.3, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "percent_on": 0.3,
     "weight_prune_perc": 0.3, "hebbian_prune_perc": 0.4, "boost_strength": 1.4, "boost_strength_factor": 0.7,
     "gradient_momentum": 0.9, "dropout": 0.1},
    {"seed": 1, "on_perc": 0.5, "learning_rate": 0.05, "momentum": 0.8, "weight_decay": 1e-3, "percent_on": 0.5,
     "weight_prune_perc": 0.2, "hebbian_prune_perc": 0.5, "boost_strength": 1.0, "boost_strength_factor": 0.9,
     "gradient_momentum": 0.5, "dropout": 0.0},
    {"seed": 2, "on_perc": 0.2, "learning_rate": 0.02, "momentum": 0.5, "weight_decay": 0.0, "percent_on": 0.25,
     "weight_prune_perc": 0.4, "hebbian_prune_perc": 0.0, "boost_strength": 0.0, "boost_strength_factor": 0.5,
     "gradient_momentum": 0.99, "dropout": 0.3},
    {"seed": 2, "on_perc": 0.7, "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 1e-4, "percent_on": 0.3,
     "weight_prune_perc": 0.1, "hebbian_prune_perc": 0.3, "boost_strength": 2.0, "boost_strength_factor": 0.8,
     "gradient_momentum": 0.0, "dropout": 0.2},
    {"seed": 4, "on_perc": 0.4, "learning_rate": 0.07, "momentum": 0.95, "weight_decay": 1e-4, "percent_on": 0.4,
     "weight_prune_perc": 0.5, "hebbian_prune_perc": 0.6, "boost_strength": 1.4, "boost_strength_factor": 0.7,
     "gradient_momentum": 0.9, "dropout": 0.5},
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread", "blobs")


def pack(**values: Any) -> list[Config]:
    return [Config.of({**BASE, **trial, **values}) for trial in PACK]


class Run:
    """All that a Trainer did: rows and masks of each epoch."""

    def __init__(self, configs: list[Config], n_epochs: int | None = None) -> None:
        self.trainer = Trainer(configs)
        self.rows: list[list[Row | None]] = []
        self.masks: list[list[torch.Tensor]] = []
        for _ in range(n_epochs or configs[0].epochs):
            self.rows.append(self.trainer.step())
            self.masks.append([mask.clone() for mask in self.trainer.engine.masks])

    def n_changes(self, trial: int) -> int:
        """How many mask updates, after the first, changed any layer."""
        return sum(
            any(not torch.equal(old[trial], new[trial]) for old, new in zip(before, after, strict=True))
            for before, after in pairwise(self.masks)
        )


def assert_same(together: Run, trial: int, alone: Run, tolerance: float = 1e-5) -> None:
    """Masks exactly, weights and numbers but for the last digits, so that another machine's sums pass as well."""
    for epoch, (ours, own) in enumerate(zip(together.masks, alone.masks, strict=True), start=1):
        same = all(torch.equal(a[trial], b[0]) for a, b in zip(ours, own, strict=True))
        assert same, f"the masks of trial {trial} differ after epoch {epoch}"
    for epoch, (rows, (row,)) in enumerate(zip(together.rows, alone.rows, strict=True), start=1):
        if row is None or rows[trial] is None:
            assert row is rows[trial], f"trial {trial} ends in epoch {epoch} in one of the two"
            continue
        assert rows[trial] == pytest.approx(row, abs=tolerance, nan_ok=True), f"trial {trial}, epoch {epoch}"
    for name in ("weights", "biases", "gains", "shifts", "means", "variances", "duty"):
        own = [each[0] for each in alone.trainer.engine.state_dict()[name]]
        ours = [each[trial] for each in together.trainer.engine.state_dict()[name]]
        torch.testing.assert_close(ours, own, rtol=0, atol=tolerance, equal_nan=True)
    assert together.trainer.errors[trial] == alone.trainer.errors[0]


@pytest.mark.parametrize(
    "values",
    [
        {"model": "DSNNMixedHeb", "kwinners": True, "batch_norm": True},
        {"model": "DSNNMixedHeb", "hebbian_grow": False},
        {"model": "RigL", "batch_norm": True, "prune_decay": "cosine"},
        {"model": "SNFS", "kwinners": True},
        {"model": "GMP", "batch_norm": True, "layer_densities": "erdos_renyi"},
        {"model": "SET", "optim_alg": "Adam", "learning_rate": 0.005},
        {"model": "DSNNMixedHeb", "rules": "legacy_2019", "hebbian_grow": False},
        {"model": "DSNNMixedHeb", "rules": "legacy_2019", "sparse_type": "exact_per_output"},
    ],
    ids=lambda values: " ".join(str(value) for value in values.values()),
)
def test_each_trial_gives_what_it_gives_alone_over_fifty_mask_updates(values: dict[str, Any]) -> None:
    configs = pack(**values)
    together = Run(configs)
    for trial, config in enumerate(configs):
        assert_same(together, trial, Run([config]))
    rows = [row for row in together.rows[-1] if row is not None]
    assert len({row["train_loss"] for row in rows}) == len(rows) >= 3, "trials that do not differ show nothing"
    assert max(together.n_changes(trial) for trial in range(len(PACK))) >= 50


@pytest.mark.parametrize(
    "values",
    [
        {"model": "SET", "pruning_es_threshold": 0.06},
        # Under legacy_2019 random growth does not reach the target, so that weights are missing also without updates.
        {"rules": "legacy_2019", "hebbian_grow": False, "pruning_es_threshold": 0.15},
    ],
    ids=["SET", "legacy_2019"],
)
def test_trials_whose_mask_updates_end_early_at_different_times(values: dict[str, Any]) -> None:
    configs = pack(pruning_es=True, pruning_es_window_size=1, epochs=12, **values)
    together = Run(configs)
    assert len({together.n_changes(trial) for trial in range(len(PACK))}) >= 3
    for trial, config in enumerate(configs):
        assert_same(together, trial, Run([config]))


def test_sizes_that_are_no_multiple_of_anything_are_the_same_to_rounding() -> None:
    configs = pack(hidden_sizes=[17, 13], batch_size=37, kwinners=True, batch_norm=True, model="RigL")
    together = Run(configs, n_epochs=3)
    for trial, config in enumerate(configs):
        assert_same(together, trial, Run([config], n_epochs=3))


# What becomes of the neighbours


@pytest.mark.parametrize("model", ["DSNNMixedHeb", "RigL", "SNFS", "GMP"])
def test_a_trial_that_diverges_has_nan_in_its_rows_and_does_not_touch_the_others(model: str) -> None:
    configs = pack(model=model, kwinners=True, batch_norm=True, epochs=6)
    configs[1] = Config.of({**configs[1].values(), "learning_rate": 1e6, "batch_norm": True})
    together = Run(configs)
    assert together.trainer.errors == [None] * len(configs)
    row = together.rows[-1][1]
    assert row is not None
    assert math.isnan(row["train_loss"])
    assert math.isnan(row["linear_1_mean"])
    for trial in (0, 2, 3, 4):
        assert_same(together, trial, Run([configs[trial]]))


def test_a_legacy_trial_without_negative_weights_ends_and_does_not_touch_the_others() -> None:
    configs = pack(rules="legacy_2019", epochs=5, hebbian_prune_perc=0.5)
    # It does not learn, so that its weights stay what they are made to be in the second epoch.
    configs[2] = Config.of({**configs[2].values(), "learning_rate": 0.0})
    trainer = Trainer(configs)
    rows = [trainer.step()]
    assert trainer.errors == [None] * 5
    trainer.engine.weights[1][2].abs_()
    rows += [trainer.step() for _ in range(4)]
    assert [row[2] is None for row in rows] == [False, True, True, True, True]
    ended = "epoch 2: a layer has no positive or no negative weight left, and here the 2019 code died"
    assert trainer.errors == [None, None, ended, None, None]
    for trial in (0, 1, 3, 4):
        alone = Run([configs[trial]])
        assert [row[trial] for row in rows] == [pytest.approx(row, nan_ok=True) for (row,) in alone.rows]


# What can be a pack


def test_a_stack_has_tensors_where_its_trials_may_differ_and_values_elsewhere() -> None:
    stacked = stack([Config.of({"seed": 2**62, "on_perc": 0.1}), Config.of({"on_perc": 1, "momentum": 0.5})])
    assert stacked.seed.tolist() == [2**62, 0]
    assert stacked.seed.dtype == torch.int64
    # In float64, or 0.1 of the weights would be another number of them.
    assert stacked.on_perc.tolist() == [0.1, 1.0]
    assert stacked.momentum.tolist() == [0.9, 0.5]
    assert stacked.hidden_sizes == (100, 100, 100)
    assert stacked.model == "DSNNMixedHeb"


def test_a_fraction_that_no_trial_has_is_none() -> None:
    assert stack([Config(weight_prune_perc=None), Config(weight_prune_perc=None, seed=1)]).weight_prune_perc is None


def test_trials_may_differ_in_seed_and_density_and_rates_and_in_no_name_flag_or_shape() -> None:
    assert set(PACK[0]) <= PER_TRIAL
    different = {
        name for name, each in keys().items() if isinstance(each.default, bool | str | tuple) and name in PER_TRIAL
    }
    assert not different
    assert len({pack_key(config) for config in pack()}) == 1


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ([{"hidden_sizes": [16]}], "hidden_sizes"),
        ([{"model": "SET"}, {"kwinners": True, "seed": 3}], "kwinners, model"),
        ([{"seed": 1}, {"epochs": 3}, {"batch_size": 16, "on_perc": 0.5}], "batch_size, epochs"),
        # Under legacy_2019, 0 keeps nothing and None is no rule.
        ([{"hebbian_prune_perc": None}], "hebbian_prune_perc"),
    ],
)
def test_trials_that_cannot_be_one_pack_are_refused_with_the_keys(others: list[dict[str, Any]], named: str) -> None:
    configs = [Config.of(BASE), *(Config.of({**BASE, **other}) for other in others)]
    for make in (stack, Trainer):
        with pytest.raises(ValueError) as error:
            make(configs)
        assert str(error.value) == f"these trials cannot be one pack: they differ in {named}"
    assert len({pack_key(config) for config in configs}) > 1
