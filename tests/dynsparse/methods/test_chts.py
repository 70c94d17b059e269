"""CHTs and CHTss, worked by hand, and the probabilities with which weights are kept and grown."""

from collections import Counter

import pytest
import torch
from scipy import stats

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.methods.chts import importance
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer
from dynsparse.planning.packs import PackConfig

WEIGHT = torch.tensor([[4.0, -2.0, 0.0], [1.0, 0.0, 1.0]])
LAYER = Layer(
    weight=WEIGHT,
    mask=WEIGHT != 0,
    target=torch.tensor(4),
    prune_noise=torch.arange(6, dtype=torch.int32).view(2, 3),
    grow_noise=torch.arange(6, dtype=torch.int32).view(2, 3),
)


def stack(n, **fields):
    """The layer many times, each with its own noise."""
    generator = torch.Generator().manual_seed(n)
    noises = torch.randint(-(2**31), 2**31, (2, n, 2, 3), generator=generator, dtype=torch.int32)
    wide = {name: value.expand(n, *value.shape) for name, value in LAYER._asdict().items() if torch.is_tensor(value)}
    return LAYER._replace(**wide, **fields)._replace(prune_noise=noises[0], grow_noise=noises[1])


def updated(layer, model="CHTs", **keys):
    return update_mask(METHODS[model](Config(model=model, **keys)), layer)


def kept_of(layer, **keys):
    """What the prune rule leaves; growth, which takes longer, is left out."""
    return layer.mask & ~METHODS["CHTs"](Config(model="CHTs", **keys)).prune(layer)


def agrees(events, probabilities):
    counts, n = Counter(events), len(events)
    assert counts.keys() <= probabilities.keys()
    expected = [n * each for each in probabilities.values()]
    return stats.chisquare([counts[each] for each in probabilities], expected).pvalue > 0.001


def test_importance_by_magnitude_and_relative_to_the_units_of_a_weight():
    assert importance(LAYER, 1.0).tolist() == [[8, 4, 0], [2, 0, 2]]
    # The sums of |w| are 6 and 2 of the outputs, 5, 2 and 1 of the inputs.
    relative = torch.tensor([[4 / 6 + 4 / 5, 2 / 6 + 2 / 2, 0], [1 / 2 + 1 / 5, 0, 1 / 2 + 1 / 1]])
    torch.testing.assert_close(importance(LAYER, 0.0).float(), relative)
    half = 4 / (0.5 + 3) + 4 / (0.5 + 2.5)
    assert importance(LAYER, 0.5)[0, 0].item() == pytest.approx(half)


@pytest.mark.parametrize(
    ("share_done", "delta", "exponent"), [(0.0, 0.75, 1), (1.0, 0.75, 3), (0.5, 0.75, 2), (1.0, 0.5, 1)]
)
def test_one_weight_is_kept_with_a_probability_that_grows_with_its_magnitude(share_done, delta, exponent):
    kept = kept_of(stack(2000, share_done=share_done), weight_prune_perc=0.75, removal_delta=delta)
    total = 4**exponent + 2**exponent + 2
    probabilities = {(0, 0): 4**exponent / total, (0, 1): 2**exponent / total, (1, 0): 1 / total, (1, 2): 1 / total}
    assert agrees(list(map(tuple, kept.nonzero()[:, 1:].tolist())), probabilities)


def test_several_weights_are_kept_as_if_drawn_one_after_another():
    kept = kept_of(stack(1500), weight_prune_perc=0.5)[LAYER.mask.expand(1500, 2, 3)].view(1500, 4)
    weights = {0: 4, 1: 2, 2: 1, 3: 1}
    pairs = {}
    for first, a in weights.items():
        for second, b in weights.items():
            if first != second:
                pair = tuple(sorted((first, second)))
                pairs[pair] = pairs.get(pair, 0) + a / 8 * b / (8 - a)
    assert agrees([tuple(row.nonzero().squeeze(1).tolist()) for row in kept], pairs)


def test_links_grow_with_probabilities_of_their_scores():
    # The scores 6 of (2, 0) and 2 of (2, 2) are worked out in test_link_prediction.py.
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 0]]).bool().expand(1000, 3, 3)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(-(2**31), 2**31, (1000, 3, 3), generator=generator, dtype=torch.int32)
    grow = METHODS["CHTs"](Config(model="CHTs")).grow
    layer = Layer(mask.float(), mask, torch.full((1000,), 7), noise, noise)
    grown = grow(layer, mask, torch.ones(1000, dtype=torch.int64))
    # The paths of (1, 2) lead over the inputs 0 and 1 and the output 0; only input 1 has an external link, to output 2.
    # So its score is (1 + 1) / 1 + (1 + 1) / 2 + (1 + 2) / 1 = 6.
    assert agrees(list(map(tuple, grown.nonzero()[:, 1:].tolist())), {(1, 2): 6 / 14, (2, 0): 6 / 14, (2, 2): 2 / 14})


def test_with_a_falling_target_the_least_important_go_first():
    # Two go for the target of 2, both of size 1. Half of the other two are replaced.
    layer = stack(50)._replace(target=torch.full((50,), 2))
    update = updated(layer, "CHTss", weight_prune_perc=0.5)
    assert set(map(tuple, update.kept.nonzero()[:, 1:].tolist())) == {(0, 0), (0, 1)}
    assert masks.count(update.kept).eq(1).all()
    assert masks.count(update.mask).eq(2).all()
    method = METHODS["CHTss"](Config(model="CHTss", initial_density=0.5))
    assert [round(method.surplus(progress), 3) for progress in (0, 0.25, 0.5, 1)] == [1, 0.955, 0.5, 0]
    assert method.initial_density == 0.5


def test_trials_of_a_pack_have_their_own_keys():
    configs = [
        Config(model="CHTs", weight_prune_perc=0.5, removal_alpha=alpha, removal_delta=delta)
        for alpha, delta in ((1, 0.9), (0, 0.6), (0.5, 0.5))
    ]
    pack = stack(3, share_done=1.0)
    update = update_mask(METHODS["CHTs"](PackConfig(configs)), pack)
    for trial, config in enumerate(configs):
        fields = {name: value[trial] for name, value in pack._asdict().items() if torch.is_tensor(value)}
        assert torch.equal(update.mask[trial], update_mask(METHODS["CHTs"](config), pack._replace(**fields)).mask)
