"""The 2019 notebook's rules, mistake by mistake, beside the fixed ones."""

from collections import Counter

import pytest
import torch
from scipy import stats

from dynsparse.config import Config
from dynsparse.engines.base import UpdateContext
from dynsparse.engines.torch import TorchEngine
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer
from dynsparse.planning.plan import plan

# All eight positions are active: for the magnitude rule.
FULL = Layer(
    weight=torch.tensor([[0.1, 0.2, 0.3, 0.6], [-0.1, -0.3, -0.4, -0.5]]),
    mask=torch.ones(2, 4, dtype=torch.bool),
    target=torch.tensor(8),
    prune_noise=torch.zeros(2, 4, dtype=torch.int32),
    grow_noise=torch.zeros(2, 4, dtype=torch.int32),
    coactivation=torch.tensor([[0.0, 0.0, 1.0, 2.0], [3.0, 4.0, 5.0, 6.0]]),
)
# The second row is active: for the coactivation rule and for growth. Noise below 0 is the lower half of its values.
HALF = FULL._replace(
    weight=torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.3, -0.2, 0.5, -0.6]]),
    mask=torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]]).bool(),
    target=torch.tensor(4),
    grow_noise=torch.tensor([[-7, 7, 0, -1], [-9, -9, -9, -9]], dtype=torch.int32),
)


def method_of(weight, hebbian, grow=True, rules="legacy_2019"):
    keys = {"weight_prune_perc": weight, "hebbian_prune_perc": hebbian, "hebbian_grow": grow}
    return METHODS["DSNNMixedHeb"](Config(rules=rules, **keys))


def kept(layer, weight, hebbian, rules="legacy_2019"):
    return update_mask(method_of(weight, hebbian, rules=rules), layer).kept.int().tolist()


class TestInitialMask:
    def test_is_bernoulli_whatever_the_configuration_says(self):
        for keys, sparse_type in [({"rules": "legacy_2019"}, "bernoulli"), ({}, "exact")]:
            assert plan([Config(sparse_type="exact", **keys)]).sparse_type == sparse_type

    def test_its_count_is_the_target(self):
        engine = TorchEngine(plan([Config(dataset_name="digits", rules="legacy_2019", seed=s) for s in range(20)]))
        counts = [masks.count(mask) for mask in engine.masks]
        assert all(torch.equal(count, target) for count, target in zip(counts, engine.targets, strict=True))
        # A tenth of 64 * 100 weights, with a standard deviation of 24, of their mean 5.4.
        assert len(set(counts[0].tolist())) > 10
        assert counts[0].double().mean().item() == pytest.approx(640, abs=22)


class TestMagnitudeRule:
    @pytest.mark.parametrize(
        ("fraction", "legacy", "fixed"),
        [
            # Legacy: from the int(4 z)th positive one up; up to the int(4 (1 - z))th negative one.
            (0.5, [[0, 1, 1, 1], [0, 0, 1, 1]], [[0, 0, 1, 1], [0, 0, 1, 1]]),
            (0.25, [[1, 1, 1, 1], [0, 1, 1, 1]], [[0, 1, 1, 1], [0, 1, 1, 1]]),
            (0.75, [[0, 0, 1, 1], [0, 0, 0, 1]], [[0, 0, 0, 1], [0, 0, 0, 1]]),
            # int(3.6) = 3 negative ones stay, where round(.4) = 0 should go.
            (0.1, [[1, 1, 1, 1], [0, 1, 1, 1]], [[1, 1, 1, 1], [1, 1, 1, 1]]),
            (0.0, [[1, 1, 1, 1], [1, 1, 1, 1]], [[1, 1, 1, 1], [1, 1, 1, 1]]),
            # max(0, 1): the last of each sign stays.
            (1.0, [[0, 0, 0, 1], [0, 0, 0, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]),
        ],
    )
    def test_drops_one_positive_too_few(self, fraction, legacy, fixed):
        assert kept(FULL, fraction, None) == legacy
        assert kept(FULL, fraction, None, rules="fixed") == fixed

    def test_keeps_no_active_zero(self):
        layer = FULL._replace(weight=torch.tensor([[0.0, 0.2, 0.3, 0.6], [-0.1, 0.0, -0.4, -0.5]]))
        assert kept(layer, 0.0, None) == [[0, 1, 1, 1], [1, 0, 1, 1]]

    @pytest.mark.parametrize("z", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 1.0])
    def test_is_kthvalue_of_each_sign(self, z):
        for seed in range(20):
            generator = torch.Generator().manual_seed(seed)
            mask = torch.rand(12, 15, generator=generator) < 0.3
            # Rounded, so that some are equal.
            weight = torch.randn(12, 15, generator=generator).mul(50).round().div(50) * mask
            positive, negative = weight[weight > 0], weight[weight < 0]
            lower = positive.kthvalue(max(int(z * len(positive)), 1)).values
            upper = negative.kthvalue(max(int((1 - z) * len(negative)), 1)).values
            noise = torch.zeros(12, 15, dtype=torch.int32)
            layer = Layer(weight, mask, masks.count(mask), noise, noise, coactivation=torch.ones(12, 15))
            update = update_mask(method_of(z, None), layer)
            assert torch.equal(update.kept, (weight >= lower) | (weight <= upper))


