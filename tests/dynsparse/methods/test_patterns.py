"""Properties of mask patterns, over the whole table METHODS."""

import itertools
import math
from collections import Counter

import pytest
import torch
from scipy import stats

from dynsparse.config import Config
from dynsparse.methods import METHODS, update_mask
from dynsparse.ops.patterns import Blocks, Groups, draw
from dynsparse.ops.scores import STATISTICS, Layer
from dynsparse.planning.packs import PackConfig

OUT, IN, N_TRIALS = 8, 12, 3
PATTERNS = {"2:4": Groups(2, 4), "1:3": Groups(1, 3), "4x4": Blocks(4, 4), "1x2": Blocks(1, 2)}
# Every method that updates masks, except SRigL, which has a structure of its own.
BUILT = {name: build(Config(model=name)) for name, build in METHODS.items() if name != "SRigL"}
MODELS = {name: {"model": name} for name, method in BUILT.items() if method.prune is not None}
MODELS["random growth"] = {"model": "DSNNMixedHeb", "hebbian_grow": False}
SHRINKING = {name for name, method in BUILT.items() if method.surplus}
# These do not prune a share of the active weights.
NO_SHARE = {"DeepR", "TopKAST"}
BY_TWO_RULES = {"DSNNMixedHeb", "random growth"}

every_method = pytest.mark.parametrize("name", MODELS)
every_pattern = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)


def noise(*leading, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-(2**31), 2**31, (*leading, OUT, IN), generator=generator, dtype=torch.int32)


