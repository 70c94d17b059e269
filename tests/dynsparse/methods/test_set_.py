"""SET, worked by hand."""

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
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["SET"](Config(model="SET", **keys)), layer)


def test_the_smallest_of_each_sign_go_and_others_come_at_random():
    # Of .1 .2 .6 goes round(.4 * 3) = 1; of -.4 -.5 goes round(.4 * 2) = 1, though .2 is smaller than it.
    # Of the three inactive positions come the two of the lowest noise, 3 and 5.
    update = updated(weight_prune_perc=0.4)
    assert update.kept.int().tolist() == [[0, 0, 0, 1], [0, 1, 1, 0]]
    assert update.grown.int().tolist() == [[0, 0, 0, 0], [1, 0, 0, 1]]
    assert update.mask.int().tolist() == [[0, 0, 0, 1], [1, 1, 1, 1]]


def test_each_sign_rounds_for_itself_halves_to_even():
    # round(.5 * 3) = 2 of the positive ones, round(.5 * 2) = 1 of the negative ones.
    assert updated(weight_prune_perc=0.5).kept.int().tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]


def test_a_falling_drop_fraction():
    # round(.4 * .5 * 3) = 1 and round(.4 * .5 * 2) = 0.
    update = updated(LAYER._replace(drop_scale=0.5), weight_prune_perc=0.4)
    assert update.kept.int().tolist() == [[0, 1, 0, 1], [0, 1, 1, 0]]


def test_an_active_zero_ranks_as_the_smallest_positive_one():
    weight = torch.tensor([[0.0, -0.4, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]])
    assert updated(LAYER._replace(weight=weight), weight_prune_perc=0.4).kept.int().tolist() == [
        [0, 0, 0, 1],
        [0, 1, 1, 0],
    ]
    weight = -weight.abs()  # one zero beside four negative ones: round(.4 * 1) = 0 and round(.4 * 4) = 2
    assert updated(LAYER._replace(weight=weight), weight_prune_perc=0.4).kept.int().tolist() == [
        [1, 0, 0, 1],
        [0, 0, 1, 0],
    ]


def test_ties_go_by_noise():
    weight = torch.tensor([[0.2, -0.5, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]])
    for noise, kept in [
        ([[1, 1, 0, 0], [0, 2, 2, 0]], [[0, 0, 0, 1], [0, 1, 1, 0]]),
        ([[2, 1, 0, 0], [0, 1, 2, 0]], [[1, 0, 0, 1], [0, 0, 1, 0]]),
        ([[1, 2, 0, 0], [0, 2, 1, 0]], [[0, 1, 0, 1], [0, 1, 0, 0]]),
    ]:
        layer = LAYER._replace(weight=weight, prune_noise=torch.tensor(noise, dtype=torch.int32))
        assert updated(layer, weight_prune_perc=0.4).kept.int().tolist() == kept