class TestCoactivationRule:
    @pytest.mark.parametrize(
        ("fraction", "legacy", "fixed"),
        [
            # Legacy: above the int(8 (1 - t))th of 0 0 1 2 3 4 5 6, of which 3 4 5 6 are active.
            (0.0, [0, 0, 0, 0], [1, 1, 1, 1]),  # above 6
            (0.1, [0, 0, 0, 1], [1, 1, 1, 1]),  # above the int(7.2)th, 5
            (0.25, [0, 0, 1, 1], [0, 1, 1, 1]),  # above 4
            (0.5, [1, 1, 1, 1], [0, 0, 1, 1]),  # above 2
        ],
    )
    def test_keeps_a_fraction_of_all_positions(self, fraction, legacy, fixed):
        assert kept(HALF, None, fraction) == [[0, 0, 0, 0], legacy]
        assert kept(HALF, None, fraction, rules="fixed") == [[0, 0, 0, 0], fixed]

    def test_keeps_none_of_equals(self):
        layer = HALF._replace(coactivation=torch.full((2, 4), 3.0))
        assert kept(layer, None, 0.5) == [[0, 0, 0, 0], [0, 0, 0, 0]]
        assert sum(kept(layer, None, 0.5, rules="fixed")[1]) == 2

    @pytest.mark.parametrize("t", [0, 0.1, 0.2, 0.3, 0.4, 0.5])
    def test_is_kthvalue_of_all(self, t):
        for seed in range(20):
            generator = torch.Generator().manual_seed(seed)
            mask = torch.rand(12, 15, generator=generator) < 0.3
            coactivation = torch.randint(0, 30, (12, 15), generator=generator).float()
            threshold = coactivation.flatten().kthvalue(int((1 - t) * 180)).values
            noise = torch.zeros(12, 15, dtype=torch.int32)
            layer = Layer(mask.float(), mask, masks.count(mask), noise, noise, coactivation=coactivation)
            assert torch.equal(update_mask(method_of(None, t), layer).kept, mask & (coactivation > threshold))


def test_only_what_both_rules_keep_stays():
    # By magnitude .2 .3 .6 -.4 -.5, by coactivation the second row; when fixed, what both drop goes: .1 and .2.
    assert kept(FULL, 0.5, 0.5) == [[0, 0, 0, 0], [0, 0, 1, 1]]
    assert kept(FULL, 0.5, 0.5, rules="fixed") == [[0, 0, 1, 1], [1, 1, 1, 1]]
    # A fraction of 0 is a rule as well: it keeps nothing.
    assert kept(FULL, 0.5, 0.0) == [[0, 0, 0, 0], [0, 0, 0, 0]]
    assert kept(FULL, None, None) == [[1, 1, 1, 1], [1, 1, 1, 1]]


@pytest.mark.parametrize("grow", [True, False])
def test_nothing_grows_when_more_than_the_target_are_kept(grow):
    update = update_mask(method_of(None, None, grow), HALF._replace(target=torch.tensor(2)))
    assert torch.equal(update.mask, HALF.mask)


class TestRandomGrowth:
    def test_is_bernoulli_among_positions_inactive_before(self):
        # Two are kept, two are missing, four were inactive: each comes with probability 2/4, where noise is below 0.
        update = update_mask(method_of(None, 0.25, grow=False), HALF)
        assert update.grown.int().tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]
        assert update.mask.int().tolist() == [[1, 0, 0, 1], [0, 0, 1, 1]]

    def test_the_count_fluctuates_around_the_target(self):
        n_noises, generator = 6000, torch.Generator().manual_seed(0)
        noise = torch.randint(-(2**31), 2**31, (n_noises, 2, 4), generator=generator, dtype=torch.int32)
        fields = {name: getattr(HALF, name).expand(n_noises, 2, 4) for name in ("weight", "mask", "coactivation")}
        layer = HALF._replace(**fields, prune_noise=noise, grow_noise=noise, target=HALF.target.expand(n_noises))
        update = update_mask(method_of(None, 0.25, grow=False), layer)
        assert not update.grown[:, 1].any()
        # With probability 1/2 each, all 16 sets of four positions come equally often.
        seen = Counter(map(tuple, update.grown[:, 0].tolist()))
        assert len(seen) == 16
        assert stats.chisquare(list(seen.values())).pvalue > 0.001
        # The standard error of the mean is 0.013.
        assert masks.count(update.mask).double().mean().item() == pytest.approx(4, abs=0.05)


