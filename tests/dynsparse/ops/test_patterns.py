"""Patterns of masks, worked by hand."""

import pytest
import torch
from support.doctests import run_examples

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.methods.base import Method, at_random
from dynsparse.methods.checks import MethodError, with_checks
from dynsparse.ops.patterns import Blocks, Groups, Unstructured, draw, pattern_of
from dynsparse.ops.scores import Layer

NOISE = torch.zeros(2, 8, dtype=torch.int32)


def updated(model, weight, mask, gradient, pattern, target=None, **keys):
    weight, mask, gradient = (torch.tensor(each) for each in (weight, mask, gradient))
    target = mask.sum() if target is None else torch.tensor(target)
    layer = Layer(weight * mask, mask.bool(), target, NOISE, NOISE, gradient=gradient, pattern=pattern)
    return update_mask(METHODS[model](Config(model=model, **keys)), layer)


def test_each_group_of_4_grows_what_it_lacks():
    # The groups are the four halves of rows. Of 8 active weights go the 4 smallest: 0.1, 0.2, -0.3 and 0.4, which
    # leave 1, 2, 1 and 0 in the groups.
    weight = [[0.9, 0.2, 0.0, 0.0, -0.7, 0.0, 0.0, 0.6], [0.0, -0.3, 0.8, 0.0, 0.4, 0.0, 0.1, 0.0]]
    mask = [[1, 1, 0, 0, 1, 0, 0, 1], [0, 1, 1, 0, 1, 0, 1, 0]]
    gradient = [[9.0, 9.0, 1.0, -2.0, 9.0, 8.0, 8.0, 9.0], [0.1, 9.0, 9.0, 0.2, 9.0, 0.0, 9.0, 0.3]]
    update = updated("RigL", weight, mask, gradient, Groups(2, 4), weight_prune_perc=0.5)
    assert update.kept.int().tolist() == [[1, 0, 0, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 0, 0, 0]]
    # The first group takes -2, the second nothing in spite of its 8, the third 0.2, the last 0.3 and 0. None takes back
    # what it has dropped, with gradients of 9.
    assert update.grown.int().tolist() == [[0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 1, 0, 1]]


def test_a_group_without_enough_other_inputs_takes_dropped_ones_back():
    # 3 of 4: the smallest 2 of each group may go, but only one other input is there.
    weight = [[0.1, 0.2, 0.9, 0.0, 0.8, 0.7, 0.6, 0.0], [0.8, 0.7, 0.6, 0.0, 0.8, 0.7, 0.6, 0.0]]
    mask = [[1, 1, 1, 0] * 2] * 2
    gradient = [[0.5, 0.6, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0], [0.0] * 8]
    update = updated("RigL", weight, mask, gradient, Groups(3, 4), weight_prune_perc=2 / 12)
    assert update.kept.int().tolist() == [[0, 0, 1, 0, 1, 1, 1, 0], [1, 1, 1, 0] * 2]
    assert update.mask.int().tolist() == [[0, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 0] * 2]


def test_blocks_of_2_x_2_go_and_come_by_their_mean():
    # Four blocks of two rows. Means of magnitudes: 0.5, inactive, 0.4 (in spite of its 1.0), inactive. Of gradients:
    # the second 0.75, the last 1 (its largest, -4, is smaller than 5 of the second; signs do not cancel).
    weight = [[0.5, 0.5, 0.0, 0.0, 1.0, 0.2, 0.0, 0.0], [-0.5, 0.5, 0.0, 0.0, 0.2, -0.2, 0.0, 0.0]]
    mask = [[1, 1, 0, 0, 1, 1, 0, 0]] * 2
    gradient = [[9.0, 9.0, 3.0, 0.0, 9.0, 9.0, -4.0, 0.0], [9.0, 9.0, 0.0, 0.0, 9.0, 9.0, 0.0, 0.0]]
    update = updated("RigL", weight, mask, gradient, Blocks(2, 2), weight_prune_perc=0.5)
    assert update.kept.int().tolist() == [[1, 1, 0, 0, 0, 0, 0, 0]] * 2
    assert update.grown.int().tolist() == [[0, 0, 0, 0, 0, 0, 1, 1]] * 2


def test_the_number_of_blocks_is_rounded():
    # round(0.3 * 8) = 2 weights are half a block of 4, which rounds to 0; 3 weights are three quarters.
    arguments = [[0.5] * 4 + [0.2] * 4] * 2, [[1] * 4 + [0] * 4] * 2, [[1.0] * 8] * 2, Blocks(2, 2)
    assert updated("RigL", *arguments, weight_prune_perc=0.3).kept.sum() == 8
    assert updated("RigL", *arguments, weight_prune_perc=0.4).kept.sum() == 4


