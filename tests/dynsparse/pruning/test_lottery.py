"""Lottery tickets: masks that nest, counts by hand and against plain Python, what was asked for against what came."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch.nn.utils import prune as torch_prune

from dynsparse.pruning import actual_fraction, next_masks, reinitialised, rewound, round_fraction
from dynsparse.random import Purpose, Stream, noise

SIZES = (9, 11, 7, 5)


def shapes_of(sizes):
    return [(n_out, n_in) for n_in, n_out in pairwise(sizes)]


def noise_of(masks, seed=0, step=0):
    return [noise(tuple(each.shape), Stream(seed, Purpose.PRUNE, layer=i, step=step)) for i, each in enumerate(masks)]


def dense(sizes, leading=()):
    return [torch.ones(*leading, *shape, dtype=torch.bool) for shape in shapes_of(sizes)]


def random_tensors(sizes, leading=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*leading, *shape, generator=generator) for shape in shapes_of(sizes)]


def rounds_of(sizes, total, rounds, scores=None, last_layer_rate=0.5):
    """The masks after each round, the dense ones first."""
    masks = [dense(sizes)]
    for step in range(rounds):
        fraction = round_fraction(total, rounds)
        masks.append(next_masks(masks[-1], scores, fraction, noise_of(masks[-1], step=step), last_layer_rate))
    return masks


def counts(masks):
    return [int(each.sum()) for each in masks]


class TestRoundFraction:
    def test_by_hand(self):
        # Three quarters in two rounds: a half, then a half of the half.
        assert round_fraction(0.75, 2) == 0.5
        assert round_fraction(0.875, 3) == pytest.approx(0.5)
        assert [round_fraction(total, 7) for total in (0, 1)] == [0, 1]

    @pytest.mark.parametrize("total", [0, 0.1, 0.3, 0.45, 0.85, 0.99, 1])
    def test_one_round_is_the_total_itself(self, total):
        assert round_fraction(total, 1) == total

    @pytest.mark.parametrize("total", [0.05, 0.5, 0.85, 0.999])
    @pytest.mark.parametrize("rounds", [1, 2, 5, 30])
    def test_the_rounds_compound_to_the_total(self, total, rounds):
        assert 1 - (1 - round_fraction(total, rounds)) ** rounds == pytest.approx(total, rel=1e-12)

    @pytest.mark.parametrize("rounds", [1, 5])
    def test_a_tensor_is_each_of_its_numbers(self, rounds):
        totals = [0, 0.1, 0.29, 1]
        for dtype in (torch.float32, torch.float64):
            result = round_fraction(torch.tensor(totals, dtype=dtype), rounds)
            assert result.dtype is torch.float64
            assert result.tolist() == pytest.approx([round_fraction(total, rounds) for total in totals], rel=1e-12)


class TestByHand:
    masks = (torch.tensor([[True, True, True], [True, False, True]]), torch.tensor([[True, True], [True, True]]))
    weights = (torch.tensor([[-9.0, 1, -2], [3, 0, 4]]), torch.tensor([[1.0, -2], [3, -4]]))
    noise = (torch.zeros(2, 3).int(), torch.zeros(2, 2).int())

    def test_the_smallest_of_the_active_weights_go(self):
        scores = [each.abs() for each in self.weights]
        # 0.4 of five are two; 0.2 of four are round(0.8) = 1. The pruned weight, 0, is not among them.
        after = next_masks(self.masks, scores, 0.4, self.noise)
        assert [each.int().tolist() for each in after] == [[[1, 0, 0], [1, 0, 1]], [[0, 1], [1, 1]]]

    @pytest.mark.parametrize(("rate", "n_left"), [(1, 2), (0.5, 3), (0, 4)])
    def test_the_rate_of_the_last_layer(self, rate, n_left):
        after = next_masks(self.masks, None, 0.4, self.noise, rate)
        assert counts(after) == [3, n_left]

    def test_without_scores_the_noise_decides(self):
        order = (torch.tensor([[5, 2, 8], [1, 0, 9]]).int(), self.noise[1])
        assert next_masks(self.masks, None, 0.4, order)[0].int().tolist() == [[1, 0, 1], [0, 0, 1]]

    def test_nothing_and_all(self):
        scores = [each.abs() for each in self.weights]
        for ours, mask in zip(next_masks(self.masks, scores, 0, self.noise), self.masks, strict=True):
            assert torch.equal(ours, mask)
        assert counts(next_masks(self.masks, scores, 1, self.noise, 1)) == [0, 0]
        assert counts(next_masks(self.masks, scores, 1, self.noise)) == [0, 2]

    def test_rewound_and_reinitialised(self):
        initial = [each + 10 for each in self.weights]
        assert rewound(initial, self.masks)[0].tolist() == [[1, 11, 8], [13, 0, 14]]
        assert reinitialised([-each for each in initial], self.masks)[0].tolist() == [[-1, -11, -8], [-13, 0, -14]]

    def test_what_is_pruned_is_zero_even_of_infinity(self):
        assert rewound([torch.tensor([[torch.inf, torch.nan, 1]])], [torch.zeros(1, 3).bool()])[0].tolist() == [
            [0, 0, 0]
        ]

    def test_actual_fraction(self):
        fractions = actual_fraction(self.masks)
        assert [each.item() for each in fractions.layers] == [1 / 6, 0]
        assert fractions.overall.item() == 1 / 10


@pytest.mark.parametrize("rounds", [1, 2, 5, 13])
@pytest.mark.parametrize("total", [0.1, 0.5, 0.85, 0.99])
def test_masks_nest_and_counts_are_exact(total, rounds):
    scores = [each.abs() for each in random_tensors(SIZES)]
    rate = round_fraction(total, rounds)
    expected = [n_out * n_in for n_out, n_in in shapes_of(SIZES)]
    before, *later = rounds_of(SIZES, total, rounds, scores)
    for after in later:
        expected = [
            n - round(n * rate * (0.5 if layer == len(expected) - 1 else 1)) for layer, n in enumerate(expected)
        ]
        assert counts(after) == expected
        for old, new, score in zip(before, after, scores, strict=True):
            assert not (new & ~old).any()
            pruned = score[old & ~new]
            assert pruned.numel() == 0 or not new.any() or pruned.max() < score[new].min()
        before = after
    # Half a weight per round at most.
    for n_left, (n_out, n_in) in zip(expected[:-1], shapes_of(SIZES), strict=False):
        assert abs(n_out * n_in - n_left - total * n_out * n_in) <= rounds / 2


def test_a_tie_does_not_prune_more_or_fewer():
    for fraction in (0.1, 0.3, 0.5, 0.9):
        masks = dense((10, 10, 10))
        after = next_masks(masks, [torch.ones(10, 10)] * 2, fraction, noise_of(masks), 1)
        assert counts(after) == [100 - round(100 * fraction)] * 2


def test_random_pruning_is_fair():
    # Two of the four active ones of five: six pairs.
    masks = [torch.tensor([[True, True, False, True, True]]).expand(6000, 1, 5), torch.ones(6000, 1, 1).bool()]
    after = next_masks(masks, None, 0.5, noise_of(masks))[0]
    seen = Counter(map(tuple, after.flatten(1).tolist()))
    assert len(seen) == 6
    assert all(sum(each) == 2 and not each[2] for each in seen)
    assert stats.chisquare(list(seen.values())).pvalue > 0.001


def test_torch_prunes_the_same_in_many_rounds():
    weight = random_tensors((20, 10))[0]
    linear = torch.nn.Linear(20, 10)
    linear.weight.data = weight
    masks = [torch.ones(10, 20).bool()]
    for n_left in (150, 112, 84):
        before = int(masks[0].sum())
        masks = next_masks(masks, [weight.abs()], 0.25, noise_of(masks), last_layer_rate=1)
        assert counts(masks) == [n_left]
        # Applied again, it counts only what is still there.
        torch_prune.l1_unstructured(linear, "weight", amount=before - n_left)
        assert torch.equal(linear.weight_mask.bool(), masks[0])
        assert torch.equal(linear.weight, rewound([weight], masks)[0])


@pytest.mark.parametrize("random", [True, False])
@pytest.mark.parametrize("leading", [(4,), (2, 2)])
def test_stacked_equals_one_by_one(random, leading):
    masks = next_masks(dense(SIZES, leading), None, 0.3, noise_of(dense(SIZES, leading), seed=1))
    scores = None if random else [each.abs() for each in random_tensors(SIZES, leading)]
    fractions, rates = torch.tensor([0, 0.25, 0.6, 1]).view(leading), torch.tensor([0.5, 1, 0, 0.3]).view(leading)
    ties = noise_of(masks, seed=2)
    stacked = next_masks(masks, scores, fractions, ties, rates)
    initial = random_tensors(SIZES, leading, seed=3)
    shares = actual_fraction(stacked)
    assert shares.overall.shape == leading
    for trial, (fraction, rate) in enumerate([(0, 0.5), (0.25, 1), (0.6, 0), (1, 0.3)]):
        index = (trial,) if len(leading) == 1 else divmod(trial, 2)

        def of_trial(layers, index=index):
            return [each[index] for each in layers]

        alone = next_masks(
            of_trial(masks), None if random else of_trial(scores), fraction, of_trial(ties), last_layer_rate=rate
        )
        assert all(torch.equal(a, b) for a, b in zip(of_trial(stacked), alone, strict=True))
        ours, theirs = of_trial(rewound(initial, stacked)), rewound(of_trial(initial), alone)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert torch.equal(shares.overall[index], actual_fraction(alone).overall)
        assert of_trial(shares.layers) == actual_fraction(alone).layers


def test_other_noise_draws_other_masks_and_never_brings_a_weight_back():
    first = next_masks(dense(SIZES), None, 0.5, noise_of(dense(SIZES), step=0))
    other = next_masks(dense(SIZES), None, 0.5, noise_of(dense(SIZES), step=1))
    again = next_masks(first, None, 0.5, noise_of(dense(SIZES), step=1))
    assert not torch.equal(first[0], other[0])
    for old, new in zip(first, again, strict=True):
        assert not (new & ~old).any()
    # If the masks were drawn again, three quarters of the weights could not be pruned by halves.
    assert counts(again)[:2] == [25, 19]


# What was asked for, and what came, with the last layer at half the rate. Without the last layer it would be the same.
@pytest.mark.parametrize(
    ("total", "rounds", "n_left", "overall"),
    [
        (0.5, 1, [117_600, 15_000, 750], 0.49906),
        (0.5, 5, [117_600, 15_000, 715], 0.49919),
        (0.8, 1, [47_040, 6_000, 600], 0.79850),
        (0.8, 5, [47_040, 6_000, 477], 0.79896),
        (0.95, 1, [11_760, 1_500, 525], 0.94822),
        (0.95, 5, [11_760, 1_500, 279], 0.94914),
    ],
)
def test_desired_against_actual(total, rounds, n_left, overall):
    masks = rounds_of((784, 300, 100, 10), total, rounds)[-1]
    assert counts(masks) == n_left
    fractions = actual_fraction(masks)
    assert fractions.overall.item() == pytest.approx(overall, abs=5e-6)
    assert [each.item() for each in fractions.layers[:2]] == pytest.approx([total] * 2)
    last = 1 - (1 - round_fraction(total, rounds) / 2) ** rounds
    assert fractions.layers[2].item() == pytest.approx(last, abs=rounds / 2 / 1000)
    at_full_rate = actual_fraction(rounds_of((784, 300, 100, 10), total, rounds, last_layer_rate=1)[-1])
    assert at_full_rate.overall.item() == pytest.approx(total, abs=1e-5)


def test_arguments_are_unchanged():
    masks, scores = dense(SIZES, (2,)), random_tensors(SIZES, (2,))
    ties, fraction = noise_of(masks), torch.tensor([0.2, 0.4])
    after = next_masks(masks, scores, fraction, ties, 1)
    for tensor in [*next_masks(masks, scores, 0, ties), *rewound(scores, masks), *reinitialised(scores, masks), *after]:
        tensor.zero_()
    assert all(mask.all() for mask in masks)
    assert all(torch.equal(a, b) for a, b in zip(scores, random_tensors(SIZES, (2,)), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(ties, noise_of(masks), strict=True))
    assert fraction.tolist() == torch.tensor([0.2, 0.4]).tolist()


def test_scores_and_initial_weights_may_ask_for_gradients():
    parameters = [each.requires_grad_() for each in random_tensors(SIZES)]
    masks = next_masks(dense(SIZES), [each.abs() for each in parameters], 0.5, noise_of(dense(SIZES)))
    assert not any(each.requires_grad for each in rewound(parameters, masks))
