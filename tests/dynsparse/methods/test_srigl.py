"""SRigL, worked by hand."""

from collections import Counter

import pytest
import torch
from scipy import stats

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer
from dynsparse.planning.packs import PackConfig

# Two units with two of four inputs each.
LAYER = Layer(
    weight=torch.tensor([[0.9, -0.8, 0.0, 0.0], [0.0, 0.1, -0.2, 0.0]]),
    mask=torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0]]).bool(),
    target=torch.tensor(4),
    prune_noise=torch.arange(8, dtype=torch.int32).view(2, 4),
    grow_noise=torch.arange(8, dtype=torch.int32).view(2, 4),
    gradient=torch.tensor([[1.0, 1.0, -5.0, 6.0], [3.0, 4.0, 0.0, -2.0]]),
)
WITH_GRADIENT_IN_BOTH = LAYER._replace(gradient=torch.tensor([[1.0, 1.0, -5.0, 1.0], [3.0, 6.0, 0.0, -2.0]]))


def updated(layer=LAYER, **keys):
    keys = {"weight_prune_perc": 0.5, **keys}
    return update_mask(METHODS["SRigL"](Config(model="SRigL", **keys)), layer)


def test_a_unit_without_salient_weights_is_ablated_and_its_weights_go_to_the_other():
    # Two of four weights go. Salient are the two largest weights, .9 and -.8, and the two largest gradients, 6 and -5:
    # none is of the second unit, so its two weights go, and the first unit gets all four inputs.
    update = updated()
    assert update.kept.int().tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert update.mask.int().tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]


def test_without_ablation_exactly_the_smallest_weights_go():
    update = updated(WITH_GRADIENT_IN_BOTH, weight_prune_perc=0.25)
    assert update.kept.int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]
    assert update.grown.int().tolist() == [[0, 0, 0, 0], [1, 0, 0, 0]]


def test_a_unit_with_a_salient_gradient_keeps_its_fan_in():
    # The gradient 6 is of the second unit. Its weights are the two smallest of the layer, and it gets two others: those
    # of gradients 3 and -2, because what has just been pruned does not come back.
    update = updated(WITH_GRADIENT_IN_BOTH)
    assert update.kept.int().tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert update.mask.int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 1]]


def test_outputs_of_the_network_are_not_ablated_and_neither_is_a_unit_with_share_0():
    for update in (updated(LAYER._replace(is_last=True)), updated(salient_share=0)):
        assert update.mask.int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 1]]


def test_an_ablated_unit_comes_back_with_its_gradients_and_the_others_share_again():
    # The first unit has all four weights. Of them .1 and -.2 go, the two smallest, and it may keep two.
    layer = WITH_GRADIENT_IN_BOTH._replace(
        weight=torch.tensor([[0.9, -0.8, 0.1, -0.2], [0.0, 0.0, 0.0, 0.0]]),
        mask=torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]]).bool(),
    )
    assert updated(layer).mask.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    # With one weight to drop, the first unit still keeps two, its largest.
    assert updated(layer, weight_prune_perc=0.25).mask.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    # Without a salient gradient it stays ablated, and the first unit takes back what it has dropped.
    assert updated(layer._replace(gradient=LAYER.gradient)).mask.int().tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]


def test_no_more_units_are_ablated_than_the_others_can_replace():
    # All gradients are of the first unit, and one unit cannot have more than four inputs: with six weights, both stay.
    layer = LAYER._replace(
        weight=torch.tensor([[0.9, -0.8, 0.7, 0.0], [0.0, 0.1, -0.2, 0.3]]),
        mask=torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]]).bool(),
        target=torch.tensor(6),
        gradient=torch.tensor([[9.0, 9.0, 9.0, 9.0], [0.0, 0.0, 0.0, 0.0]]),
    )
    assert updated(layer).mask.sum(-1).tolist() == [3, 3]


@pytest.mark.parametrize(("n", "expected"), [(12, [3, 3, 3, 3]), (14, [3, 3, 4, 4]), (17, [4, 4, 4, 5])])
def test_the_inputs_of_all_units_are_equal_up_to_one(n, expected):
    generator = torch.Generator().manual_seed(n)
    noise, other = torch.randint(-(2**31), 2**31, (2, 4, 9), generator=generator, dtype=torch.int32)
    mask = masks.exact_per_output(noise, n)
    weight, gradient = torch.randn(2, 4, 9, generator=generator)
    layer = Layer(weight * mask, mask, torch.tensor(n), noise, other, gradient=gradient)
    assert sorted(updated(layer, salient_share=0).mask.sum(-1).tolist()) == expected
    # The last unit has no salient weight and is ablated.
    few = layer._replace(
        weight=layer.weight * torch.tensor([1, 1, 1, 1e-6])[:, None], gradient=gradient * (mask.sum(-1) > 0)[:, None]
    )
    few = few._replace(gradient=few.gradient * torch.tensor([1.0, 1, 1, 0])[:, None])
    found = updated(few, weight_prune_perc=0.6).mask.sum(-1).tolist()
    assert found[3] == 0
    assert sorted(found[:3]) == sorted(n // 3 + (place < n % 3) for place in range(3))


def test_trials_of_a_pack_have_their_own_share():
    configs = [Config(model="SRigL", weight_prune_perc=0.5, salient_share=each) for each in (0.3, 0.0)]
    pack = LAYER._replace(
        **{name: value.expand(2, *value.shape) for name, value in LAYER._asdict().items() if torch.is_tensor(value)}
    )
    found = update_mask(METHODS["SRigL"](PackConfig(configs)), pack).mask
    assert [each.sum(-1).tolist() for each in found] == [[4, 0], [2, 2]]


def test_ties_are_fair():
    """All scores equal: each pair of active weights is dropped equally often, and the free inputs of a unit grow so."""
    shape = (4500, 3, 4)
    mask = torch.tensor([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]).bool()
    generator = torch.Generator().manual_seed(1)
    prune, grow = torch.randint(-(2**31), 2**31, (2, *shape), generator=generator, dtype=torch.int32)
    same = torch.ones(shape)
    layer = Layer(mask * same, mask.expand(shape), torch.full((4500,), 6), prune, grow, gradient=same)
    update = updated(layer, weight_prune_perc=0.3, salient_share=0)
    dropped = Counter(map(tuple, (layer.mask & ~update.mask).flatten(1).tolist()))
    assert len(dropped) == 15
    assert stats.chisquare([*dropped.values()]).pvalue > 0.001
    # Of the two free inputs of a unit, one grows where one weight has gone.
    grown = update.grown[update.grown.sum(-1) == 1]
    for unit in range(3):
        of_unit = update.grown[:, unit][update.grown[:, unit].sum(-1) == 1].sum(0)
        assert stats.chisquare(of_unit[~mask[unit]]).pvalue > 0.001
    assert len(grown)
