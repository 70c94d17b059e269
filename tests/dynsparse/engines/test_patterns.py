"""Training with mask patterns, in every engine."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.module_trials import config as module_config

from dynsparse.config import Config
from dynsparse.ops.patterns import pattern_of
from dynsparse.training.trainer import Trainer

BASE: dict[str, Any] = {
    "dataset_name": "digits", "hidden_sizes": [24, 16], "batch_size": 100, "epochs": 4, "test_noise": False,
    "learning_rate": 0.02, "on_perc": 0.5, "last_layer_dense": True,
}  # fmt: skip
TRIALS = [
    {"model": "SET", "mask_pattern": "2:4"},
    {"model": "RigL", "mask_pattern": "4x4"},
    {"model": "DSNNHeb", "mask_pattern": "2:4", "pruning_interval_steps": 5},
    {"model": "GraNet", "mask_pattern": "2:4"},
    {"model": "GMP", "mask_pattern": "8x2"},
    {"model": "CHTs", "mask_pattern": "4x2"},
]

pytestmark = pytest.mark.usefixtures("one_thread")


def assert_patterns(trainer: Trainer, text: str) -> None:
    patterns = trainer.plan.patterns
    assert patterns[0] == pattern_of(text)
    for pattern, mask in zip(patterns, trainer.engine.masks, strict=True):
        assert pattern.misfit(mask) is None


@pytest.mark.parametrize("values", TRIALS, ids=str)
def test_all_engines_keep_the_pattern_and_give_the_same_masks(values: dict[str, Any]) -> None:
    trainers = [
        Trainer([Config.of({**BASE, **values, "seed": seed, "engine": engine}) for seed in (0, 0, 1)])
        for engine in ("torch", "sparse", "packed")
    ]
    before = trainers[0].engine.masks[0].clone()
    while not trainers[0].is_done:
        rows = [trainer.step() for trainer in trainers]
        for trainer, row in zip(trainers, rows, strict=True):
            assert_patterns(trainer, values["mask_pattern"])
            for ours, theirs in zip(trainer.engine.masks, trainers[0].engine.masks, strict=True):
                assert torch.equal(ours, theirs)
            assert [each["density"] for each in row] == [each["density"] for each in rows[0]]
    assert not torch.equal(trainers[0].engine.masks[0], before)
    # Of the sparse layers, exactly half.
    assert [int(mask[0].sum()) for mask in trainers[0].engine.masks] == [24 * 32, 24 * 8, 160]


def test_the_density_falls_in_steps_of_whole_groups() -> None:
    trainer = Trainer([Config.of({**BASE, "model": "GMP", "mask_pattern": "1:4", "on_perc": 0.25, "epochs": 7})])
    densities = []
    while not trainer.is_done:
        [row] = trainer.step()
        densities.append(row["density_l0"])
    # Before the first update and after each of six, with 1 + round(3 * (1 - p)^3) weights of each group.
    numbers = [1 + round(3 * (1 - done / 6) ** 3) for done in range(1, 7)]
    assert sorted(densities, reverse=True) == densities
    assert {4 * density for density in densities[1:]} == set(numbers[:-1]) | {1}


@pytest.mark.usefixtures("module_tables")
@pytest.mark.parametrize("text", ["1:2", "2x2"])
def test_torch_modules(text: str) -> None:
    trainer = Trainer([module_config("plain", model="RigL", mask_pattern=text, on_perc=0.5, dataset_name="digits")])
    while not trainer.is_done:
        trainer.step()
        assert_patterns(trainer, text)
