"""GMP, worked by hand."""

import torch

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.scores import Layer

LAYER = Layer(
    weight=torch.tensor([[0.1, -0.4, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]]),
    mask=torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0]]).bool(),
    target=torch.tensor(3),
    prune_noise=torch.zeros(2, 4),
    grow_noise=torch.tensor([[0, 0, 9, 0], [3, 0, 0, 5]], dtype=torch.int32),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["GMP"](Config(model="GMP", **keys)), layer)


def test_the_smallest_go_until_the_target_is_left_and_none_comes():
    # Five are active, three are wanted: .1 and .2 go. The drop fraction of other methods is not read.
    for fraction in [0, None, 0.3, 1.0]:
        update = updated(weight_prune_perc=fraction)
        assert update.mask.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
        assert update.kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
        assert not update.grown.any()


def test_down_to_the_last_weight():
    assert updated(LAYER._replace(target=torch.tensor(1))).mask.int().tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]
    assert updated(LAYER._replace(target=torch.tensor(0))).mask.int().tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_target_that_is_reached_or_above_changes_nothing():
    for target in [5, 6, 8]:
        assert torch.equal(updated(LAYER._replace(target=torch.tensor(target))).mask, LAYER.mask)


def test_the_surplus_falls_on_a_cubic_schedule():
    # Of the weights beyond on_perc, all are active at first, an eighth halfway, none at the end.
    surplus = METHODS["GMP"](Config(model="GMP")).surplus
    assert [surplus(progress) for progress in (0, 0.5, 1)] == [1, 0.125, 0]
