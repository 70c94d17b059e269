"""MEST, worked by hand."""

import torch

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.scores import Layer
from dynsparse.planning.packs import PackConfig

LAYER = Layer(
    weight=torch.tensor([[0.1, -0.4, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]]),
    mask=torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0]]).bool(),
    target=torch.tensor(5),
    prune_noise=torch.zeros(2, 4),
    grow_noise=torch.tensor([[0, 0, 9, 0], [3, 0, 0, 5]], dtype=torch.int32),
    active_gradient=torch.tensor([[-0.8, 0.1, 7.0, 0.0], [7.0, 0.2, -0.1, 7.0]]),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["MEST"](Config(model="MEST", weight_prune_perc=0.4, **keys)), layer)


def test_a_small_weight_with_a_large_gradient_stays():
    # |w| + |g| of the active: .9 .5 / .6 / .4 .6. Two of five go: .2 with .4 and -.4 with .5. The gradients of
    # inactive positions do not count: 3 and 5 are the lowest noises, so these positions grow.
    update = updated()
    assert update.kept.int().tolist() == [[1, 0, 0, 1], [0, 0, 1, 0]]
    assert update.mask.int().tolist() == [[1, 0, 0, 1], [1, 0, 1, 1]]


def test_the_gradient_counts_with_its_factor():
    # |w| + |g| / 8: .2 .4125 / .6 / .225 .5125. Now .1 and .2 go.
    assert updated(prune_gradient_weight=0.125).kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    # Without it, as magnitude alone says.
    assert updated(prune_gradient_weight=0).kept.int().tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    # |w| + 9 |g|: 7.3 1.3 / .6 / 2 1.4.
    assert updated(prune_gradient_weight=9).kept.int().tolist() == [[1, 0, 0, 0], [0, 1, 1, 0]]


def test_trials_of_a_pack_have_their_own_factor():
    configs = [Config(model="MEST", weight_prune_perc=0.4, prune_gradient_weight=each) for each in (1.0, 0.125, 9.0)]
    pack = Layer(*(each.expand(3, *each.shape) if torch.is_tensor(each) else each for each in LAYER))
    update = update_mask(METHODS["MEST"](PackConfig(configs)), pack)
    for trial, config in enumerate(configs):
        assert torch.equal(update.mask[trial], update_mask(METHODS["MEST"](config), LAYER).mask)
