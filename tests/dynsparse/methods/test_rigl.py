"""RigL, worked by hand."""

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
    gradient=torch.tensor([[-9.0, 9.0, -3.0, 9.0], [2.0, 9.0, 9.0, 1.0]]),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["RigL"](Config(model="RigL", **keys)), layer)


def test_the_smallest_go_and_the_largest_gradients_come():
    # Of .1 -.4 .6 .2 -.5 go round(.4 * 5) = 2. Gradients -3 and 2 come, not 1; and not the dropped ones' 9.
    update = updated(weight_prune_perc=0.4)
    assert update.kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert update.grown.int().tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert update.mask.int().tolist() == [[0, 1, 1, 1], [1, 0, 1, 0]]


def test_a_falling_drop_fraction():
    # round(.4 * .5 * 5) = 1 goes, .1; one comes, -3.
    update = updated(LAYER._replace(drop_scale=0.5), weight_prune_perc=0.4)
    assert update.mask.int().tolist() == [[0, 1, 1, 1], [0, 1, 1, 0]]


def test_the_number_that_goes_rounds_halves_to_even():
    # round(.5 * 5) = round(2.5) = 2, and round(.3 * 5) = round(1.5) = 2.
    assert updated(weight_prune_perc=0.5).kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert updated(weight_prune_perc=0.3).kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
