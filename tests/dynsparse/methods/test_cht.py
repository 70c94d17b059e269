"""CHT, worked by hand."""

from collections import Counter

import torch
from scipy import stats

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer

LAYER = Layer(
    weight=torch.tensor([[0.9, 0.8, 0.0, 0.0], [0.7, 0.0, -0.1, 0.0], [0.0, 0.0, 0.0, 0.6]]),
    mask=torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]).bool(),
    target=torch.tensor(5),
    prune_noise=torch.zeros(3, 4, dtype=torch.int32),
    grow_noise=torch.arange(12, dtype=torch.int32).view(3, 4),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["CHT"](Config(model="CHT", **keys)), layer)


def test_the_smallest_weight_is_replaced_by_the_link_that_a_path_predicts():
    # -.1 goes. Of what is left, only output 1 and input 1 are connected by a path of three links: 1 - 0 - 0 - 1.
    update = updated(weight_prune_perc=0.2)
    assert update.kept.int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert update.grown.int().tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_where_no_path_predicts_a_link_chance_decides():
    # -.1 and .6 go: the link (1, 1) comes, and the missing one of the lowest noise, (0, 2).
    update = updated(weight_prune_perc=0.4)
    assert update.mask.int().tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_a_link_that_has_just_been_pruned_may_grow_again():
    weight = torch.tensor([[0.9, 0.8, 0.0, 0.0], [0.7, -0.1, 0.0, 0.0], [0.0, 0.0, 0.0, 0.6]])
    update = updated(LAYER._replace(weight=weight, mask=weight != 0), weight_prune_perc=0.2)
    assert torch.equal(update.mask, weight != 0)
    assert not update.kept[1, 1]
    assert not update.grown.any()


def test_ties_are_fair():
    """A ring of four outputs and inputs has four missing links in equal positions; one weight of a fifth pair goes."""
    ring = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]])
    noise = torch.randint(-(2**31), 2**31, (600, 5, 5), generator=torch.Generator().manual_seed(3), dtype=torch.int32)
    mask = ring.bool().expand_as(noise)
    weight = torch.where(torch.eye(5).bool() & (ring.sum(1) == 1)[:, None], 0.1, 1.0) * mask
    layer = Layer(weight, mask, masks.count(mask), noise, noise)
    update = updated(layer, weight_prune_perc=0.1)
    grown = Counter(map(tuple, update.grown.nonzero()[:, 1:].tolist()))
    # One path of three links leads over the ring from an output to each of the two inputs that it lacks.
    assert grown.keys() == {(0, 2), (0, 3), (1, 0), (1, 3), (2, 0), (2, 1), (3, 1), (3, 2)}
    assert stats.chisquare([*grown.values()]).pvalue > 0.001


def test_a_dense_layer_takes_back_what_it_has_pruned():
    layer = LAYER._replace(weight=torch.rand(3, 4), mask=torch.ones(3, 4, dtype=torch.bool), target=torch.tensor(12))
    assert updated(layer, weight_prune_perc=0.5).mask.all()
