"""Operations on masks: by hand, against plain Python loops, at ties and at both ends."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from dynsparse.ops import masks

LEADING = [(), (3,)]
# A fair choice falls below it once in a thousand seeds, and the seeds here are fixed; an unfair one falls far below.
UNLIKELY = 0.001


def noise_of(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-(2**31), 2**31, shape, generator=generator, dtype=torch.int32)


def layers(tensor):
    """The layers of a stack, each as a flat list of numbers."""
    return tensor.reshape(-1, *tensor.shape[-2:]).flatten(-2).tolist()


def is_fair(chosen, n_outcomes):
    """Return True if all outcomes of a draw, repeated along the first axis, are equally frequent."""
    seen = Counter(map(tuple, chosen.flatten(1).tolist()))
    assert len(seen) <= n_outcomes
    return stats.chisquare([*seen.values()] + [0] * (n_outcomes - len(seen))).pvalue > UNLIKELY


class TestByHand:
    score = torch.tensor([[5.0, 1.0, 5.0], [0.0, 9.0, 1.0]])
    noise = torch.tensor([[2, 0, 1], [0, 0, -5]], dtype=torch.int32)

    def test_the_order_is_by_score_then_by_the_lower_noise(self):
        assert masks.rank_order(self.score, self.noise, None).tolist() == [4, 2, 0, 5, 1, 3]

    def test_the_order_is_by_among_before_score(self):
        among = torch.tensor([[0, 2, 1], [1, 0, 0]])
        assert masks.rank_order(self.score, self.noise, among).tolist() == [1, 2, 3, 4, 0, 5]

    def test_highest(self):
        assert masks.highest(self.score, 2, self.noise).int().tolist() == [[0, 0, 1], [0, 1, 0]]
        among = torch.tensor([[True, True, False], [True, False, True]])
        assert masks.highest(self.score, 2, self.noise, among).int().tolist() == [[1, 0, 0], [0, 0, 1]]

    def test_lowest(self):
        assert masks.lowest(self.score, 2, self.noise).int().tolist() == [[0, 0, 0], [1, 0, 1]]
        among = torch.tensor([[True, True, True], [False, True, False]])
        assert masks.lowest(self.score, 2, self.noise, among).int().tolist() == [[0, 1, 1], [0, 0, 0]]

    def test_exact(self):
        assert masks.exact(self.noise, 1).int().tolist() == [[0, 0, 0], [0, 0, 1]]

    def test_exact_per_output(self):
        noise = torch.tensor([[3, -1, 2], [5, -9, 7]], dtype=torch.int32)
        assert masks.exact_per_output(noise, 2).int().tolist() == [[0, 1, 0], [0, 1, 0]]
        # The fifth goes to the second unit, which has the smallest noise of all.
        assert masks.exact_per_output(noise, 5).int().tolist() == [[0, 1, 1], [1, 1, 1]]

    def test_bernoulli(self):
        noise = torch.tensor([[-(2**31), -1, 0], [2**30, 2**30 - 1, 2**31 - 1]], dtype=torch.int32)
        assert masks.uniform(noise)[0].tolist() == [0, 0.5 - 2**-32, 0.5]
        assert masks.uniform(noise)[1].tolist() == [0.75, 0.75 - 2**-32, 1 - 2**-32]
        # With a probability of 3 in 6.
        assert masks.bernoulli(noise, 3).int().tolist() == [[1, 1, 0], [0, 0, 0]]

    def test_count_and_density(self):
        mask = torch.tensor([[[1, 0], [1, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]]).bool()
        assert masks.count(mask).tolist() == [3, 0, 4]
        assert masks.density(mask).tolist() == [0.75, 0, 1]
        assert masks.count(mask[0]).item() == 3
        assert masks.density(mask[0]).dtype is torch.float64
        # A layer of three units with two inputs.
        assert masks.density(torch.tensor([[True, True], [True, False], [False, False]])).item() == 0.5

    def test_share_rounds_halves_to_even(self):
        assert masks.round_share(0.5, torch.tensor([1, 3, 5, 7])).tolist() == [0, 2, 2, 4]


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_priorities", [None, 2, 3])
def test_order_highest_and_lowest_are_those_of_a_sorted_list(leading, seed, n_priorities):
    shape = (*leading, 4, 5)
    generator = torch.Generator().manual_seed(seed)
    # Few values, zeros of both signs among them, so that most positions are tied.
    score = torch.randint(-2, 3, shape, generator=generator) / 2 * torch.where(noise_of(seed, *shape) > 0, 1.0, -1.0)
    noise = noise_of(seed + 100, *shape)
    among = None if n_priorities is None else torch.randint(0, n_priorities, shape, generator=generator)
    among = among.bool() if n_priorities == 2 else among
    priority = torch.zeros(shape) if among is None else among
    number = torch.tensor([0, 7, 20]) if leading else torch.tensor(7)

    for sign, choose in [(1, masks.highest), (-1, masks.lowest)]:
        ordered = masks.rank_order(sign * score, noise, among).view(shape)
        chosen = choose(score, number, noise, among)
        parts = [layers(each) for each in (score, noise, priority, ordered, chosen)]
        for s, x, p, found, mask, k in zip(*parts, number.view(-1).tolist(), strict=True):
            order = sorted(range(20), key=lambda i: (-p[i], -sign * s[i], x[i]))
            assert found == order
            assert mask == [i in order[:k] for i in range(20)]


@pytest.mark.parametrize("choose", [masks.highest, masks.lowest])
def test_more_than_there_are_is_all(choose):
    score = torch.tensor([[1.0, 2.0]])
    assert choose(score, 3, noise_of(0, 1, 2)).all()
    # Beyond those of the highest priority come the others.
    among = torch.tensor([[True, False]])
    assert choose(score, 2, noise_of(0, 1, 2), among).all()


@pytest.mark.parametrize("choose", [masks.highest, masks.lowest])
def test_a_score_that_is_nan_is_chosen_first(choose):
    score = torch.tensor([[torch.inf, -torch.inf], [torch.nan, 0.0]])
    assert choose(score, 1, noise_of(0, 2, 2)).tolist() == [[False, False], [True, False]]
    assert masks.count(choose(torch.full((2, 2), torch.nan), 3, noise_of(1, 2, 2))).item() == 3


@pytest.mark.parametrize("choose", [masks.highest, masks.lowest])
def test_ties_are_fair(choose):
    # Two of four tied positions beside one better and one worse: six pairs.
    score = torch.tensor([[1.0, 2.0, 2.0], [2.0, 2.0, 3.0]]).expand(6000, 2, 3)
    chosen = choose(score, 3, noise_of(1, 6000, 2, 3))
    assert set(masks.count(chosen).tolist()) == {3}
    assert is_fair(chosen, 6)


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("n_levels", [1, 2, 3])
def test_the_highest_in_rows_are_the_highest_of_each_row_alone(leading, n_levels):
    generator, shape = torch.Generator().manual_seed(n_levels), (*leading, 40, 9)
    for _ in range(20):
        # Rounded: ties. The noise has steps that its upper 29 bits hold.
        score = torch.randn(shape, generator=generator).mul(2).round()
        noise = torch.randint(-50, 50, shape, generator=generator, dtype=torch.int32) * 8
        among = torch.randint(0, n_levels, shape, generator=generator)
        number = torch.randint(0, 10, shape[:-1], generator=generator)
        of_rows = [each.unsqueeze(-2) for each in (score, noise, among)]
        expected = masks.highest(of_rows[0], number, *of_rows[1:]).squeeze(-2)
        assert torch.equal(masks.highest_in_rows(score, number, noise, among), expected)
        # As on other devices.
        keys = masks._row_keys(score, noise, among)
        assert torch.equal(masks.select_highest(keys, number), expected)


def test_share_is_pythons_round():
    fractions = [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.45, 0.5, 0.7, 0.9, 1 / 3, 1.0, 1]
    numbers = torch.arange(400)
    for fraction in fractions:
        wanted = [round(fraction * n) for n in range(400)]
        assert masks.round_share(fraction, numbers).tolist() == wanted
        assert masks.round_share(torch.tensor(fraction, dtype=torch.float64), numbers).tolist() == wanted
    each_its_own = masks.round_share(torch.tensor(fractions, dtype=torch.float64), torch.tensor(35))
    assert each_its_own.tolist() == [round(fraction * 35) for fraction in fractions]
    assert each_its_own.dtype is torch.int64


@pytest.mark.parametrize("number", range(13))
def test_exact_draws_that_number(number):
    assert masks.count(masks.exact(noise_of(number, 50, 3, 4), number)).tolist() == [number] * 50


def test_exact_is_fair():
    assert is_fair(masks.exact(noise_of(2, 6000, 2, 3), 3), 20)


@pytest.mark.parametrize("number", range(13))
def test_exact_per_output_draws_that_number_evenly(number):
    mask = masks.exact_per_output(noise_of(number, 50, 3, 4), number)
    assert masks.count(mask).tolist() == [number] * 50
    per_output = mask.sum(-1)
    assert (per_output.amax(-1) - per_output.amin(-1)).max() == (number % 3 > 0)


@pytest.mark.parametrize(
    ("shape", "number", "n_outcomes"),
    [
        ((2, 2), 1, 4),
        ((2, 3), 2, 3 * 3),
        ((2, 3), 3, 2 * 3 * 3),  # one unit gets one more
        ((3, 2), 4, 3 * 2 * 2),  # one unit gets one more, and so all
        ((3, 2), 2, 3 * 2 * 2),  # one unit gets none
    ],
)
def test_exact_per_output_is_fair(shape, number, n_outcomes):
    assert is_fair(masks.exact_per_output(noise_of(3, 8000, *shape), number), n_outcomes)


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("number", [0, 1, 5, 19, 20])
def test_bernoulli_turns_on_what_is_below_the_probability(leading, number):
    noise = noise_of(number, *leading, 4, 5)
    mask = masks.bernoulli(noise, number)
    for x, active in zip(layers(noise), layers(mask), strict=True):
        assert active == [(each + 2**31) / 2**32 < number / 20 for each in x]


def test_bernoulli_counts_are_binomial():
    counts = masks.count(masks.bernoulli(noise_of(4, 5000, 4, 5), 5)).double()
    # The standard error of the mean is 0.03; the variance of Binomial(20, 1/4) is 3.75, of this estimate 0.08.
    assert counts.mean().item() == pytest.approx(5, abs=0.12)
    assert counts.var().item() == pytest.approx(3.75, abs=0.3)


def test_the_table_of_draws():
    assert list(masks.DRAWS) == ["exact", "exact_per_output", "bernoulli", "brf", "csti"]


@pytest.mark.parametrize("draw", list(dict.fromkeys(masks.DRAWS.values())))
class TestEveryDraw:
    def test_stacked_equals_one_by_one(self, draw):
        noise, number = noise_of(5, 4, 6, 7), torch.tensor([0, 5, 17, 42])
        stacked = draw(noise, number)
        for trial in range(4):
            assert torch.equal(stacked[trial], draw(noise[trial], number[trial]))
            assert torch.equal(stacked[trial], draw(noise[trial], int(number[trial])))

    def test_renumbering_the_units_renumbers_the_mask(self, draw):
        if draw is masks.brf:
            pytest.skip("neighbours on the ring are likelier to be connected")
        generator = torch.Generator().manual_seed(6)
        for seed, number in itertools.product(range(10), [4, 9, 25]):
            noise = noise_of(seed, 6, 7)
            rows, columns = torch.randperm(6, generator=generator), torch.randperm(7, generator=generator)
            assert torch.equal(draw(noise[rows][:, columns], number), draw(noise, number)[rows][:, columns])

    def test_arguments_are_unchanged(self, draw):
        noise, number = noise_of(7, 2, 3, 4), torch.tensor([3, 8])
        draw(noise, number)
        assert torch.equal(noise, noise_of(7, 2, 3, 4))
        assert number.tolist() == [3, 8]


def test_receptive_fields_without_randomness_are_the_nearest_inputs():
    # Four outputs at the inputs 0, 2, 4 and 6 of a ring of eight; each gets three.
    expected = [[1, 1, 0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1]]
    for randomness in (0.0, 1e-45, 1e-39, 1e-3):
        assert masks.brf(noise_of(0, 4, 8), 12, randomness).int().tolist() == expected
    # More outputs than inputs: the first two have input 0.
    assert masks.brf(noise_of(0, 4, 2), 4, randomness=0.0).int().tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize("randomness", [0.0, 0.3, 1.0])
def test_receptive_fields_have_equal_sizes_up_to_one(randomness):
    for number in (1, 12, 13, 31, 32):
        sizes = masks.brf(noise_of(number, 4, 8), number, randomness).sum(-1).tolist()
        assert sorted(sizes) == sorted(number // 4 + (place < number % 4) for place in range(4))


@pytest.mark.parametrize("randomness", [0.25, 0.5, 1.0])
def test_the_inputs_of_receptive_fields_are_drawn_by_their_distance(randomness):
    noise = noise_of(1, 6000, 1, 5)
    inputs = masks.brf(noise, 1, randomness).nonzero()[:, 2].bincount(minlength=5)
    weights = np.array([1, 2, 3, 3, 2]) ** (-(1 - randomness) / randomness)
    assert stats.chisquare(inputs.numpy(), 6000 * weights / weights.sum()).pvalue > 0.001


def test_drawn_positions_of_weight_zero_come_last_and_ties_among_them_are_fair():
    noise = noise_of(2, 3000, 1, 5)
    keys = masks.drawn(torch.tensor([[0.0, 3.0, 0.0, 1.0, 0.0]]).expand(3000, 1, 5), 2.0, noise)
    chosen = masks.highest(keys, 3, noise)
    assert chosen[:, 0, 1].all()
    assert chosen[:, 0, 3].all()
    assert stats.chisquare(chosen[:, 0, [0, 2, 4]].sum(0).numpy()).pvalue > 0.001


def test_weights_on_no_path_are_dropped():
    # Unit 0 of the first hidden layer has no input, and unit 2 leads nowhere: only unit 1 is on a path. In the second
    # hidden layer, unit 0 has no input but from unit 0, and unit 2 has no output.
    first = torch.tensor([[0, 0], [1, 0], [1, 1]]).bool()
    second = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 0]]).bool()
    last = torch.tensor([[1, 1, 0]]).bool()
    kept = [mask.int().tolist() for mask in masks.on_paths([first, second, last])]
    assert kept == [[[0, 0], [1, 0], [0, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[0, 1, 0]]]
    assert torch.equal(masks.on_paths([first])[0], first)


def test_weights_on_paths_are_those_that_matrix_products_reach():
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand(5, *shape, generator=generator) < 0.12 for shape in ((9, 8), (10, 9), (4, 10))]
    for found, layer in zip(masks.on_paths(layers), range(3), strict=True):
        for trial in range(5):
            paths = [each[trial].double().numpy() for each in layers]
            # How many paths lead from each input to each output of the layers before and after this one.
            before, after = np.eye(8), np.eye(4)
            for path in paths[:layer]:
                before = path @ before
            for path in paths[:layer:-1]:
                after = after @ path
            expected = layers[layer][trial].numpy() & before.any(1) & after.any(0)[:, None]
            assert np.array_equal(found[trial].numpy(), expected)
