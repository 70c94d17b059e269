"""SNFS, worked by hand."""

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
    gradient=torch.tensor([[0.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]]),
    gradient_momentum=torch.tensor([[-9.0, 9.0, 1.0, 9.0], [-0.5, 9.0, 9.0, -2.0]]),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["SNFS"](Config(model="SNFS", **keys)), layer)


def test_the_smallest_go_and_the_largest_mean_gradients_come():
    # Of .1 -.4 .6 .2 -.5 go round(.4 * 5) = 2. Mean gradients -2 and 1 come, not -.5, whatever the last gradient is.
    update = updated(weight_prune_perc=0.4)
    assert update.kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert update.grown.int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]
    assert update.mask.int().tolist() == [[0, 1, 1, 1], [0, 0, 1, 1]]


def test_the_smoothing_is_that_of_the_configuration():
    assert METHODS["SNFS"](Config(model="SNFS", gradient_momentum=0.8)).smoothing == 0.8
