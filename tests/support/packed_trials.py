"""Trials for packs, and what their folders must hold."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.training.trainer import Trainer
from dynsparse.tune.param_space import INDICES, trial_configs

SMALL: dict[str, Any] = dict(
    dataset_name="digits", hidden_sizes=[16], batch_size=64, epochs=5, model="SET", on_perc=0.3
)
# The 2019 rules end a network this small: the second of these trials in its second epoch, the last in its fourth.
LEGACY: dict[str, Any] = dict(
    SMALL, model="DSNNMixedHeb", rules="legacy_2019", hidden_sizes=[3], hebbian_prune_perc=0.5
)
FATES = [(0.5, 0.3), (0.1, 0.9), (0.9, 0.3), (0.3, 0.5)]


def folder_of(path: Path, config: Config) -> TrialFolder:
    return TrialFolder(open_folder(str(path / folder_name(config))))


def pack_config(configs: Sequence[Config], indices: list[int], axis_names: Collection[str]) -> dict[str, Any]:
    """Return the config that Tune passes to a worker for the pack of these trials."""
    values = {key: [getattr(configs[index], key) for index in indices] for key in axis_names}
    if len(indices) == 1:
        values = {key: value for key, (value,) in values.items()}
    return {**configs[0].values(), **values, INDICES: indices}


def begin(path: Path, config: dict[str, Any], axis_names: Collection[str] = ()) -> None:
    """Write what a run writes before Tune gives a trial, or a pack, to a process."""
    for trial in trial_configs(config, axis_names).values():
        folder_of(path, trial).create(trial, {"version": "1"})


def assert_as_alone(path: Path, config: Config, tolerance: float = 1e-5) -> None:
    """The rows in a folder are those of a Trainer of its own: to rounding, which a pack does otherwise."""
    trainer, rows = Trainer([config]), folder_of(path, config).rows()
    expected = [row for (row,) in (trainer.step() for _ in trainer.plan.study.steps) if row is not None]
    assert [row["training_iteration"] for row in rows] == list(range(1, len(expected) + 1))
    for row, numbers in zip(rows, expected, strict=True):
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, abs=tolerance, nan_ok=True)
        assert row["trial_id"] == folder_name(config).removeprefix("trial_")
    state = folder_of(path, config).state()
    assert state is (State.COMPLETE if trainer.errors[0] is None else State.FAILED)
