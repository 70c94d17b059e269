"""Magnitude weighted by coactivation, worked by hand."""

import torch

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.scores import Layer

LAYER = Layer(
    weight=torch.tensor([[0.1, -0.4, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]]),
    mask=torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0]]).bool(),
    target=torch.tensor(5),
    prune_noise=torch.zeros(2, 4),
    grow_noise=torch.tensor([[0, 0, 9, 0], [3, 0, 0, 5]], dtype=torch.int32),
    coactivation=torch.tensor([[9.0, 1.0, 8.0, 1.0], [9.0, 4.0, 2.0, 9.0]]),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["DSNNWeightedMag"](Config(model="DSNNWeightedMag", **keys)), layer)


def test_the_smallest_products_go_and_others_come_at_random():
    # Magnitude times coactivation: .9 .4 .6 in the first row, .8 1.0 in the second. Two go: .4 and .6, which are
    # neither the smallest weights, .1 and .2, nor all of the lowest coactivation. Noises 3 and 5 come, not 9.
    update = updated(weight_prune_perc=0.4)
    assert update.kept.int().tolist() == [[1, 0, 0, 0], [0, 1, 1, 0]]
    assert update.mask.int().tolist() == [[1, 0, 0, 0], [1, 1, 1, 1]]


def test_of_three_products():
    # The third is .8: neither the third smallest weight, .4, nor the third lowest coactivation, 2.
    assert updated(weight_prune_perc=0.6).kept.int().tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]


def test_what_is_never_active_together_goes_first():
    layer = LAYER._replace(coactivation=torch.tensor([[9.0, 1.0, 8.0, 1.0], [9.0, 4.0, 0.0, 9.0]]))
    assert updated(layer, weight_prune_perc=0.2).kept.int().tolist() == [[1, 1, 0, 1], [0, 1, 0, 0]]
