"""Properties of every method, over the whole table METHODS."""

import inspect
import itertools
import math
import re
from collections import Counter

import pytest
import torch
from scipy import stats

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops import masks
from dynsparse.ops.scores import STATISTICS, Layer, StatisticError
from dynsparse.planning.packs import PackConfig

LEADING = [(), (3,)]
DENSITIES = [0.0, 0.03, 0.1, 0.5, 0.98, 1.0]
# Of the magnitude rule, and of the coactivation rule.
FRACTIONS = [(0, 0.3), (0.3, 0), (None, 1.0), (0.3, 0.3), (1.0, 1.0)]
OUT, IN = 6, 7
# A fair choice falls below it once in a thousand seeds, and the seeds here are fixed; an unfair one falls far below.
UNLIKELY = 0.001

# Every method that updates masks, as keys of a Config.
FIXED = {name: {"model": name} for name, build in METHODS.items() if build(Config(model=name)).prune is not None}
FIXED["DSNNMixedHeb, random growth"] = {"model": "DSNNMixedHeb", "hebbian_grow": False}
LEGACY = {f"2019 {name}": {**FIXED[name], "rules": "legacy_2019"} for name in FIXED if "MixedHeb" in name}
# By these the target is below what is active, so that they drop what is too much.
SHRINKING = {name for name, keys in FIXED.items() if METHODS[keys["model"]](Config(**keys)).surplus}

# These keep the number of inputs of each unit, which masks at random do not have.
CONSTANT_FAN_IN = {"SRigL"}

# These prune by the signs of weights, or compare them with inactive ones: they do not prune a share.
NO_SHARE = {"DeepR", "TopKAST"}

# These score positions by the mask that is left, in which those that have just been pruned are like all others.
BY_TOPOLOGY = {"CHT", "CHTs", "CHTss"}

every_method = pytest.mark.parametrize("name", FIXED)
every_method_by_share = pytest.mark.parametrize("name", sorted(FIXED.keys() - NO_SHARE))
every_method_and_2019 = pytest.mark.parametrize("name", [*FIXED, *LEGACY])


def method_of(name, weight=0.3, hebbian=0.3):
    keys = (FIXED | LEGACY)[name]
    return METHODS[keys["model"]](Config(**keys, weight_prune_perc=weight, hebbian_prune_perc=hebbian))


def layer_of(name, seed, density, leading=()):
    """A layer of random numbers, many of them equal; the trials of a stack differ in their counts."""
    shape, generator = (*leading, OUT, IN), torch.Generator().manual_seed(seed)
    n_active = torch.full(leading, round(density * OUT * IN))
    if leading:
        n_active = (n_active + torch.arange(leading[0])).clamp_max(OUT * IN)
    mask = torch.rand(shape, generator=generator).flatten(-2).argsort(-1).argsort(-1) < n_active[..., None]
    mask = mask.view(shape)
    if name in CONSTANT_FAN_IN:
        noise = torch.randint(-(2**31), 2**31, shape, generator=generator, dtype=torch.int32)
        mask = masks.exact_per_output(noise, n_active)
    # Rounded to halves: ties, and active weights of exactly zero.
    weight = torch.randn(shape, generator=generator).mul(2).round().div(2) * mask
    return Layer(
        weight=weight,
        mask=mask,
        target=n_active * 2 // 3 if name in SHRINKING else n_active,
        prune_noise=torch.randint(-(2**31), 2**31, shape, generator=generator, dtype=torch.int32),
        grow_noise=torch.randint(-(2**31), 2**31, shape, generator=generator, dtype=torch.int32),
        coactivation=torch.randint(0, 5, shape, generator=generator).float(),
        gradient=torch.randn(shape, generator=generator),
        gradient_momentum=torch.randn(shape, generator=generator),
        active_gradient=torch.randn(shape, generator=generator),
        sign=torch.randint(0, 2, shape, generator=generator).mul(2).sub(1).float(),
    )


def map_tensors(layer, change):
    """The layer with each tensor of shape (..., out, in) changed."""
    fields = set(Layer._fields) - {"target", "drop_scale", "share_done", "ablated", "number", "is_last", "pattern"}
    return layer._replace(**{field: change(getattr(layer, field)) for field in fields})


def trial_of(layer, trial):
    return map_tensors(layer, lambda tensor: tensor[trial])._replace(target=layer.target[trial])


def counts(mask):
    return mask.flatten(-2).sum(-1).tolist()


def cases(name, density):
    for leading, seed in itertools.product(LEADING, range(2)):
        yield layer_of(name, seed, density, leading)


