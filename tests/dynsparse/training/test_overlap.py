"""Mask updates of a layer end once they grow again what they prune; and units without paths lose their weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dynsparse.config import Config
from dynsparse.methods import MaskUpdate
from dynsparse.training.overlap import Overlap, overlap
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

BASE: dict[str, Any] = {
    "dataset_name": "blobs",
    "hidden_sizes": [24, 16],
    "batch_size": 32,
    "epochs": 8,
    "on_perc": 0.1,
    "test_noise": False,
}


def update(mask: list[int], kept: list[int], before: list[int]) -> MaskUpdate:
    """An update of one trial with one unit, from what is active after it, kept, and active before."""
    new, left, old = (torch.tensor([[each]]).bool() for each in (mask, kept, before))
    return MaskUpdate(new, left, new & ~old, new.sum((-2, -1)))


HALF = update([1, 1, 1, 0], kept=[1, 0, 0, 0], before=[1, 1, 0, 1])  # grows the second again, and the third
NONE = update([1, 1, 0, 0], kept=[1, 1, 0, 0], before=[1, 1, 0, 0])
ALL = update([1, 1, 1, 0], kept=[1, 0, 0, 0], before=[1, 1, 1, 0])


def test_overlap_is_the_share_of_grown_positions_that_were_just_pruned() -> None:
    assert overlap(HALF).tolist() == [0.5]
    assert overlap(ALL).tolist() == [1]
    assert overlap(NONE).isnan().all()


def test_a_layer_stays_stopped_after_one_update_above_the_limit() -> None:
    tracker = Overlap(1, 3, 0.5)
    tracker.update([HALF, ALL, NONE])
    assert tracker.stopped.tolist() == [[False, True, False]]
    again = Overlap(1, 3, 0.5)
    again.load_state_dict(tracker.state_dict())
    again.update([ALL, NONE, NONE])
    assert again.stopped.tolist() == [[True, True, False]]
    assert tracker.stopped.tolist() == [[False, True, False]]
    for limit in (None, 1.0):
        never = Overlap(1, 1, limit)
        never.update([ALL])
        assert not never.stopped.any()


def trainer(*limits: float, **values: Any) -> Trainer:
    configs = [Config.of({**BASE, "model": "CHT", "overlap_limit": limit, **values}) for limit in limits]
    return Trainer(configs)


def changed_layers(each: Trainer) -> list[list[bool]]:
    """For each layer and trial, whether the next step changes its mask."""
    before = [mask.clone() for mask in each.engine.masks]
    each.step()
    return [(mask != old).flatten(1).any(1).tolist() for mask, old in zip(each.engine.masks, before, strict=True)]


@pytest.mark.parametrize("engine", ["sparse", "torch"])
def test_a_layer_above_the_limit_changes_once(engine: str) -> None:
    # Any overlap above 0 ends the updates of a layer, in the first trial only.
    each = trainer(0.0, 1.0, engine=engine)
    seen = [changed_layers(each) for _ in range(6)]
    stopped = each._overlap.stopped
    assert stopped[0].any()
    assert not stopped[1].any()
    for layer in stopped[0].nonzero().squeeze(1).tolist():
        assert not seen[-1][layer][0]
    assert any(layer[1] for layer in seen[-1])


def test_it_resumes_with_the_layers_that_have_stopped() -> None:
    whole = trainer(0.0)
    rows = [whole.step() for _ in range(6)]
    first = trainer(0.0)
    again = [first.step() for _ in range(3)]
    assert first._overlap.stopped.any()
    rest = trainer(0.0)
    rest.load_state_dict(first.state_dict())
    again += [rest.step() for _ in range(3)]
    assert repr(again) == repr(rows)


@pytest.mark.parametrize("model", ["CHT", "CHTs"])
def test_units_that_are_cut_off_lose_their_weights_and_the_counts_stay(model: str) -> None:
    each = Trainer([Config.of({**BASE, "model": model, "on_perc": 0.04, "weight_prune_perc": 0.5, "epochs": 5})])
    counts = [int(mask.sum()) for mask in each.engine.masks]
    for _ in range(4):
        each.step()
        assert [int(mask.sum()) for mask in each.engine.masks] == counts
    first, second, _ = each.engine.masks
    assert (first[0].any(1) | second[0].any(0)).sum() < 24
