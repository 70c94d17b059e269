"""Weight pruning: by hand, against sorted lists, against torch's own pruning, at ties and at both ends."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch.nn.utils import prune as torch_prune

from dynsparse.pruning import prune_weights
from dynsparse.pruning.ranking import rounded_down, unit_noise
from dynsparse.random import Purpose, Stream, noise

SIZES = (7, 6, 5, 4)
SPARSITIES = [0, 0.1, 0.25, 0.29, 0.5, 0.57, 0.9, 0.99, 1]


def network(sizes, leading=(), seed=0, *, tied=False):
    """Weights, biases and noise. Tied: of few values, zeros of both signs among them."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        values = torch.randn(*leading, *shape, generator=generator)
        return (values * 1.5).round() if tied else values

    shapes = [(n_out, n_in) for n_in, n_out in pairwise(sizes)]
    return (
        [draw(*shape) for shape in shapes],
        [draw(n_out) for n_out, _ in shapes],
        [noise((*leading, *each), Stream(seed, Purpose.PRUNE, layer=i)) for i, each in enumerate(shapes)],
    )


def lowest(values, number, order):
    """Return the positions of the `number` smallest magnitudes in lists; equal ones by lower noise."""
    return set(sorted(range(len(values)), key=lambda i: (abs(values[i]), order[i]))[:number])


def pruned_positions(mask):
    return {i for i, kept in enumerate(mask.flatten().tolist()) if not kept}


