"""Magnitude pruning with Hebbian growth, worked by hand."""

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
    coactivation=torch.tensor([[9.0, 7.0, 3.0, 8.0], [1.0, 9.0, 6.0, 2.0]]),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["DSNNHeb"](Config(model="DSNNHeb", **keys)), layer)


def test_the_smallest_go_and_the_most_coactive_come():
    # Of .1 -.4 .6 .2 -.5 go round(.4 * 5) = 2. Coactivations 3 and 2 come, not 1; and not the dropped ones' 9.
    update = updated(weight_prune_perc=0.4)
    assert update.kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert update.grown.int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]
    assert update.mask.int().tolist() == [[0, 1, 1, 1], [0, 0, 1, 1]]


def test_dropped_ones_come_back_only_when_no_other_is_left():
    # All five go. The three that were inactive come, and of the dropped ones the most coactive two, both of 9.
    update = updated(weight_prune_perc=1.0)
    assert update.kept.int().tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]
    assert update.grown.int().tolist() == [[0, 0, 1, 0], [1, 0, 0, 1]]
    assert update.mask.int().tolist() == [[1, 0, 1, 0], [1, 1, 0, 1]]


def test_ties_go_by_noise():
    # All coactivations are the same: noises 3 and 5 come, not 9.
    layer = LAYER._replace(coactivation=torch.full((2, 4), 7.0))
    assert updated(layer, weight_prune_perc=0.4).grown.int().tolist() == [[0, 0, 0, 0], [1, 0, 0, 1]]