def layer_of(name, pattern, seed):
    """Three trials of random numbers, many of them equal, with half of their weights active, or more."""
    generator, shape = torch.Generator().manual_seed(seed), (N_TRIALS, OUT, IN)
    step = pattern.step(shape[1:])
    of_size = max(1, OUT * IN // step // 2) * step
    n_active = torch.full((N_TRIALS,), of_size)
    n_active[-1] += step
    mask = draw(pattern, noise(N_TRIALS, seed=seed), n_active)
    return Layer(
        weight=torch.randn(shape, generator=generator).mul(2).round().div(2) * mask,
        mask=mask,
        target=n_active - step if name in SHRINKING else n_active,
        prune_noise=pattern.noise(noise(N_TRIALS, seed=seed + 100)),
        grow_noise=pattern.noise(noise(N_TRIALS, seed=seed + 200)),
        share_done=0.5,
        coactivation=torch.randint(0, 5, shape, generator=generator).float(),
        gradient=torch.randn(shape, generator=generator),
        active_gradient=torch.randn(shape, generator=generator),
        gradient_momentum=torch.randn(shape, generator=generator),
        sign=torch.randint(0, 2, shape, generator=generator).mul(2).sub(1).float(),
        pattern=pattern,
    )


def method_of(name, fraction, temperature=0.0):
    keys = {**MODELS[name], "weight_prune_perc": fraction, "hebbian_prune_perc": fraction}
    return METHODS[keys["model"]](Config(**keys, selection_temperature=temperature))


def assert_has(pattern, mask, target):
    """Check the counts without the code of the pattern."""
    assert mask.sum((-2, -1)).tolist() == target.tolist()
    for of_trial, number in zip(mask, target.tolist(), strict=True):
        if isinstance(pattern, Groups):
            groups = [row[at : at + pattern.size] for row in of_trial for at in range(0, IN, pattern.size)]
            assert {int(group.sum()) for group in groups} == {number * pattern.size // (OUT * IN)}
        else:
            rows, columns = range(0, OUT, pattern.rows), range(0, IN, pattern.columns)
            blocks = [
                of_trial[r : r + pattern.rows, c : c + pattern.columns] for r, c in itertools.product(rows, columns)
            ]
            assert all(block.all() or not block.any() for block in blocks)


@every_method
@every_pattern
def test_every_update_keeps_pattern_and_count(name, pattern):
    for seed, fraction, temperature in itertools.product(range(2), [0.0, 0.3, 1.0], [0.0, 1.0]):
        layer = layer_of(name, pattern, seed)
        update = update_mask(method_of(name, fraction, temperature), layer)
        assert_has(pattern, update.mask, layer.target)
        assert not (update.kept & ~layer.mask).any()
        if fraction == 0 and name not in SHRINKING | NO_SHARE:
            assert torch.equal(update.mask, layer.mask)
        # Two rules may agree on no block, of the few here.
        if fraction == 0.3 and name not in NO_SHARE | BY_TWO_RULES | {"GMP"}:
            assert not torch.equal(update.mask, layer.mask)


@every_method
@every_pattern
def test_a_second_update_starts_from_what_the_first_has_left(name, pattern):
    layer = layer_of(name, pattern, 0)
    for number in range(3):
        update = update_mask(method_of(name, 0.3), layer._replace(prune_noise=pattern.noise(noise(3, seed=number))))
        layer = layer._replace(mask=update.mask, weight=layer.weight * update.mask)
    assert_has(pattern, layer.mask, layer.target)


@every_method
@every_pattern
def test_stacked_equals_one_by_one(name, pattern):
    configs = [Config(**MODELS[name], weight_prune_perc=each, hebbian_prune_perc=each) for each in (0.1, 0.4, 0.9)]
    layer, build = layer_of(name, pattern, 5), METHODS[MODELS[name]["model"]]
    stacked = update_mask(build(PackConfig(configs)), layer)
    shared = {"drop_scale", "share_done", "ablated", "number", "is_last", "pattern"}
    for trial, config in enumerate(configs):
        own = {field: getattr(layer, field)[trial] for field in set(Layer._fields) - shared}
        alone = update_mask(build(config), layer._replace(**own))
        for field, value in alone._asdict().items():
            assert torch.equal(getattr(stacked, field)[trial], value), field


@pytest.mark.parametrize("name", sorted(MODELS.keys() - SHRINKING - NO_SHARE - {"CHT", "CHTs"}))
def test_ties_between_blocks_are_fair(name):
    """All scores equal: of 3 active and 3 inactive blocks, each is dropped, and grown, equally often."""
    n, pattern = 1000, Blocks(4, 4)
    mask = draw(pattern, noise(seed=1), torch.tensor(48)).expand(n, OUT, IN)
    same = torch.ones(n, OUT, IN)
    noises = [pattern.noise(noise(n, seed=each)) for each in (2, 3)]
    layer = Layer(mask * same, mask, torch.full((n,), 48), *noises, pattern=pattern)
    update = update_mask(method_of(name, 0.3), layer._replace(**dict.fromkeys(STATISTICS, same)))
    changed = (update.mask ^ mask)[:, ::4, ::4].flatten(1)
    seen = Counter(map(tuple, changed.tolist()))
    n_outcomes = math.comb(3, 1) ** 2
    assert len(seen) == n_outcomes
    assert stats.chisquare([*seen.values()]).pvalue > 0.001


@pytest.mark.parametrize("name", ["SET", "RigL", "DSNNHeb", "MEST", "RandomPrune"])
def test_ties_within_a_group_are_fair(name):
    """All scores equal: each active input of a group is dropped, and each other one grown, equally often."""
    n, pattern = 2000, Groups(2, 4)
    mask = (torch.arange(IN) % 4 < 2).expand(n, OUT, IN)
    same = torch.ones(n, OUT, IN)
    layer = Layer(mask * same, mask, torch.full((n,), 48), noise(n, seed=4), noise(n, seed=5), pattern=pattern)
    update = update_mask(method_of(name, 0.5), layer._replace(**dict.fromkeys(STATISTICS, same)))
    for changed, places in ((mask & ~update.kept, (0, 1)), (update.grown, (2, 3))):
        counts = torch.stack([changed[..., place::4].sum() for place in places])
        assert counts.sum() == n * 24
        assert stats.chisquare(counts.numpy()).pvalue > 0.001
