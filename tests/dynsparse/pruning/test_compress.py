"""Compression: by hand, and against the forward pass of a torch.nn.Sequential."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from dynsparse.pruning import compress, prune_units, prune_weights
from dynsparse.random import Purpose, Stream, noise

# nn.Linear warns that there is nothing to initialise in a layer of width 0; the layers here are filled afterwards.
pytestmark = pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")


def network(sizes, seed=0):
    """Weights, biases and noise; the outputs are of the order of 1."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(n_out, n_in) for n_in, n_out in pairwise(sizes)]
    return (
        [torch.randn(*shape, generator=generator) * (2 / shape[1]) ** 0.5 for shape in shapes],
        [torch.randn(n_out, generator=generator) for n_out, _ in shapes],
        [noise(each, Stream(seed, Purpose.PRUNE, layer=i)) for i, each in enumerate(shapes)],
    )


def outputs(weights, biases, x):
    """Return the outputs of torch's own layers."""
    parts = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data, linear.bias.data = weight, bias
        parts += [linear, nn.ReLU()]
    with torch.no_grad():
        return nn.Sequential(*parts[:-1])(x)


def inputs(n, seed=0):
    return torch.rand(64, n, generator=torch.Generator().manual_seed(seed))


def widths(weights):
    return [each.shape[0] for each in weights]


def n_parameters(weights, biases):
    return sum(each.numel() for each in [*weights, *biases])


class TestByHand:
    def test_an_empty_unit_is_dropped_and_a_constant_one_folded(self):
        weights = [torch.tensor([[1.0, 2.0], [0, 0], [0, 0], [0, 0]]), torch.tensor([[5.0, 7, 11, 13], [1, 0, 2, 4]])]
        biases = [torch.tensor([0.5, 0, 3, -3]), torch.tensor([100.0, 200])]
        smaller, shifts = compress(weights, biases)
        assert [each.tolist() for each in smaller] == [[[1, 2]], [[5], [1]]]
        # The third unit always gives 3, of which the outputs take 11 * 3 and 2 * 3; the fourth gives relu(-3) = 0.
        assert [each.tolist() for each in shifts] == [[0.5], [133, 206]]

    def test_a_unit_that_reads_only_constants_follows(self):
        weights = [torch.tensor([[1.0], [0]]), torch.tensor([[0.0, 2], [1, 0]]), torch.tensor([[10.0, 1]])]
        biases = [torch.tensor([0.0, 3]), torch.tensor([-1.0, 0]), torch.tensor([0.0])]
        smaller, shifts = compress(weights, biases)
        # The first unit of the second layer gives relu(2 * 3 - 1) = 5, of which the output takes 50.
        assert [each.tolist() for each in smaller] == [[[1]], [[1]], [[1]]]
        assert [each.tolist() for each in shifts] == [[0], [0], [50]]

    def test_units_that_nobody_reads_are_dropped_backwards(self):
        weights = [torch.tensor([[1.0], [2]]), torch.tensor([[3.0, 0], [0, 4]]), torch.tensor([[0.0, 5]])]
        biases = [torch.tensor([0.0, 1]), torch.tensor([2.0, 3]), torch.tensor([4.0])]
        smaller, shifts = compress(weights, biases)
        assert [each.tolist() for each in smaller] == [[[2]], [[4]], [[5]]]
        assert [each.tolist() for each in shifts] == [[1], [3], [4]]

    def test_an_emptied_layer_leaves_the_constant_outputs(self):
        weights = [torch.tensor([[1.0]]), torch.tensor([[0.0], [0]]), torch.tensor([[1.0, 2], [3, 4], [5, 6]])]
        biases = [torch.tensor([1.0]), torch.tensor([2.0, 0]), torch.tensor([0.0, 1, 2])]
        smaller, shifts = compress(weights, biases)
        assert [tuple(each.shape) for each in smaller] == [(0, 1), (0, 0), (3, 0)]
        assert shifts[-1].tolist() == [2, 7, 12]
        x = torch.tensor([[0.0], [1.0]])
        assert outputs(smaller, shifts, x).tolist() == outputs(weights, biases, x).tolist() == [[2, 7, 12]] * 2

    def test_outputs_without_weights_stay(self):
        weights, biases = [torch.tensor([[1.0]]), torch.tensor([[2.0], [0]])], [torch.zeros(1), torch.tensor([0.0, 7])]
        smaller, shifts = compress(weights, biases)
        assert smaller[1].tolist() == [[2], [0]] and shifts[1].tolist() == [0, 7]

    def test_inputs_that_are_not_read_stay(self):
        weights, biases = [torch.tensor([[1.0, 0]]), torch.tensor([[2.0]])], [torch.zeros(1), torch.zeros(1)]
        assert compress(weights, biases)[0][0].tolist() == [[1, 0]]

    def test_one_layer_is_left_as_it_is(self):
        smaller, shifts = compress([torch.zeros(2, 3)], [torch.tensor([0.0, 1])])
        assert smaller[0].shape == (2, 3) and shifts[0].tolist() == [0, 1]


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("sparsity", [0, 0.25, 0.5, 0.8, 0.9, 1])
@pytest.mark.parametrize("sizes", [(12, 20, 5), (12, 20, 30, 10, 5), (12, 5)])
def test_unit_pruned_networks_keep_their_outputs(sizes, sparsity, scope):
    weights, biases, ties = network(sizes, seed=1)
    pruned = prune_units(weights, biases, sparsity, ties, scope=scope)
    smaller, shifts = compress(pruned.weights, pruned.biases)
    x = inputs(12)
    torch.testing.assert_close(
        outputs(smaller, shifts, x), outputs(pruned.weights, pruned.biases, x), atol=1e-5, rtol=1e-5
    )
    n_kept = [each.sum().item() for each in pruned.kept]
    assert widths(smaller) == (n_kept if all(n_kept) else [0] * (len(sizes) - 2) + [5])


