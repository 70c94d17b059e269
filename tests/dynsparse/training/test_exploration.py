"""The share of positions that have ever been active: worked by hand, followed over a training, and unknown."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dynsparse.config import Config
from dynsparse.planning.packs import join_trials, select_trials
from dynsparse.training.exploration import Exploration
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Trainer

BASE = {"dataset_name": "blobs", "hidden_sizes": [24, 16], "batch_size": 32, "epochs": 6, "on_perc": 0.25}


def trainer(*trials: dict[str, Any], **values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values, **trial}) for trial in trials or ({},)])


def explored(each: Trainer, n_steps: int) -> list[list[float]]:
    """The share of each trial, for each step."""
    return [[float(row["explored"]) for row in each.step() if row is not None] for _ in range(n_steps)]


def test_exploration_worked_example() -> None:
    def two_layers(*trials: tuple[list[int], list[int]]) -> list[Tensor]:
        return [torch.tensor([trial[layer] for trial in trials], dtype=torch.bool)[:, None] for layer in (0, 1)]

    # Two trials with 4 positions in the first layer and 2 in the second.
    tracker = Exploration(two_layers(([0] * 4, [0] * 2), ([0] * 4, [0] * 2)))
    tracker.add(two_layers(([1, 0, 0, 0], [1, 0]), ([1, 1, 0, 0], [1, 1])))
    assert tracker.metrics()["explored"].tolist() == [2 / 6, 4 / 6]
    # The first trial tries one new position. The second returns to a part of its old ones.
    tracker.add(two_layers(([0, 1, 0, 0], [1, 0]), ([1, 0, 0, 0], [1, 1])))
    assert tracker.metrics()["explored"].tolist() == [3 / 6, 4 / 6]


@pytest.mark.usefixtures("one_thread", "blobs")
@pytest.mark.parametrize("model", ["SET", "RigL", "DSNNMixedHeb"])
def test_explored_is_the_union_of_the_masks_that_were_trained(model: str) -> None:
    each, seen, shares = trainer(model=model), set[tuple[int, ...]](), []
    for _ in range(6):
        for layer, mask in enumerate(each.engine.masks):
            seen |= {(layer, *position) for position in mask[0].nonzero().tolist()}
        [[share]] = explored(each, 1)
        assert share == len(seen) / sum(mask[0].numel() for mask in each.engine.masks)
        shares.append(share)
    assert shares[0] == pytest.approx(0.25) and shares == sorted(set(shares))


@pytest.mark.usefixtures("one_thread", "blobs")
@pytest.mark.parametrize(("model", "share"), [("SparseModel", 0.25), ("Dense", 1.0), ("GMP", 1.0)])
def test_what_never_grows_explores_what_it_begins_with(model: str, share: float) -> None:
    assert explored(trainer(model=model), 6) == [[share]] * 6


@pytest.mark.usefixtures("one_thread", "blobs")
def test_a_trial_of_an_older_version_does_not_know_its_positions_but_its_neighbour_in_a_pack_does() -> None:
    trials = [{"seed": 1, "model": "RigL"}, {"seed": 2, "model": "RigL"}]
    apart, undisturbed = [trainer(trial) for trial in trials], trainer(*trials)
    expected = explored(undisturbed, 6)
    for each in apart:
        explored(each, 3)
    old = {name: value for name, value in apart[0].state_dict().items() if not name.startswith("counts")}
    resumed = trainer(*trials)
    saved = zip([old, apart[1].state_dict()], trials, strict=True)
    resumed.load_state_dict(join_trials([checked_state(state, Config.of({**BASE, **trial})) for state, trial in saved]))
    rows = [resumed.step(), resumed.step()]
    for step, (first, second) in enumerate(rows, start=3):
        assert first is not None and second is not None
        assert math.isnan(first["explored"]) and math.isnan(first["flops_train"])
        assert second["explored"] == expected[step][1]
        assert first["flops_inference"] == second["flops_inference"] > 0
        assert second["flops_train"] > 0
    # It stays so when the trials part again.
    for place, is_known in ((0, False), (1, True)):
        alone = trainer(trials[place])
        alone.load_state_dict(select_trials(resumed.state_dict(), [place]))
        [[share]] = explored(alone, 1)
        assert share == expected[5][1] if is_known else math.isnan(share)
