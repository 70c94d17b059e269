"""Compare mask updates from the active weights alone with those from all positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynsparse.config import Config
from dynsparse.engines.base import UpdateContext, tie_noise
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.scores import Layer
from dynsparse.planning.plan import plan
from dynsparse.random import Purpose

mask_updates = pytest.importorskip("dynsparse.engines.sparse.mask_updates")

SEEDS = (5, 5, 9)
# The second layer of a network, with 40 inputs and 30 outputs.
LAYER, SHAPE = 1, (len(SEEDS), 30, 40)
MODELS = {
    name: values
    for name, values in {
        **{name: {"model": name} for name in METHODS},
        "random growth": {"model": "DSNNMixedHeb", "hebbian_grow": False, "hebbian_prune_perc": 0.4},
    }.items()
    if mask_updates.can_update_active(METHODS[values["model"]](Config(**values)))
}


def test_these_methods_are_updated_from_their_active_weights() -> None:
    assert set(MODELS) >= {"SET", "RandomPrune", "GMP", "DSNNWeightedMag", "MEST", "DeepR", "random growth"}
    assert not {"RigL", "DSNNHeb", "Dense"} & set(MODELS)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 0.9, 0.99, 1.0])
def test_the_update_is_that_of_all_positions(name: str, density: float) -> None:
    values = {"dataset_name": "digits", "hidden_sizes": (40, 30), "epochs": 9, "weight_prune_perc": 0.4, **MODELS[name]}
    packed = plan([Config(**values, seed=seed, on_perc=0.3) for seed in SEEDS])
    when = UpdateContext(epoch=2, share_done=0.5, drop_scale=0.7, stopped=torch.zeros(3, dtype=torch.bool), step=4)
    random = torch.Generator().manual_seed(0)
    n_grown = 0
    for _ in range(20):
        # Rounded, so that there are ties. The trials differ in their number of active weights.
        mask = torch.rand(SHAPE, generator=random) < density * torch.tensor([1.0, 0.9, 0.5])[:, None, None]
        weight = torch.randn(SHAPE, generator=random).mul(2).round().div(2) * mask
        coactivation = torch.randint(0, 5, SHAPE, generator=random).float()
        target = (mask.sum((1, 2)) + torch.tensor([0, 40, -20])).clamp(0, mask[0].numel())
        noises = [tie_noise(packed, purpose, LAYER, when.epoch, when.step) for purpose in (Purpose.PRUNE, Purpose.GROW)]
        statistics = {"coactivation": coactivation, "active_gradient": torch.randn(SHAPE, generator=random)}
        statistics["sign"] = torch.randn(SHAPE, generator=random).sign()
        layer = Layer(weight, mask, target, *noises, drop_scale=when.drop_scale, **statistics)
        expected = update_mask(packed.method, layer)
        positions = [np.flatnonzero(each) for each in mask]
        weights = [of_trial[each].numpy() for of_trial, each in zip(weight, mask, strict=True)]
        at_positions = {
            name: [of_trial[each].numpy() for of_trial, each in zip(statistics[name], mask, strict=True)]
            for name in packed.method.needs
        }
        found = mask_updates.update_active(packed, when, LAYER, mask, target, positions, weights, at_positions)
        for field in expected._fields:
            assert torch.equal(getattr(found, field), getattr(expected, field)), field
        n_grown += int(found.grown.sum())
    assert (n_grown > 0) == (name != "GMP")