@pytest.mark.parametrize("biases_too", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_weight_pruned_networks_keep_their_outputs(seed, biases_too):
    sizes = (12, 20, 30, 10, 5)
    weights, biases, ties = network(sizes, seed)
    pruned = prune_weights(weights, biases, 0.93, ties, biases_too=biases_too, last_layer=True)
    smaller, shifts = compress(pruned.weights, pruned.biases)
    assert all(after < before for after, before in zip(widths(smaller)[:-1], sizes[1:-1], strict=True))
    x = inputs(12, seed)
    expected = outputs(pruned.weights, pruned.biases, x)
    torch.testing.assert_close(outputs(smaller, shifts, x), expected, atol=1e-5, rtol=1e-5)
    # Nothing is left to take away.
    again = compress(smaller, shifts)
    assert all(torch.equal(a, b) for a, b in zip(again[0] + again[1], smaller + shifts, strict=True))


def test_the_blogs_network():
    weights, biases, ties = network((784, 1000, 1000, 500, 200, 10), seed=2)
    assert n_parameters(weights, biases) == 2_388_710
    # Made up for the units that will be missing, or the outputs would hardly depend on the inputs.
    weights = [weights[0], *(each * 20**0.5 for each in weights[1:])]
    pruned = prune_units(weights, biases, 0.95, ties)
    smaller, shifts = compress(pruned.weights, pruned.biases)
    assert widths(smaller) == [50, 50, 25, 10, 10]
    assert n_parameters(smaller, shifts) == 43_445
    x = inputs(784)
    expected = outputs(pruned.weights, pruned.biases, x)
    assert expected.std(0).min() > 0.1
    torch.testing.assert_close(outputs(smaller, shifts, x), expected, atol=1e-5, rtol=1e-5)


def test_the_result_is_new_and_the_arguments_are_unchanged():
    given, before = network((4, 3, 2), seed=3), network((4, 3, 2), seed=3)
    given[0][0].requires_grad_()
    smaller, shifts = compress(given[0], given[1])
    for tensor in smaller + shifts:
        assert not tensor.requires_grad
        tensor.fill_(9)
    for ours, theirs in zip(given, before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kind_of_numbers_stays(dtype):
    weights, biases, _ = network((4, 3, 2), seed=4)
    weights[0][1] = 0
    smaller, shifts = compress([each.to(dtype) for each in weights], [each.to(dtype) for each in biases])
    assert {each.dtype for each in smaller + shifts} == {dtype}