class TestHebbianGrowth:
    def test_takes_the_most_coactive_of_all_that_were_not_kept(self):
        # Kept are 5 and 6; the two highest of 0 0 1 2 3 4 are those just pruned.
        update = update_mask(method_of(None, 0.25), HALF)
        assert update.kept.int().tolist() == [[0, 0, 0, 0], [0, 0, 1, 1]]
        assert update.mask.int().tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
        assert not update.grown.any()
        # Fixed: 3 goes, and of those inactive before comes 2.
        fixed = update_mask(method_of(None, 0.25, rules="fixed"), HALF)
        assert fixed.mask.int().tolist() == [[0, 0, 0, 1], [0, 1, 1, 1]]

    @pytest.mark.parametrize(
        ("target", "mask"),
        [
            (2, [[0, 0, 0, 0], [0, 0, 1, 1]]),
            (3, [[0, 0, 0, 0], [0, 1, 1, 1]]),
            (5, [[0, 0, 0, 1], [1, 1, 1, 1]]),
            (6, [[0, 0, 1, 1], [1, 1, 1, 1]]),
            (7, [[0, 0, 1, 1], [1, 1, 1, 1]]),  # above the lowest, and both zeros are that: one too few
            (8, [[1, 1, 1, 1], [1, 1, 1, 1]]),
        ],
    )
    def test_grows_as_many_as_are_missing_but_for_ties(self, target, mask):
        update = update_mask(method_of(None, 0.25), HALF._replace(target=torch.tensor(target)))
        assert update.mask.int().tolist() == mask

    def test_grows_none_of_equals(self):
        layer = HALF._replace(coactivation=torch.full((2, 4), 3.0))
        assert not update_mask(method_of(None, 0.5), layer).mask.any()
        assert masks.count(update_mask(method_of(None, 0.5, rules="fixed"), layer).mask).item() == 4

    def test_what_is_taken_back_at_once_keeps_its_value(self):
        configs = [Config(dataset_name="digits", hidden_sizes=[], rules="legacy_2019", hebbian_prune_perc=0.02)]
        engine = TorchEngine(plan(configs))
        # Distinct, and highest where a weight is active: those come back that the rule has just dropped.
        order = torch.arange(640.0).view(1, 10, 64)
        engine.coactivation = [order + 1000 * engine.masks[0]]
        before = engine.weights[0].clone()
        (update,), _ = engine.update_masks(UpdateContext(1, 0.0, 1.0, torch.tensor([False])))
        taken_back = engine.masks[0] & ~update.kept
        assert masks.count(taken_back).item() > 10
        assert before[taken_back].abs().min() > 0
        assert torch.equal(engine.weights[0], before)


class TestFailure:
    layers = FULL._replace(
        weight=torch.stack([FULL.weight, FULL.weight.abs(), -FULL.weight.abs(), torch.zeros(2, 4)]),
        mask=FULL.mask.expand(4, 2, 4),
        target=torch.full((4,), 8),
        prune_noise=torch.zeros(4, 2, 4, dtype=torch.int32),
        grow_noise=torch.zeros(4, 2, 4, dtype=torch.int32),
        coactivation=FULL.coactivation.expand(4, 2, 4),
    )

    def test_is_where_a_sign_is_missing(self):
        assert method_of(0.3, 0.3).fails(self.layers).tolist() == [False, True, True, True]
        assert method_of(0, None).fails(self.layers).tolist() == [False, True, True, True]
        assert method_of(0.3, 0.3).fails(FULL).item() is False

    def test_a_zero_has_no_sign(self):
        weight = FULL.weight.abs().clone()
        weight[0, 0] = 0
        for one_sign in (weight, -weight):
            assert method_of(0.3, 0.3).fails(FULL._replace(weight=one_sign)).item() is True

    def test_is_of_the_magnitude_rule(self):
        assert method_of(None, 0.3).fails is None

    def test_is_not_when_fixed(self):
        method = method_of(0.3, 0.3, rules="fixed")
        assert method.fails is None
        assert masks.count(update_mask(method, self.layers).mask).tolist() == [8] * 4


def test_what_the_trainer_must_do_otherwise():
    names = ("counts_evaluation", "updates_after_last_epoch", "moves_inactive")
    assert [getattr(method_of(0.3, 0.3), name) for name in names] == [True] * 3
    for name, build in METHODS.items():
        method = build(Config(model=name))
        assert [getattr(method, each) for each in (*names, "fails")] == [False] * 3 + [None]
        assert method.sparse_type == ("exact_per_output" if name == "SRigL" else None)