class TestByHand:
    weights = (torch.tensor([[0.1, -0.2, 3.0], [-4.0, 0.3, -0.1]]), torch.tensor([[0.5, -0.6]]))
    biases = (torch.tensor([-2.0, 1.0]), torch.tensor([0.1]))
    # Of the two 0.1 the second has the lower noise, so it goes first.
    noise = (torch.tensor([[5, 0, 0], [0, 0, -5]]).int(), torch.zeros(1, 2).int())

    def test_half_of_a_layer(self):
        pruned = prune_weights(self.weights, self.biases, 0.5, self.noise)
        assert pruned.weights[0].tolist() == [[0, 0, 3], [-4, pytest.approx(0.3), 0]]
        assert pruned.biases[0].tolist() == [-2, 0]
        assert pruned.masks[0].int().tolist() == [[0, 0, 1], [1, 1, 0]]
        assert pruned.bias_masks[0].tolist() == [True, False]

    def test_the_last_layer_is_spared_or_not(self):
        spared = prune_weights(self.weights, self.biases, 0.5, self.noise)
        assert torch.equal(spared.weights[1], self.weights[1]) and torch.equal(spared.biases[1], self.biases[1])
        assert spared.masks[1].all() and spared.bias_masks[1].all()
        pruned = prune_weights(self.weights, self.biases, 0.5, self.noise, last_layer=True)
        assert pruned.weights[1].tolist() == [[0, pytest.approx(-0.6)]]
        # int(0.5 * 1) biases.
        assert torch.equal(pruned.biases[1], self.biases[1])

    def test_biases_may_be_left(self):
        pruned = prune_weights(self.weights, self.biases, 0.5, self.noise, biases_too=False)
        assert torch.equal(pruned.biases[0], self.biases[0]) and pruned.bias_masks[0].all()
        assert pruned.masks[0].int().tolist() == [[0, 0, 1], [1, 1, 0]]

    def test_one_tied_weight_goes_by_noise(self):
        assert pruned_positions(prune_weights(self.weights, self.biases, 0.2, self.noise).masks[0]) == {5}

    def test_all_layers_together(self):
        pruned = prune_weights(self.weights, self.biases, 0.75, self.noise, last_layer=True, scope="global")
        # Six of eight: 0.1 0.1 0.2 0.3 0.5 0.6; two of three biases: 0.1 and 1.
        assert pruned.weights[0].tolist() == [[0, 0, 3], [-4, 0, 0]]
        assert pruned.weights[1].tolist() == [[0, 0]]
        assert [each.tolist() for each in pruned.biases] == [[-2, 0], [0]]

    def test_together_without_the_last_layer_is_only_the_others(self):
        pruned = prune_weights(self.weights, self.biases, 0.5, self.noise, scope="global")
        assert pruned.masks[0].int().tolist() == [[0, 0, 1], [1, 1, 0]]
        assert pruned.masks[1].all()

    @pytest.mark.parametrize("scope", ["layer", "global"])
    def test_one_layer_is_the_last(self, scope):
        pruned = prune_weights(self.weights[1:], self.biases[1:], 1, self.noise[1:], scope=scope)
        assert torch.equal(pruned.weights[0], self.weights[1])
        pruned = prune_weights(self.weights[1:], self.biases[1:], 1, self.noise[1:], scope=scope, last_layer=True)
        assert not pruned.weights[0].any() and not pruned.biases[0].any()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("leading", [(), (3,), (2, 2)])
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_a_layer_loses_what_a_sorted_list_says(sparsity, leading, tied):
    weights, biases, ties = network(SIZES, leading, seed=1, tied=tied)
    pruned = prune_weights(weights, biases, sparsity, ties, last_layer=True)
    for layer in range(3):
        for values, order, before, after, mask in [
            (weights, ties, weights[layer].flatten(-2), pruned.weights[layer].flatten(-2), pruned.masks[layer]),
            (biases, [unit_noise(x) for x in ties], biases[layer], pruned.biases[layer], pruned.bias_masks[layer]),
        ]:
            n = before.shape[-1]
            number = int(Fraction(str(sparsity)) * n)
            rows = [each.reshape(-1, n) for each in (values[layer], order[layer], before, after, mask)]
            for value, its_order, old, new, kept in zip(*rows, strict=True):
                chosen = lowest(value.tolist(), number, its_order.tolist())
                assert pruned_positions(kept) == chosen
                assert new.tolist() == [0 if i in chosen else x for i, x in enumerate(old.tolist())]


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_all_layers_together_lose_what_one_sorted_list_says(sparsity):
    weights, biases, ties = network(SIZES, seed=2, tied=True)
    pruned = prune_weights(weights, biases, sparsity, ties, scope="global")
    values, order = (torch.cat([each.flatten() for each in some[:2]]).tolist() for some in (weights, ties))
    kept = torch.cat([each.flatten() for each in pruned.masks[:2]])
    assert pruned_positions(kept) == lowest(values, int(Fraction(str(sparsity)) * 72), order)
    values = torch.cat(biases[:2]).tolist()
    order = torch.cat([unit_noise(each)[0] for each in ties[:2]]).tolist()
    assert pruned_positions(torch.cat(pruned.bias_masks[:2])) == lowest(
        values, int(Fraction(str(sparsity)) * 11), order
    )


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_torch_prunes_the_same(sparsity):
    weights, biases, ties = network(SIZES, seed=3)
    pruned = prune_weights(weights, biases, sparsity, ties)
    together = prune_weights(weights, biases, sparsity, ties, scope="global")
    linears = [torch.nn.Linear(n_in, n_out) for n_in, n_out in pairwise(SIZES)]
    for linear, weight, bias in zip(linears, weights, biases, strict=True):
        linear.weight.data, linear.bias.data = weight, bias
    for layer, linear in enumerate(linears[:2]):
        for name, mask in [("weight", pruned.masks[layer]), ("bias", pruned.bias_masks[layer])]:
            theirs = torch_prune.l1_unstructured(linear, name, amount=int(sparsity * getattr(linear, name).numel()))
            assert torch.equal(getattr(theirs, f"{name}_mask").bool(), mask)
        assert torch.equal(linear.weight, pruned.weights[layer]) and torch.equal(linear.bias, pruned.biases[layer])
        torch_prune.remove(linear, "weight")
        linear.weight.data = weights[layer]
    hidden = [(linear, "weight") for linear in linears[:2]]
    torch_prune.global_unstructured(hidden, torch_prune.L1Unstructured, amount=int(sparsity * 72))
    for linear, mask in zip(linears[:2], together.masks[:2], strict=True):
        assert torch.equal(linear.weight_mask.bool(), mask)


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stacked_equals_one_by_one(scope, dtype):
    weights, biases, ties = network(SIZES, (4,), seed=4, tied=True)
    sparsity = torch.tensor([0, 0.29, 0.57, 1], dtype=dtype)
    stacked = prune_weights(weights, biases, sparsity, ties, scope=scope, last_layer=True)
    for trial, alone in enumerate([0, 0.29, 0.57, 1]):
        one = [[layer[trial] for layer in each] for each in (weights, biases, ties)]
        expected = prune_weights(one[0], one[1], alone, one[2], scope=scope, last_layer=True)
        for ours, theirs in zip(stacked, expected, strict=True):
            assert all(torch.equal(a[trial], b) for a, b in zip(ours, theirs, strict=True))


