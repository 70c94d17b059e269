"""The sparse engine's kernels, each beside formulas of its own in numpy's float64 or in torch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dynsparse.nn.functional import updated_duty

kernels = pytest.importorskip("dynsparse.engines.sparse.kernels")

LANES = 64
SIZES = (12, 20, 15, 5)
# For two hidden layers.
RELU, WINNERS = (0, 0), (6, 4)

Array = np.ndarray[Any, Any]


class Network:
    """A network as matrices with zeros, and as the lists that the kernels take."""

    def __init__(self, sizes: tuple[int, ...] = SIZES, density: float = 0.4, seed: int = 0) -> None:
        random = np.random.RandomState(seed)
        self.sizes, self.ends = sizes, np.cumsum(sizes)
        self.masks = [random.rand(n_out, n_in) < density for n_in, n_out in pairwise(sizes)]
        for mask in self.masks:
            # A unit without inputs, and one with all of them.
            mask[0], mask[1] = False, True
        self.weights = [(random.randn(*mask.shape) * mask).astype(np.float32) for mask in self.masks]
        self.biases = [(0.3 * random.randn(n)).astype(np.float32) for n in sizes[1:]]
        self.factor = random.uniform(0.3, 1, sum(sizes)).astype(np.float32)
        start, source, weight = [0] * (sizes[0] + 1), [], []
        for layer, before in enumerate([0, *self.ends[:-2]]):
            for row, mask in zip(self.weights[layer], self.masks[layer], strict=True):
                for i in np.flatnonzero(mask):
                    source.append(before + i)
                    weight.append(row[i])
                start.append(len(source))
        self.start, self.source = np.array(start), np.array(source, np.uint32)
        self.weight = np.array(weight, np.float32)
        self.bias = np.concatenate([np.zeros(sizes[0], np.float32), *self.biases])

    def lists(self, k: tuple[int, ...]) -> tuple[Any, ...]:
        return self.start, self.source, self.weight, self.bias, self.ends, np.array(k, np.int64), self.factor

    def forward(self, inputs: Array, k: tuple[int, ...], parameters: list[Tensor] | None = None) -> list[Tensor]:
        """Activations of all layers in float64, from matrices. Shapes: inputs and each result (examples, units)."""
        activations = [torch.tensor(inputs, dtype=torch.float64)]
        parameters = self.parameters() if parameters is None else parameters
        weights, biases = parameters[: len(self.weights)], parameters[len(self.weights) :]
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = activations[-1] @ weight.T + bias
            if layer < len(weights) - 1:
                factor = torch.tensor(self.factor[self.ends[layer] : self.ends[layer + 1]])
                won = (x.detach() * factor).argsort(1, descending=True)[:, : k[layer]]
                x = x * torch.zeros_like(x).scatter(1, won, 1.0) if k[layer] else x.relu()
            activations.append(x)
        return activations

    def parameters(self) -> list[Tensor]:
        return [torch.tensor(each, dtype=torch.float64) for each in (*self.weights, *self.biases)]

    def gradients(self, inputs: Array, target: Array, k: tuple[int, ...]) -> tuple[Array, Array]:
        """Of the mean loss, in the order of the lists: of active weights, and of biases."""
        parameters = [each.requires_grad_() for each in self.parameters()]
        loss = F.cross_entropy(self.forward(inputs, k, parameters)[-1], torch.tensor(target))
        every = torch.autograd.grad(loss, parameters)
        active = [each.numpy()[mask] for each, mask in zip(every, self.masks, strict=False)]
        return np.concatenate(active), np.concatenate([np.zeros(self.sizes[0]), *every[len(self.masks) :]])


class Scratch:
    """What the kernels write to, full of what nobody wants to see again."""

    def __init__(self, n_units: int = sum(SIZES), n_blocks: int = 1) -> None:
        self.x = np.full((n_blocks, n_units, LANES), np.nan, np.float32)
        self.d = np.full((n_blocks, n_units, LANES), np.nan, np.float32)
        self.scaled = np.full((n_units, LANES), 12345, np.float32)
        self.passes = np.full(n_units, 0x5555555555555555, np.uint64)


def bits(words: Array) -> Array:
    """True where a bit is set. Shapes: (...), uint64, to (..., 64)."""
    return (words[..., None] >> np.arange(LANES, dtype=np.uint64)) & np.uint64(1) == 1


def examples(n: int, n_inputs: int = SIZES[0], n_classes: int = SIZES[-1], seed: int = 1) -> tuple[Array, Array]:
    random = np.random.RandomState(seed)
    return random.randn(n, n_inputs).astype(np.float32), random.randint(0, n_classes, n)


def in_blocks(inputs: Array, scratch: Scratch) -> None:
    for block, x in enumerate(scratch.x):
        part = inputs[block * LANES : (block + 1) * LANES]
        x[: inputs.shape[1]] = 0
        x[: inputs.shape[1], : len(part)] = part.T


# Inputs


@pytest.mark.parametrize("width", [64, 65, 100, 128, 300])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_turning_puts_each_normalised_pixel_in_the_row_of_its_unit(width: int, dtype: type) -> None:
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (500, width)).astype(dtype)
    chosen = random.permutation(500)[: 2 * LANES + 37]
    x = Scratch(width + 9, n_blocks=3).x
    kernels.turn(images, chosen, np.float32(33.3), np.float32(0.0127), x)
    expected = (images[chosen].astype(np.float64) - np.float32(33.3)) * np.float32(0.0127)
    for block, first in enumerate(range(0, len(chosen), LANES)):
        part = expected[first : first + LANES]
        np.testing.assert_allclose(x[block, :width, : len(part)], part.T, rtol=3e-7)
    assert np.isfinite(x[2, :width, 37:]).all(), "an example that is not there must not become NaN in a sum"
    assert np.isnan(x[:, width:]).all(), "units that are no inputs are left alone"


# Forward


@pytest.mark.parametrize("k", [RELU, WINNERS, (0, 3), (20, 1)], ids=str)
def test_forward_is_that_of_matrices_with_zeros(k: tuple[int, ...]) -> None:
    network, scratch = Network(), Scratch()
    inputs, _ = examples(LANES)
    in_blocks(inputs, scratch)
    kernels.forward(*network.lists(k), scratch.x[0], scratch.scaled, scratch.passes, 0)
    activations = network.forward(inputs, k)
    np.testing.assert_allclose(scratch.x[0].T, torch.cat(activations, 1), rtol=1e-5, atol=2e-6)
    passes = bits(scratch.passes)
    for layer, (first, last) in enumerate(pairwise(network.ends[:-1])):
        np.testing.assert_array_equal(passes[first:last].T, activations[layer + 1] != 0)
        if k[layer]:
            assert (passes[first:last].sum(0) == k[layer]).all()
        else:
            assert 0.2 < passes[first:last].mean() < 0.8


def test_a_network_without_hidden_layers_is_one_matrix() -> None:
    network, scratch = Network((12, 5)), Scratch(17)
    inputs, _ = examples(LANES)
    in_blocks(inputs, scratch)
    kernels.forward(*network.lists(()), scratch.x[0], scratch.scaled, scratch.passes, 0)
    np.testing.assert_allclose(scratch.x[0][12:].T, network.forward(inputs, ())[-1], rtol=1e-5, atol=1e-6)
    assert (scratch.passes == 0x5555555555555555).all()


# Winners


def winners(x: Array, k: int, factor: Array | None = None, turn: int = 0) -> Array:
    """Which of the units, of which there are others before and behind, pass. Shapes: x (units, 64)."""
    n_units, before, behind = len(x), 3, 2
    others = np.full((1, LANES), np.inf, np.float32)
    x = np.concatenate([*[others] * before, x, *[others] * behind]).astype(np.float32)
    factors = np.ones(len(x), np.float32)
    factors[before : before + n_units] = 1 if factor is None else factor
    scratch, unchanged = Scratch(len(x)), x.copy()
    kernels.choose_winners(x, before, before + n_units, k, factors, scratch.scaled, scratch.passes, turn)
    np.testing.assert_array_equal(x, unchanged)
    outside = np.r_[scratch.passes[:before], scratch.passes[before + n_units :]]
    assert (outside == 0x5555555555555555).all()
    return bits(scratch.passes[before : before + n_units])


def largest(x: Array, k: int) -> Array:
    """The k largest of each column, of distinct numbers."""
    expected = np.zeros(x.shape, bool)
    np.put_along_axis(expected, np.argsort(x, axis=0)[len(x) - k :], True, axis=0)
    return expected


@pytest.mark.parametrize("n_units", [1, 2, 37, 300])
def test_the_units_with_the_largest_products_win(n_units: int) -> None:
    random = np.random.RandomState(n_units)
    x = random.randn(n_units, LANES).astype(np.float32)
    factor = random.uniform(0.2, 1, n_units).astype(np.float32)
    product = x * factor[:, None]
    assert all(len(np.unique(column)) == n_units for column in product.T), "only distinct numbers have one order"
    for k in sorted({1, min(2, n_units), (n_units + 1) // 3 or 1, max(n_units - 1, 1), n_units}):
        np.testing.assert_array_equal(winners(x, k, factor), largest(product, k))


def test_the_order_holds_for_all_numbers_that_a_float_can_be() -> None:
    positive = np.array(
        [np.inf, 3.4e38, 1e38, 1e20, 1.0000001, 1, 0.99999994, 1e-20, 2e-38, 1e-38, 1e-40, 3e-45, 1e-45]
    )
    pool = np.concatenate([positive, -positive, [0.0]]).astype(np.float32)
    assert len(np.unique(pool)) == len(pool), "denormal numbers are told apart, too"
    random = np.random.RandomState(0)
    x = np.stack([random.permutation(pool) for _ in range(LANES)], axis=1)
    for k in range(1, len(pool) + 1):
        np.testing.assert_array_equal(winners(x, k), largest(x, k))


def test_where_numbers_are_equal_exactly_k_win_and_none_that_is_smaller_than_a_loser() -> None:
    random = np.random.RandomState(0)
    x = random.choice([-2.5, -1, 0, 1, 1e-40, 7], (23, LANES)).astype(np.float32)
    for k in range(1, 24):
        chosen = [winners(x, k, turn=turn) for turn in range(0, 60, 7)]
        for won in chosen:
            assert (won.sum(0) == k).all()
            assert (np.where(won, x, np.inf).min(0) >= np.where(won, -np.inf, x).max(0)).all()
        assert k == 23 or any((won != chosen[0]).any() for won in chosen), "and not always the same"


@pytest.mark.parametrize("k", [1, 5, 12])
def test_where_all_units_are_equal_each_wins_equally_often(k: int) -> None:
    n_turns = 13 * 4
    wins = sum(winners(np.full((13, LANES), -0.7), k, turn=turn) for turn in range(1, n_turns + 1))
    assert (wins == k * n_turns // 13).all()


def test_where_some_units_are_equal_each_of_them_wins_about_equally_often() -> None:
    x = np.zeros((20, LANES))
    x[4:7] = 1
    wins = np.mean([winners(x, 1, turn=turn)[4:7, 0] for turn in range(1, 601)], axis=0)
    assert wins.sum() == pytest.approx(1)
    assert (np.abs(wins - 1 / 3) < 0.15).all()


def test_among_nan_exactly_k_win_as_well() -> None:
    random = np.random.RandomState(0)
    x = random.choice([np.nan, -np.nan, np.inf, -np.inf, 1.0, 2.0], (17, LANES)).astype(np.float32)
    for k in (1, 4, 16, 17):
        for turn in (0, 5, 1000):
            assert (winners(x, k, turn=turn).sum(0) == k).all()
            assert (winners(np.full_like(x, np.nan), k, turn=turn).sum(0) == k).all()


# Loss and gradients


@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0, 1e6, 1e30])
@pytest.mark.parametrize(("n", "n_batch"), [(64, 64), (64, 150), (22, 150), (1, 1)])
def test_loss_and_its_gradient_are_those_of_torch_also_for_huge_logits(scale: float, n: int, n_batch: int) -> None:
    (x,), (d,) = Scratch(9).x, Scratch(9).d
    logits, target = examples(LANES, n_inputs=6, n_classes=6)
    logits *= np.float32(scale)
    x[2:8] = logits.T
    loss, n_right = kernels.loss_and_gradient(x, d, 2, 8, target[:n], n, n_batch)
    theirs = torch.tensor(logits[:n], dtype=torch.float64, requires_grad=True)
    expected = F.cross_entropy(theirs, torch.tensor(target[:n]), reduction="sum")
    (gradient,) = torch.autograd.grad(expected / n_batch, theirs)
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    assert n_right == (logits[:n].argmax(1) == target[:n]).sum()
    np.testing.assert_allclose(d[2:8, :n].T, gradient, rtol=1e-5, atol=1e-7 / n_batch)
    assert (d[2:8, n:] == 0).all()
    assert np.isnan(d[[0, 1, 8]]).all()


@pytest.mark.parametrize("n", [64, 40])
@pytest.mark.parametrize("k", [RELU, WINNERS], ids=["relu", "k-winners"])
def test_backward_adds_the_gradients_of_active_weights_and_biases(k: tuple[int, ...], n: int) -> None:
    network, scratch = Network(), Scratch()
    inputs, target = examples(n)
    in_blocks(inputs, scratch)
    (x,), (d,) = scratch.x, scratch.d
    kernels.forward(*network.lists(k), x, scratch.scaled, scratch.passes, 0)
    weight_gradient, bias_gradient = np.zeros(len(network.weight), np.float32), np.zeros(sum(SIZES), np.float32)
    for times in (1, 2):
        kernels.loss_and_gradient(x, d, *network.ends[-2:], target, n, n)
        kernels.backward(
            network.start, network.source, network.weight, network.ends, x, d, scratch.passes,
            weight_gradient, bias_gradient,
        )  # fmt: skip
        of_weights, of_biases = network.gradients(inputs, target, k)
        np.testing.assert_allclose(weight_gradient, times * of_weights, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(bias_gradient, times * of_biases, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("k", [RELU, WINNERS], ids=["relu", "k-winners"])
def test_a_batch_of_several_blocks_is_one_batch(k: tuple[int, ...]) -> None:
    network, scratch = Network(), Scratch(n_blocks=3)
    inputs, target = examples(150)
    in_blocks(inputs, scratch)
    weight_gradient, bias_gradient = np.zeros(len(network.weight), np.float32), np.zeros(sum(SIZES), np.float32)
    n_active, activity = np.full(sum(SIZES), np.nan, np.float32), np.full((sum(SIZES), 8), 7, np.uint64)
    loss, n_right = kernels.train_blocks(
        *network.lists(k), 1, scratch.x, scratch.d, scratch.scaled, scratch.passes, target, 150,
        weight_gradient, bias_gradient, n_active, activity, 5,
    )  # fmt: skip
    activations = network.forward(inputs, k)
    logits, classes = activations[-1], torch.tensor(target)
    assert loss == pytest.approx(F.cross_entropy(logits, classes, reduction="sum").item(), rel=1e-6)
    assert n_right == (logits.argmax(1) == classes).sum()
    of_weights, of_biases = network.gradients(inputs, target, k)
    np.testing.assert_allclose(weight_gradient, of_weights, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(bias_gradient, of_biases, rtol=1e-5, atol=1e-7)
    # Units that are no hidden ones count nothing; nor do the 42 lanes of the last block that have no example.
    counts = np.concatenate([np.zeros(12), *((each > 0).sum(0) for each in activations[1:-1]), np.zeros(5)])
    np.testing.assert_array_equal(n_active, counts)
    active = np.concatenate([(each > 0).T for each in activations])
    np.testing.assert_array_equal(bits(activity[:, 5:]).reshape(len(active), -1)[:, :150], active)
    assert (bits(activity[:, 7])[:, 22:] == 0).all()
    assert (activity[:, :5] == 7).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("k", [RELU, WINNERS], ids=["relu", "k-winners"])
@pytest.mark.parametrize("n", [150, 128, 3])
def test_a_test_counts_every_image_once_whatever_their_number(n: int, k: tuple[int, ...], dtype: type) -> None:
    network, scratch = Network((70, *SIZES[1:])), Scratch(70 + sum(SIZES[1:]))
    images, target = examples(n, n_inputs=70)
    images = np.clip(100 + 50 * images, 0, 255).astype(dtype)
    mean, scale = np.float32(99.5), np.float32(1 / 60.25)
    # Images as they come from a file that is mapped into memory, and noisy ones.
    images.flags.writeable = dtype is np.float32
    loss, n_right = kernels.test_all(
        *network.lists(k), images, mean, scale, target, scratch.x, scratch.d, scratch.scaled, scratch.passes
    )
    logits, classes = network.forward((images.astype(np.float64) - mean) * scale, k)[-1], torch.tensor(target)
    assert loss == pytest.approx(F.cross_entropy(logits, classes, reduction="sum").item(), rel=1e-6)
    assert n_right == (logits.argmax(1) == classes).sum()


# Activity


def test_duty_cycles_are_those_of_the_torch_engine_and_factors_what_they_say() -> None:
    random = np.random.RandomState(0)
    duty, factor = np.zeros(40, np.float32), np.ones(40, np.float32)
    theirs, n_seen, period, boost = torch.zeros(1, 40), 0, 250, 1.7
    # A batch longer than the period comes as well.
    for n_batch in (100, 100, 37, 300, 100, 1):
        n_seen += n_batch
        out = torch.tensor(random.randn(1, n_batch, 40)).relu()
        theirs = updated_duty(theirs, out, period, n_seen)
        n_active = (out[0] > 0).sum(0).numpy().astype(np.float32)
        kernels.update_duty(duty, n_active, n_batch, max(min(period, n_seen), n_batch), boost, factor, 0, 40)
        np.testing.assert_allclose(duty, theirs[0], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(factor, np.exp(-boost * theirs[0].double().numpy()), rtol=1e-6)
    assert len(np.unique(duty)) > 20


@pytest.mark.parametrize("n", [1, 63, 64])
def test_a_bit_is_kept_for_each_example_for_which_a_unit_is_positive(n: int) -> None:
    numbers = [-np.inf, -1, -1e-45, -0.0, 0.0, 1e-45, 1, np.inf, np.nan]
    x = np.random.RandomState(0).choice(numbers, (30, LANES)).astype(np.float32)
    activity = np.full((30, 8), 7, np.uint64)
    kernels.keep_activity(x, n, activity, 5)
    np.testing.assert_array_equal(bits(activity[:, 5]), (x > 0) & (np.arange(LANES) < n))
    assert (np.delete(activity, 5, axis=1) == 7).all()


@pytest.mark.parametrize("n_words", [8, 64, 200])
@pytest.mark.parametrize("last", [13, 20, 139, 140])
@pytest.mark.parametrize("middle", [11, 12])
def test_coactivation_counts_the_examples_that_two_units_have_in_common(middle: int, last: int, n_words: int) -> None:
    random = np.random.RandomState(n_words)
    activity = random.randint(0, 2**64, (last + 1, n_words), np.uint64)
    # Of some units all bits are set, and of some none.
    activity[[3, last - 1]], activity[[4, 12]] = ~np.uint64(0), 0
    total = np.full((last - middle, middle - 2), np.nan, np.float32)
    kernels.count_coactivations(activity, 2, middle, last, total)
    active = bits(activity).reshape(len(activity), -1).astype(np.float64)
    np.testing.assert_array_equal(total, active[middle:last] @ active[2:middle].T)


# Optimisers


def sgd_of(rate: float, decay: float) -> tuple[Callable[..., None], torch.optim.Optimizer, Tensor]:
    theirs = start()
    velocity = np.zeros(1000, np.float32)

    def step(parameter: Array, gradient: Array, t: int) -> None:
        kernels.sgd(parameter, gradient, velocity, np.float32(rate), np.float32(0.9), np.float32(decay))

    return step, torch.optim.SGD([theirs], rate, 0.9, weight_decay=decay), theirs


def adam_of(rate: float, decay: float) -> tuple[Callable[..., None], torch.optim.Optimizer, Tensor]:
    theirs = start()
    mean, square = np.zeros(1000, np.float32), np.zeros(1000, np.float32)

    def step(parameter: Array, gradient: Array, t: int) -> None:
        corrections = np.float32(1 - 0.9**t), np.float32(1 - 0.999**t)
        kernels.adam(parameter, gradient, mean, square, np.float32(rate), np.float32(decay), *corrections)

    return step, torch.optim.Adam([theirs], rate, weight_decay=decay), theirs


def start() -> Tensor:
    return torch.tensor(np.random.RandomState(0).randn(1000), requires_grad=True)


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("make", [sgd_of, adam_of])
def test_steps_are_those_of_torchs_optimisers_and_leave_no_gradient(make: Any, decay: float) -> None:
    step, optimizer, theirs = make(0.03, decay)
    parameter = theirs.detach().numpy().astype(np.float32)
    random = np.random.RandomState(1)
    for t in range(1, 9):
        # From tiny to large.
        gradient = (random.randn(1000) * 10.0 ** random.uniform(-4, 1, 1000)).astype(np.float32)
        theirs.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        step(parameter, gradient, t)
        np.testing.assert_allclose(parameter, theirs.detach(), rtol=1e-5, atol=1e-6)
        assert (gradient == 0).all()
