"""Unit pruning: by hand, against sorted lists, against torch's own pruning, at ties and at both ends."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch.nn.utils import prune as torch_prune

from dynsparse.pruning import prune_units
from dynsparse.pruning.ranking import unit_noise
from dynsparse.random import Purpose, Stream, noise

SIZES = (5, 10, 8, 3)


def network(sizes, leading=(), seed=0, *, tied=False):
    """Weights, biases and noise. Tied: the weights of a unit are one of two rows, or the negative of one."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(n_out, n_in) for n_in, n_out in pairwise(sizes)]
    weights = [torch.randn(*leading, *shape, generator=generator) for shape in shapes]
    if tied:
        weights = [
            each[..., :1, :] * torch.randint(-2, 3, each[..., :1].shape, generator=generator) for each in weights
        ]
    return (
        weights,
        [torch.randn(*leading, n_out, generator=generator) for n_out, _ in shapes],
        [noise((*leading, *each), Stream(seed, Purpose.PRUNE, layer=i)) for i, each in enumerate(shapes)],
    )


def smallest_units(weight, number, order):
    """The `number` units of smallest norm, the lower noise first."""
    norms = [sum(x * x for x in row) for row in weight.double().tolist()]
    return set(sorted(range(len(norms)), key=lambda i: (norms[i], order[i]))[:number])


class TestByHand:
    # Norms 5, 1, 3 and 5: the sum of the weights, the largest weight, or the bias would choose otherwise.
    weights = (torch.tensor([[3.0, -4.0], [1.0, 0.0], [0.0, 3.0], [-5.0, 0.0]]), torch.ones(1, 4))
    biases = (torch.tensor([0.0, 9.0, 1.0, -2.0]), torch.tensor([0.5]))
    noise = (torch.tensor([[0, 7], [0, 0], [0, 0], [3, 3]]).int(), torch.zeros(1, 4).int())

    @pytest.mark.parametrize(
        ("sparsity", "kept"), [(0, "1111"), (0.49, "1011"), (0.5, "1001"), (0.75, "1000"), (1, "0000")]
    )
    def test_units_go_in_order_of_their_norm_with_their_biases(self, sparsity, kept):
        pruned = prune_units(self.weights, self.biases, sparsity, self.noise)
        expected = torch.tensor([int(each) for each in kept])
        assert pruned.kept[0].int().tolist() == expected.tolist()
        assert torch.equal(pruned.weights[0], self.weights[0] * expected[:, None])
        assert torch.equal(pruned.biases[0], self.biases[0] * expected)

    def test_the_last_layer_is_spared(self):
        pruned = prune_units(self.weights, self.biases, 1, self.noise)
        assert torch.equal(pruned.weights[1], self.weights[1]) and torch.equal(pruned.biases[1], self.biases[1])
        assert pruned.kept[1].tolist() == [True]

    @pytest.mark.parametrize("scope", ["layer", "global"])
    def test_one_layer_is_the_last(self, scope):
        pruned = prune_units(self.weights[1:], self.biases[1:], 1, self.noise[1:], scope=scope)
        assert torch.equal(pruned.weights[0], self.weights[1])

    def test_all_layers_together(self):
        weights = (self.weights[0], torch.tensor([[2.0, 0, 0, 0], [0, 0, 0, -6.0]]), torch.ones(1, 2))
        biases, ties = (*self.biases[:1], torch.ones(2), torch.ones(1)), [torch.zeros_like(w).int() for w in weights]
        # Norms 5 1 3 5 and 2 6: half of six are 1, 2 and 3.
        pruned = prune_units(weights, biases, 0.5, ties, scope="global")
        assert [each.int().tolist() for each in pruned.kept] == [[1, 0, 0, 1], [0, 1], [1]]
        assert pruned.biases[1].tolist() == [0, 1]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("leading", [(), (3,), (2, 2)])
