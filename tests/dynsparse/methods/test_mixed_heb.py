"""Magnitude and Hebbian pruning together, worked by hand."""

import pytest
import torch

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.scores import Layer
from dynsparse.planning.packs import PackConfig
from experiments.mlp_heb_mistakes import either_rule, grows_pruned, keep_share

LAYER = Layer(
    weight=torch.tensor([[0.1, -0.4, 0.0, 0.6], [0.0, 0.2, -0.5, 0.0]]),
    mask=torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0]]).bool(),
    target=torch.tensor(5),
    prune_noise=torch.zeros(2, 4),
    grow_noise=torch.tensor([[0, 0, 9, 0], [3, 0, 0, 5]], dtype=torch.int32),
    coactivation=torch.tensor([[5.0, 1.0, 9.0, 2.0], [4.0, 7.0, 8.0, 6.0]]),
)


def updated(layer=LAYER, **keys):
    return update_mask(METHODS["DSNNMixedHeb"](Config(model="DSNNMixedHeb", **keys)), layer)


# At a fraction of .4, by hand:
# - magnitude: of .1 .2 .6 goes round(1.2) = 1, .1; of -.4 -.5 goes round(.8) = 1, -.4;
# - coactivation: of 5 1 2 7 8 go round(2.0) = 2, those of 1 and 2: -.4 and .6.
KEPT_BY_MAGNITUDE = [[0, 0, 0, 1], [0, 1, 1, 0]]
KEPT_BY_COACTIVATION = [[1, 0, 0, 0], [0, 1, 1, 0]]
KEPT_BY_EITHER = [[1, 0, 0, 1], [0, 1, 1, 0]]
ALL_KEPT = [[1, 1, 0, 1], [0, 1, 1, 0]]

FRACTIONS = [
    (0.4, 0.4, KEPT_BY_EITHER),
    (0.4, 0, KEPT_BY_MAGNITUDE),
    (0.4, None, KEPT_BY_MAGNITUDE),
    (0, 0.4, KEPT_BY_COACTIVATION),
    (None, 0.4, KEPT_BY_COACTIVATION),
    (0, 0, ALL_KEPT),
    (None, None, ALL_KEPT),
    (0, None, ALL_KEPT),
    # With all dropped by one rule, the other decides.
    (1.0, 0.4, KEPT_BY_COACTIVATION),
    (0.4, 1.0, KEPT_BY_MAGNITUDE),
]


@pytest.mark.parametrize(("weight", "hebbian", "kept"), FRACTIONS)
def test_what_both_rules_drop_goes_and_a_rule_without_a_fraction_takes_no_part(weight, hebbian, kept):
    update = updated(weight_prune_perc=weight, hebbian_prune_perc=hebbian)
    assert update.kept.int().tolist() == kept


def test_the_trials_of_a_pack_may_leave_out_either_rule():
    trials = [(w, h, kept) for w, h, kept in FRACTIONS if None not in (w, h)]
    configs = [Config(weight_prune_perc=w, hebbian_prune_perc=h) for w, h, _ in trials]
    positions = ("weight", "mask", "prune_noise", "grow_noise", "coactivation")
    layer = LAYER._replace(**{name: getattr(LAYER, name).expand(len(trials), 2, 4) for name in positions})
    update = update_mask(METHODS["DSNNMixedHeb"](PackConfig(configs)), layer)
    assert update.kept.int().tolist() == [kept for _, _, kept in trials]


def test_the_most_coactive_come():
    # Two went. Of the inactive ones' 9 4 6 come 9 and 6; not the 5 of one that has just gone.
    update = updated(weight_prune_perc=0.4, hebbian_prune_perc=None, hebbian_grow=True)
    assert update.grown.int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]
    assert update.mask.int().tolist() == [[0, 0, 1, 1], [0, 1, 1, 1]]


def test_others_come_at_random():
    # Noises 3 and 5 come, not 9.
    update = updated(weight_prune_perc=0.4, hebbian_prune_perc=None, hebbian_grow=False)
    assert update.grown.int().tolist() == [[0, 0, 0, 0], [1, 0, 0, 1]]
    assert update.mask.int().tolist() == [[0, 0, 0, 1], [1, 1, 1, 1]]


def test_only_what_went_is_replaced():
    # One went: of 9 4 6 comes 9.
    update = updated(weight_prune_perc=0.4, hebbian_prune_perc=0.4)
    assert update.mask.int().tolist() == [[1, 0, 1, 1], [0, 1, 1, 0]]


def test_a_falling_drop_fraction_falls_for_both_rules():
    # Halved: round(.6) = 1 of the positive ones, .1; round(.4) = 0 of the negative ones; round(1.0) = 1 by
    # coactivation, -.4. They agree on none.
    layer = LAYER._replace(drop_scale=0.5)
    assert updated(layer, weight_prune_perc=0.4, hebbian_prune_perc=0.4).kept.int().tolist() == ALL_KEPT
    assert updated(layer, weight_prune_perc=0.4, hebbian_prune_perc=0).kept.int().tolist() == [
        [0, 1, 0, 1],
        [0, 1, 1, 0],
    ]
    assert updated(layer, weight_prune_perc=0, hebbian_prune_perc=0.4).kept.int().tolist() == KEPT_BY_EITHER


def test_the_mistakes_of_2019_one_by_one():
    def kept(method, weight, hebbian):
        config = Config(weight_prune_perc=weight, hebbian_prune_perc=hebbian)
        return update_mask(method(config), LAYER).kept.int().tolist()

    assert kept(either_rule, 0.4, 0.4) == [[0, 0, 0, 0], [0, 1, 1, 0]]
    assert kept(either_rule, 0.4, 0) == KEPT_BY_MAGNITUDE
    # Of all eight coactivations, those above the fourth smallest, 5, are kept: 6 7 8 9, of which 7 and 8 are active.
    assert kept(keep_share, 0, 0.5) == [[0, 0, 0, 0], [0, 1, 1, 0]]
    assert kept(keep_share, 0, 0) == [[0, 0, 0, 0], [0, 0, 0, 0]]


def test_growth_that_takes_pruned_positions_in_a_pack():
    # .1 and -.4 are pruned, and three grow: of the coactivations 5 and 1 of the pruned and 9 4 6 of the others, those
    # of 9 6 5; at random, those with the lowest noise.
    configs = [Config(weight_prune_perc=0.4, hebbian_prune_perc=0, hebbian_grow=grow) for grow in (True, False)]
    positions = ("weight", "mask", "prune_noise", "grow_noise", "coactivation")
    layer = LAYER._replace(**{name: getattr(LAYER, name).expand(2, 2, 4) for name in positions})
    layer = layer._replace(target=torch.tensor([6, 6]))
    update = update_mask(grows_pruned(PackConfig(configs)), layer)
    assert update.mask.int().tolist() == [[[1, 0, 1, 1], [0, 1, 1, 1]], [[0, 0, 1, 1], [1, 1, 1, 1]]]
    fixed = update_mask(METHODS["DSNNMixedHeb"](PackConfig(configs)), layer)
    assert fixed.mask.int().tolist()[0] == [[0, 0, 1, 1], [1, 1, 1, 1]]