@every_method
@pytest.mark.parametrize("density", DENSITIES)
def test_the_count_is_the_target(name, density):
    for layer, fractions in itertools.product(cases(name, density), FRACTIONS):
        update = update_mask(method_of(name, *fractions), layer)
        assert counts(update.mask) == layer.target.tolist(), fractions
        assert torch.equal(update.target, layer.target)


@every_method_and_2019
@pytest.mark.parametrize("density", DENSITIES)
def test_dropped_was_active_and_grown_was_inactive(name, density):
    for layer, fractions in itertools.product(cases(name, density), FRACTIONS):
        update = update_mask(method_of(name, *fractions), layer)
        assert not (update.kept & ~layer.mask).any()
        assert not (update.kept & ~update.mask).any()
        assert torch.equal(update.grown, update.mask & ~layer.mask)


@pytest.mark.parametrize("name", sorted(FIXED.keys() - BY_TOPOLOGY))
@pytest.mark.parametrize("density", DENSITIES)
def test_dropped_ones_are_taken_back_only_when_nothing_else_is_left(name, density):
    for layer, fractions in itertools.product(cases(name, density), FRACTIONS):
        update = update_mask(method_of(name, *fractions), layer)
        taken_back = update.mask & layer.mask & ~update.kept
        left = ~update.mask & ~layer.mask
        if name not in CONSTANT_FAN_IN:
            taken_back, left = taken_back.flatten(-2), left.flatten(-2)
        assert not (taken_back.any(-1) & left.any(-1)).any()


@every_method_by_share
@pytest.mark.parametrize("density", DENSITIES)
def test_nothing_changes_at_fraction_zero(name, density):
    for layer in cases(name, density):
        layer = layer._replace(target=layer.mask.sum((-2, -1)))
        for weight, hebbian in itertools.product([0, None], repeat=2):
            assert torch.equal(update_mask(method_of(name, weight, hebbian), layer).mask, layer.mask)
        # The same where a schedule has come down to zero.
        update = update_mask(method_of(name, 1.0, 1.0), layer._replace(drop_scale=0.0))
        assert torch.equal(update.kept, layer.mask)
        assert not update.grown.any()


@pytest.mark.parametrize(
    "name", ["DSNNHeb", "DSNNWeightedMag", "RigL", "SNFS", "MEST", "RandomPrune", "SET", "CHT", "CHTs"]
)
@pytest.mark.parametrize("density", DENSITIES)
def test_exactly_the_fraction_is_dropped(name, density):
    for layer in cases(name, density):
        positive = layer.mask & (layer.weight >= 0)
        groups = [positive, layer.mask & ~positive] if name == "SET" else [layer.mask]
        for fraction, scale in itertools.product([0, 0.1, 0.25, 0.3, 0.5, 1.0], [1.0, 0.5]):
            update = update_mask(method_of(name, fraction), layer._replace(drop_scale=scale))
            for group in groups:
                n, dropped = torch.tensor(counts(group)), torch.tensor(counts(group & ~update.kept))
                assert dropped.tolist() == n.double().mul(fraction * scale).round().tolist()


DRAWING = ["SET", "RigL", "SNFS", "MEST", "DSNNHeb", "DSNNWeightedMag"]


@pytest.mark.parametrize("name", DRAWING)
@pytest.mark.parametrize("density", DENSITIES)
def test_soft_selection_keeps_the_count_and_is_hard_at_a_temperature_near_0(name, density):
    for layer in cases(name, density):
        # Without ties, which noise breaks in another way at temperature 0.
        distinct = torch.randperm(layer.mask.numel()).view(layer.mask.shape).add(1.0)
        layer = layer._replace(weight=distinct * layer.weight.sign() * layer.mask, coactivation=distinct.flip(-1))
        hard, nearly_hard, soft = (
            update_mask(METHODS[name](Config(model=name, selection_temperature=each)), layer) for each in (0, 1e-6, 2)
        )
        assert torch.equal(nearly_hard.kept, hard.kept)
        assert counts(soft.mask) == counts(hard.mask) == layer.target.tolist()
        assert counts(soft.kept) == counts(hard.kept)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_soft_selection_draws_by_scores_to_the_inverse_temperature(temperature):
    shape = (3000, 1, 8)
    noise = torch.randint(-(2**31), 2**31, shape, generator=torch.Generator().manual_seed(1), dtype=torch.int32)
    weight = torch.tensor([[1.0, -2.0, 3.0, 4.0, 0, 0, 0, 0]])
    gradient = torch.tensor([[9.0, 9.0, 9.0, 9.0, 2.0, 1.0, -5.0, 0]])
    layer = Layer(weight.expand(shape), (weight != 0).expand(shape), torch.full((3000,), 4), noise, noise.flip(0))
    method = METHODS["RigL"](Config(model="RigL", weight_prune_perc=0.75, selection_temperature=temperature))
    kept = layer.mask & ~method.prune(layer)
    grown = method.grow(layer._replace(gradient=gradient.expand(shape)), kept, torch.ones(3000, dtype=torch.int64))
    for chosen, scores in ((kept[..., :4], [1, 2, 3, 4]), (grown[..., 4:7], [2, 1, 5])):
        expected = torch.tensor(scores).double() ** (1 / temperature)
        assert stats.chisquare(chosen.sum((0, 1)), 3000 * expected / expected.sum()).pvalue > UNLIKELY
    assert not grown[..., 7].any()