@pytest.mark.parametrize("sparsity", [0, 0.1, 0.29, 0.5, 0.7, 0.99, 1])
def test_a_layer_loses_what_a_sorted_list_says(sparsity, leading, tied):
    weights, biases, ties = network(SIZES, leading, seed=1, tied=tied)
    pruned = prune_units(weights, biases, sparsity, ties)
    for layer in range(2):
        n_out, n_in = weights[layer].shape[-2:]
        number = int(Fraction(str(sparsity)) * n_out)
        stack = zip(
            *(each[layer].reshape(-1, n_out, n_in) for each in (weights, pruned.weights)),
            *(each.reshape(-1, n_out) for each in (pruned.biases[layer], biases[layer], unit_noise(ties[layer]))),
            pruned.kept[layer].reshape(-1, n_out),
            strict=True,
        )
        for before, after, bias, old_bias, order, kept in stack:
            chosen = smallest_units(before, number, order.tolist())
            assert {i for i, each in enumerate(kept.tolist()) if not each} == chosen
            for unit in range(n_out):
                assert after[unit].tolist() == ([0] * n_in if unit in chosen else before[unit].tolist())
                assert bias[unit].item() == (0 if unit in chosen else old_bias[unit].item())


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_torch_prunes_the_same(sparsity):
    weights, biases, ties = network((30, 40, 20, 3), seed=2)
    pruned = prune_units(weights, biases, sparsity, ties)
    for layer in range(2):
        n_out, n_in = weights[layer].shape
        linear = torch.nn.Linear(n_in, n_out)
        linear.weight.data = weights[layer]
        torch_prune.ln_structured(linear, "weight", amount=int(sparsity * n_out), n=2, dim=0)
        assert torch.equal(linear.weight, pruned.weights[layer])
        assert torch.equal(linear.weight_mask.bool(), pruned.kept[layer][:, None].expand(n_out, n_in))


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_stacked_equals_one_by_one(scope):
    weights, biases, ties = network(SIZES, (4,), seed=3, tied=True)
    stacked = prune_units(weights, biases, torch.tensor([0, 0.3, 0.7, 1]), ties, scope=scope)
    for trial, sparsity in enumerate([0, 0.3, 0.7, 1]):
        one = [[layer[trial] for layer in each] for each in (weights, biases, ties)]
        expected = prune_units(one[0], one[1], sparsity, one[2], scope=scope)
        for ours, theirs in zip(stacked, expected, strict=True):
            assert all(torch.equal(a[trial], b) for a, b in zip(ours, theirs, strict=True))


def test_all_layers_together_lose_what_one_sorted_list_says():
    weights, biases, ties = network(SIZES, seed=4)
    pruned = prune_units(weights, biases, 0.4, ties, scope="global")
    norms = torch.cat([each.square().sum(-1) for each in weights[:2]])
    kept = torch.cat(pruned.kept[:2])
    assert kept.sum().item() == 18 - 7
    assert norms[~kept].max() < norms[kept].min()


def test_ties_are_fair_and_the_count_holds():
    weights = [torch.tensor([[1.0, 2.0], [-2.0, 1.0], [2.0, -1.0]]).expand(6000, 3, 2), torch.ones(6000, 1, 3)]
    biases = [torch.tensor([1.0, 2.0, 3.0]).expand(6000, 3), torch.ones(6000, 1)]
    ties = [noise(tuple(each.shape), Stream(i, Purpose.PRUNE)) for i, each in enumerate(weights)]
    kept = prune_units(weights, biases, 0.5, ties).kept[0]
    assert kept.sum(-1).eq(2).all()
    seen = Counter(map(tuple, kept.tolist()))
    assert len(seen) == 3
    assert stats.chisquare(list(seen.values())).pvalue > 0.001


def test_renumbering_the_units_renumbers_the_result():
    weights, biases, ties = network(SIZES, seed=5, tied=True)
    generator = torch.Generator().manual_seed(5)
    rows, columns = torch.randperm(10, generator=generator), torch.randperm(5, generator=generator)
    renumbered = [[weights[0][rows][:, columns], *weights[1:]], [biases[0][rows], *biases[1:]]]
    other = prune_units(*renumbered, 0.5, [ties[0][rows][:, columns], *ties[1:]])
    assert torch.equal(other.kept[0], prune_units(weights, biases, 0.5, ties).kept[0][rows])


def test_norms_too_small_for_float32_are_told_apart():
    # Their squares are 0 in float32.
    weights = [torch.tensor([[2e-30], [1e-30], [3e-30]]), torch.ones(1, 3)]
    biases, ties = [torch.zeros(3), torch.zeros(1)], [torch.zeros(3, 1).int(), torch.zeros(1, 3).int()]
    assert prune_units(weights, biases, 0.4, ties).kept[0].tolist() == [True, False, True]


def test_unit_noise_is_uniform_over_all_int32():
    each = unit_noise(noise((20_000, 3), Stream(8, Purpose.PRUNE)))
    assert each.dtype is torch.int32 and each.shape == (1, 20_000)
    assert stats.kstest((each.double().flatten() + 2**31) / 2**32, "uniform").pvalue > 0.001
    assert unit_noise(torch.tensor([[2**31 - 1, 1], [-1, 3]]).int()).tolist() == [[-(2**31), 2]]


def test_the_result_is_new_and_the_arguments_are_unchanged():
    given, before = network(SIZES, (2,), seed=6), network(SIZES, (2,), seed=6)
    given[0][0].requires_grad_()
    pruned = prune_units(given[0], given[1], 0.5, given[2])
    for tensor in [*pruned.weights, *pruned.biases]:
        assert not tensor.requires_grad
        tensor.fill_(9)
    for ours, theirs in zip(given, before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