def test_renumbering_the_units_renumbers_the_result():
    weights, biases, ties = network(SIZES, seed=5, tied=True)
    generator = torch.Generator().manual_seed(5)
    rows, columns = torch.randperm(6, generator=generator), torch.randperm(7, generator=generator)
    renumbered = [[weights[0][rows][:, columns], weights[1]], [biases[0][rows], biases[1]]]
    pruned = prune_weights(weights[:2], biases[:2], 0.45, ties[:2])
    other = prune_weights(*renumbered, 0.45, [ties[0][rows][:, columns], ties[1]])
    assert torch.equal(other.weights[0], pruned.weights[0][rows][:, columns])
    assert torch.equal(other.biases[0], pruned.biases[0][rows])


def test_ties_are_fair_and_the_count_holds():
    # Two of four equal magnitudes, of either sign: six pairs; and one of two equal biases.
    weights = [torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).expand(6000, 2, 2), torch.ones(6000, 1, 2)]
    biases = [torch.ones(6000, 2), torch.ones(6000, 1)]
    ties = [noise(tuple(each.shape), Stream(i, Purpose.PRUNE)) for i, each in enumerate(weights)]
    pruned = prune_weights(weights, biases, 0.5, ties)
    for mask, n_outcomes, n_kept in [(pruned.masks[0].flatten(1), 6, 2), (pruned.bias_masks[0], 2, 1)]:
        assert mask.sum(-1).eq(n_kept).all()
        seen = Counter(map(tuple, mask.tolist()))
        assert len(seen) == n_outcomes
        assert stats.chisquare(list(seen.values())).pvalue > 0.001


def test_a_large_negative_weight_is_not_small():
    weights, biases, ties = [torch.tensor([[-9.0, 1.0, 2.0]])], [torch.zeros(1)], [torch.zeros(1, 3).int()]
    pruned = prune_weights(weights, biases, 0.4, ties, last_layer=True)
    assert pruned.weights[0].tolist() == [[-9, 0, 2]]


def test_a_weight_that_is_zero_already_counts():
    weights, biases, ties = [torch.tensor([[0.0, 1.0, 2.0, -0.0]])], [torch.zeros(1)], [torch.zeros(1, 4).int()]
    assert prune_weights(weights, biases, 0.5, ties, last_layer=True).weights[0].tolist() == [[0, 1, 2, 0]]


def test_nan_goes_first():
    weights, biases, ties = [torch.tensor([[0.0, torch.nan]])], [torch.zeros(1)], [torch.zeros(1, 2).int()]
    assert prune_weights(weights, biases, 0.5, ties, last_layer=True).masks[0].tolist() == [[True, False]]


def test_counts_are_rounded_down_but_not_by_the_float():
    assert int(0.29 * 100) == 28 and int(0.57 * 100) == 56
    for n in (1, 3, 10, 100, 1000, 784_000, 50_000_000):
        for hundredths in range(101):
            expected = hundredths * n // 100
            assert rounded_down(torch.tensor(hundredths / 100, dtype=torch.float64), n).item() == expected
            # As when a density is given, and the sparsity is computed.
            assert rounded_down(1 - torch.tensor(1 - hundredths / 100, dtype=torch.float64), n).item() == expected
    assert rounded_down(torch.tensor(0.999999, dtype=torch.float64), 1000).item() == 999


def test_the_counts_of_the_blogs_network():
    weights = [torch.empty(n_out, n_in) for n_in, n_out in pairwise((784, 1000, 1000, 500, 200, 10))]
    generator = torch.Generator().manual_seed(6)
    weights = [each.normal_(generator=generator) for each in weights]
    biases = [each[:, 0].clone() for each in weights]
    ties = [noise(tuple(each.shape), Stream(6, Purpose.PRUNE)) for each in weights]
    pruned = prune_weights(weights, biases, 0.97, ties)
    assert [each.count_nonzero().item() for each in pruned.weights] == [23_520, 30_000, 15_000, 3_000, 2_000]
    assert [each.count_nonzero().item() for each in pruned.biases] == [30, 30, 15, 6, 10]


def test_the_result_is_new_and_the_arguments_are_unchanged():
    given, before = network(SIZES, (2,), seed=7), network(SIZES, (2,), seed=7)
    given[0][0].requires_grad_()
    sparsity = torch.tensor([0.2, 0.4])
    pruned = prune_weights(given[0], given[1], sparsity, given[2])
    for tensor in [*pruned.weights, *pruned.biases]:
        assert not tensor.requires_grad
        tensor.fill_(9)
    assert sparsity.tolist() == torch.tensor([0.2, 0.4]).tolist()
    for ours, theirs in zip(given, before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
