"""GraNet, worked by hand."""

import torch

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.scores import Layer

LAYER = Layer(
    weight=torch.tensor([[0.1, -0.4, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]]),
    mask=torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0]]).bool(),
    target=torch.tensor(4),
    prune_noise=torch.zeros(2, 4),
    grow_noise=torch.tensor([[0, 0, 9, 0], [3, 0, 0, 5]], dtype=torch.int32),
    gradient=torch.tensor([[-9.0, 9.0, -3.0, 9.0], [2.0, 9.0, 9.0, 1.0]]),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["GraNet"](Config(model="GraNet", **keys)), layer)


def test_the_smallest_beyond_the_target_go_then_a_share_of_the_others_is_replaced():
    # .1 goes for the target of 4. Of the other four, round(.5 * 4) = 2 go, .2 and -.4; gradients -3 and 2 come.
    update = updated(weight_prune_perc=0.5)
    assert update.kept.int().tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]
    assert update.grown.int().tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    # With a drop fraction of .5 * .5, one is replaced: .2 by -3.
    update = updated(LAYER._replace(drop_scale=0.5), weight_prune_perc=0.5)
    assert update.mask.int().tolist() == [[0, 1, 1, 1], [0, 0, 1, 0]]


def test_without_replacement_it_is_gmp():
    for target in range(6):
        layer = LAYER._replace(target=torch.tensor(target))
        gmp = update_mask(METHODS["GMP"](Config(model="GMP")), layer)
        for fraction in (0, None):
            assert torch.equal(updated(layer, weight_prune_perc=fraction).mask, gmp.mask)


def test_with_the_target_reached_it_is_rigl():
    layer = LAYER._replace(target=torch.tensor(5))
    for fraction in (0.2, 0.4, 1.0):
        rigl = update_mask(METHODS["RigL"](Config(model="RigL", weight_prune_perc=fraction)), layer)
        assert torch.equal(updated(layer, weight_prune_perc=fraction).mask, rigl.mask)


def test_the_surplus_falls_on_a_cubic_schedule_from_the_initial_density():
    method = METHODS["GraNet"](Config(model="GraNet", initial_density=0.5))
    assert [method.surplus(progress) for progress in (0, 0.5, 1)] == [1, 0.125, 0]
    assert method.initial_density == 0.5