@every_method
@pytest.mark.parametrize("density", DENSITIES)
def test_a_rule_that_ignores_positions_drops_the_same_from_a_row_of_active_weights(name, density):
    if not method_of(name).prune_ignores_position:
        pytest.skip("an engine gives this rule all positions")
    for layer, fractions in itertools.product(cases(name, density), FRACTIONS):
        prune = method_of(name, *fractions).prune
        # Sort the active positions to the front of one row, in their order, and cut off what no trial needs.
        order = layer.mask.flatten(-2).logical_not().to(torch.int8).argsort(dim=-1, stable=True)[..., None, :]
        n_most = max(1, int(layer.mask.sum((-2, -1)).max()))
        row = map_tensors(layer, lambda each, order=order: each.flatten(-2)[..., None, :].gather(-1, order))
        row = map_tensors(row, lambda each, n=n_most: each[..., :n])
        dropped = torch.zeros_like(layer.mask.flatten(-2)[..., None, :]).scatter(-1, order[..., :n_most], prune(row))
        assert torch.equal(dropped.view(layer.mask.shape) & layer.mask, prune(layer) & layer.mask), fractions


@every_method_and_2019
def test_arguments_are_unchanged(name):
    for leading, density in itertools.product(LEADING, DENSITIES):
        layer, same = (layer_of(name, 0, density, leading) for _ in range(2))
        update = update_mask(method_of(name), layer)
        update.mask.logical_not_()  # nor is the result a view of them
        for before, after in zip(same, layer, strict=True):
            assert torch.equal(before, after) if isinstance(before, torch.Tensor) else before == after


@every_method_and_2019
@pytest.mark.parametrize("density", DENSITIES)
def test_stacked_equals_one_by_one(name, density):
    numbers = [0, 0.1, 0.3, 0.5, 1.0]
    packs = [
        list(itertools.product(numbers, numbers)),
        [(each, None) for each in numbers],
        [(None, each) for each in numbers],
        [(None, None)] * 3,
    ]
    for seed, pack in enumerate(packs):
        keys = (FIXED | LEGACY)[name]
        configs = [Config(**keys, weight_prune_perc=w, hebbian_prune_perc=h) for w, h in pack]
        layer = layer_of(name, seed, density, (len(pack),))
        stacked = update_mask(METHODS[keys["model"]](PackConfig(configs)), layer)
        for trial, config in enumerate(configs):
            alone = update_mask(METHODS[keys["model"]](config), trial_of(layer, trial))
            for field, value in alone._asdict().items():
                assert torch.equal(getattr(stacked, field)[trial], value), (field, pack[trial])


@every_method_and_2019
@pytest.mark.parametrize("leading", LEADING)
def test_renumbering_the_units_renumbers_the_result(name, leading):
    for seed, density in itertools.product(range(3), DENSITIES):
        generator = torch.Generator().manual_seed(seed)
        rows, columns = torch.randperm(OUT, generator=generator), torch.randperm(IN, generator=generator)

        def renumber(tensor, rows=rows, columns=columns):
            return tensor[..., rows, :][..., columns]

        layer = layer_of(name, seed, density, leading)
        straight = update_mask(method_of(name), layer)
        renumbered = update_mask(method_of(name), map_tensors(layer, renumber))
        for field in ("mask", "kept", "grown"):
            assert torch.equal(getattr(renumbered, field), renumber(getattr(straight, field)))