def test_set_takes_the_sign_of_a_block_from_its_mean_weight():
    # Means 0.2, -0.3, 0.1, -0.1: of each sign, the block of the smaller mean magnitude goes. With single weights, the
    # positive 0.05 of the second block would be among the smallest positive ones.
    weight = [[0.2, 0.2, -0.65, 0.05, 0.1, 0.1, -0.1, -0.1]] * 2
    update = updated("SET", weight, [[1] * 8] * 2, [[0.0] * 8] * 2, Blocks(2, 2), weight_prune_perc=0.5)
    assert update.kept.int().tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]] * 2


def test_gradual_pruning_takes_equally_many_from_each_group():
    # From 3:4 to 2:4: the smallest of each group goes, although the second group has the smallest 2.
    weight = [[0.9, 0.8, 0.7, 0.0, 0.1, 0.2, 0.3, 0.0]] * 2
    update = updated("GMP", weight, [[1, 1, 1, 0] * 2] * 2, [[0.0] * 8] * 2, Groups(2, 4), target=8)
    assert update.mask.int().tolist() == [[1, 1, 0, 0, 0, 1, 1, 0]] * 2


def test_rules_that_do_not_keep_the_pattern_are_refused():
    def grow_first(layer, kept, n_grow):
        return (~kept).flatten().cumsum(0).view_as(kept).le(n_grow) & ~kept

    mask = torch.tensor([[1, 1, 0, 0, 1, 1, 0, 0]] * 2).bool()
    layer = Layer(mask.float(), mask, mask.sum(), NOISE, NOISE, pattern=Groups(2, 4))
    by_hand = Method(0.5, lambda layer: layer.mask & (torch.arange(8) < 2), at_random)
    assert torch.equal(update_mask(by_hand, layer).mask.sum(-1), torch.tensor([4, 4]))
    message = r"grow rule of 'first' must keep mask_pattern='2:4', but groups have 0 to 4 .* in layer 3 \(2 x 8\)"
    with pytest.raises(MethodError, match=message):
        update_mask(with_checks(Method(0.5, lambda layer: layer.mask, grow_first), "first"), layer._replace(number=3))
    message = r"prune rule of 'x' must keep mask_pattern='2x1', but 2 blocks are partly active in layer 0 .* `lowest\("
    with pytest.raises(MethodError, match=message):
        with_checks(Method(0.5, lambda layer: layer.mask & (torch.arange(16).view(2, 8) < 2), at_random), "x").prune(
            layer._replace(pattern=Blocks(2, 1))
        )
    falls = Method(0.25, lambda layer: layer.mask & (torch.arange(8) < 2), at_random, surplus=lambda share: 0.0)
    message = r"prune rule .* but wherever weights grow, groups have 1 to 2 .*, with `lowest_for_good` in place of"
    with pytest.raises(MethodError, match=message):
        with_checks(falls, "x").prune(layer._replace(target=torch.tensor(4)))


@pytest.mark.parametrize("pattern", [Groups(2, 4), Groups(1, 3), Blocks(4, 4), Blocks(1, 6), Blocks(4, 1)])
def test_an_initial_mask_has_exactly_the_number_and_the_pattern(pattern):
    shape = (8, 12)
    step = pattern.step(shape)
    noise = torch.randint(-(2**31), 2**31, (500, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    number = torch.arange(500) % (96 // step + 1) * step
    mask = draw(pattern, noise, number)
    assert torch.equal(mask.sum((-2, -1)), number)
    assert pattern.misfit(mask) is None
    assert pattern.misfit(mask[1] ^ (torch.arange(96) == 17).view(shape)) is not None
    # Each position is active equally often: 250 of 500 times are expected on average.
    assert (mask.float().mean(0) - 0.5).abs().max() < 0.12


def test_shapes_that_have_no_pattern():
    assert Groups(2, 4).problem((5, 10)) == "10 inputs are no multiple of 4"
    assert Blocks(4, 2).problem((10, 8)) == "10 outputs are no multiple of 4"
    assert Blocks(2, 4).problem((10, 9)) == "9 inputs are no multiple of 4"
    assert Blocks(2, 4).problem((10, 8)) is Groups(2, 4).problem((5, 8)) is Unstructured().problem((1, 1)) is None
    assert pattern_of(None) == Unstructured() != pattern_of("1:2")


def test_the_example_runs():
    run_examples(pattern_of)