@pytest.mark.parametrize("name", sorted(FIXED.keys() - CONSTANT_FAN_IN - NO_SHARE - BY_TOPOLOGY))
@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_ties_are_fair(name, value):
    """All scores equal: of 6 active and 6 inactive, each set is dropped, and grown, equally often."""
    n_noises, shape = 2250, (3, 4)
    mask = torch.tensor([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]).bool()
    generator = torch.Generator().manual_seed(1)
    prune, grow = torch.randint(-(2**31), 2**31, (2, n_noises, *shape), generator=generator, dtype=torch.int32)
    n_left = 4 if name in SHRINKING else 6
    # GraNet drops two for the target, and replaces round(0.3 * 4) of the others.
    n_dropped, n_grown = {"GMP": (2, 0), "GraNet": (3, 1)}.get(name, (2, 2))
    same = torch.ones(n_noises, *shape)
    layer = Layer(value * mask * same, mask.expand_as(same), torch.full((n_noises,), n_left), prune, grow)
    update = update_mask(method_of(name), layer._replace(**dict.fromkeys(STATISTICS, same)))

    dropped, grown = mask & ~update.mask, update.grown
    assert set(counts(dropped)) == {n_dropped}
    assert set(counts(grown)) == {n_grown}
    n_outcomes = math.comb(6, n_dropped) * math.comb(6, n_grown)
    seen = Counter(map(tuple, torch.stack([dropped, grown], 1).flatten(1).tolist()))
    assert stats.chisquare([*seen.values()] + [0] * (n_outcomes - len(seen))).pvalue > UNLIKELY


@every_method
@pytest.mark.parametrize("value", [0.7, -0.7, 0.0, torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("field", ["weight", "statistics"])
def test_no_layer_is_a_special_case(name, value, field):
    """All weights, or all statistics, are the same positive or negative number, zero, or not a number at all."""
    for density, leading in itertools.product(DENSITIES, LEADING):
        layer = layer_of(name, 0, density, leading)
        filled = torch.full_like(layer.weight, value)
        change = {"weight": filled.where(layer.mask, 0)} if field == "weight" else dict.fromkeys(STATISTICS, filled)
        update = update_mask(method_of(name, 0.3, 0.3), layer._replace(**change))
        assert counts(update.mask) == layer.target.tolist()


@every_method_by_share
def test_an_active_weight_of_zero_can_be_dropped(name):
    weight = torch.tensor([[0.0, 0.0, 1.0, 0.0], [2.0, 0.0, 0.0, 3.0]])
    mask = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 1]]).bool()
    generator = torch.Generator().manual_seed(0)
    zero_dropped = []
    for _ in range(40):
        prune, grow = torch.randint(-(2**31), 2**31, (2, 2, 4), generator=generator, dtype=torch.int32)
        target = torch.tensor(3 if name in SHRINKING else 4)
        layer = Layer(weight, mask, target, prune, grow)._replace(**dict.fromkeys(STATISTICS, torch.ones(2, 4)))
        update = update_mask(method_of(name, weight=0.25, hebbian=None), layer)
        # GraNet and CHTss drop one for the target, and replace round(0.25 * 3) of the others.
        assert counts(mask & ~update.kept) == (2 if name in ("GraNet", "CHTss") else 1)
        zero_dropped.append(not update.kept[0, 1].item())
    assert any(zero_dropped) if name == "RandomPrune" else all(zero_dropped)


@every_method_and_2019
def test_needs_are_the_statistics_that_are_read(name):
    method = method_of(name)
    layer = layer_of(name, 0, 0.5)
    update_mask(method, layer._replace(**dict.fromkeys(set(STATISTICS) - method.needs)))
    for statistic in method.needs:
        with pytest.raises(StatisticError, match="does not list in `needs`"):
            update_mask(method, layer._replace(**{statistic: None}))


@pytest.mark.parametrize(("name", "density"), [("Dense", 1.0), ("SparseModel", 0.2)])
def test_methods_that_never_change_their_masks(name, density):
    method = METHODS[name](Config(model=name, on_perc=0.2))
    assert method.prune is None
    assert method.density == density
    with pytest.raises(AssertionError, match="no mask updates"):
        update_mask(method, layer_of(name, 0, 0.5))


def test_the_density_is_on_perc():
    for keys in (FIXED | LEGACY).values():
        assert METHODS[keys["model"]](Config(**keys, on_perc=0.07)).density == 0.07


@pytest.mark.parametrize("name", METHODS)
def test_the_docstring_lists_the_keys_that_the_method_reads(name):
    config = PackConfig([Config(model=name)])
    METHODS[name](config)
    doc = inspect.getdoc(METHODS[name])
    listed = re.search(r"^Keys:\n((?:    .*\n?)+)", doc, re.M)
    keys = re.findall(r"^    (\w+): ", listed[1], re.M) if listed else []
    assert set(keys) == config.keys_read
