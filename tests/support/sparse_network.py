"""The arrays that the sparse engine's kernels take, and the same network as dense matrices in float64."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dynsparse.engines.sparse.arrays import BatchResults, Buffers, NetworkArrays

Array = np.ndarray[Any, Any]

LANES = 64
SIZES = (12, 20, 15, 5)
# The k of two hidden layers; 0 means ReLU.
RELU, WINNERS = (0, 0), (6, 4)
# Bits that a kernel should not touch.
UNTOUCHED = 0x5555555555555555


class DenseNetwork:
    """A network as matrices with zeros. `arrays` returns it as the kernels take it."""

    def __init__(self, sizes: tuple[int, ...] = SIZES, density: float = 0.4, seed: int = 0) -> None:
        random = np.random.RandomState(seed)
        self.sizes, self.ends = sizes, np.cumsum(sizes)
        self.masks = [random.rand(n_out, n_in) < density for n_in, n_out in pairwise(sizes)]
        for mask in self.masks:
            # One unit without inputs, and one with all inputs.
            mask[0], mask[1] = False, True
        self.weights = [(random.randn(*mask.shape) * mask).astype(np.float32) for mask in self.masks]
        self.biases = [(0.3 * random.randn(n)).astype(np.float32) for n in sizes[1:]]
        self.unit_boost = random.uniform(0.3, 1, sum(sizes)).astype(np.float32)

    def arrays(self, k: tuple[int, ...]) -> NetworkArrays:
        """Return the network with its weights by source and by target, written with plain loops."""
        n_units, by_source = sum(self.sizes), self.by_source(self.weights)
        connections = [(source, target) for source, target, _ in by_source]
        by_target = sorted(connections, key=lambda each: each[::-1])
        sources, targets = ([each[end] for each in connections] for end in (0, 1))
        return NetworkArrays(
            out_indptr=np.array([sum(each < unit for each in sources) for unit in range(n_units + 1)]),
            targets=np.array(targets, np.uint32),
            weight=np.array([weight for *_, weight in by_source], np.float32),
            in_indptr=np.array([sum(each < unit for each in targets) for unit in range(n_units + 1)]),
            sources=np.array([source for source, _ in by_target], np.uint32),
            index_by_target=np.array([connections.index(each) for each in by_target], np.uint32),
            in_weight=np.full(len(by_source), np.nan, np.float32),
            bias=np.concatenate([np.zeros(self.sizes[0], np.float32), *self.biases]),
            in_bias=np.full(n_units, np.nan, np.float32),
            layer_ends=self.ends,
            k=np.array(k, np.int64),
            unit_boost=self.unit_boost,
        )

    def by_source(self, matrices: list[Array]) -> list[tuple[int, int, float]]:
        """List source unit, target unit and value at each active position, by source."""
        found = []
        for matrix, mask, first, middle in zip(matrices, self.masks, [0, *self.ends], self.ends, strict=False):
            for row, column in zip(*np.nonzero(mask), strict=True):
                found.append((int(first + column), int(middle + row), float(matrix[row, column])))
        return sorted(found)

    def forward(self, inputs: Array, k: tuple[int, ...], parameters: list[Tensor] | None = None) -> list[Tensor]:
        """Compute the activations of all layers in float64. Shapes: inputs and each result (examples, units)."""
        activations = [torch.tensor(inputs, dtype=torch.float64)]
        parameters = self.parameters() if parameters is None else parameters
        weights, biases = parameters[: len(self.weights)], parameters[len(self.weights) :]
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = activations[-1] @ weight.T + bias
            if layer < len(weights) - 1:
                boost = torch.tensor(self.unit_boost[self.ends[layer] : self.ends[layer + 1]])
                won = (x.detach() * boost).argsort(1, descending=True)[:, : k[layer]]
                x = x * torch.zeros_like(x).scatter(1, won, 1.0) if k[layer] else x.relu()
            activations.append(x)
        return activations

    def parameters(self) -> list[Tensor]:
        """Return the weights of all layers, then the biases."""
        return [torch.tensor(each, dtype=torch.float64) for each in (*self.weights, *self.biases)]

    def gradients(self, inputs: Array, labels: Array, k: tuple[int, ...]) -> tuple[Array, Array]:
        """Compute the gradients of the mean loss by autograd, in the order of `arrays`: active weights, and biases."""
        parameters = [each.requires_grad_() for each in self.parameters()]
        loss = F.cross_entropy(self.forward(inputs, k, parameters)[-1], torch.tensor(labels))
        gradients = torch.autograd.grad(loss, parameters)
        weights = [each.numpy() for each in gradients[: len(self.masks)]]
        active = np.array([value for *_, value in self.by_source(weights)])
        return active, np.concatenate([np.zeros(self.sizes[0]), *gradients[len(self.masks) :]])


def new_buffers(n_units: int = sum(SIZES), n_blocks: int = 1) -> Buffers:
    """Return buffers full of values that would be noticed in a result."""
    return Buffers(
        x=np.full((n_blocks, n_units, LANES), np.nan, np.float32),
        nonzero=np.full((n_blocks, n_units), UNTOUCHED, np.uint64),
        dx=np.full((n_blocks, n_units, LANES), np.nan, np.float32),
        boosted=np.full((n_units, LANES), 12345, np.float32),
        passing=np.full((n_blocks, n_units), UNTOUCHED, np.uint64),
        positive=np.full((n_blocks, n_units), UNTOUCHED, np.uint64),
        kept=np.full((n_blocks, n_units), UNTOUCHED, np.uint64),
        normalised=np.full((n_blocks, n_units, LANES), np.nan, np.float32),
        mean=np.full(n_units, np.nan, np.float32),
        variance=np.full(n_units, np.nan, np.float32),
    )


def new_results(network: NetworkArrays, n_blocks: int = 0) -> BatchResults:
    """Return gradients of zero, with the other sums full of values that would be noticed."""
    n_units = len(network.bias)
    return BatchResults(
        weight_gradient=np.zeros(len(network.weight), np.float32),
        bias_gradient=np.zeros(n_units, np.float32),
        gain_gradient=np.zeros(len(network.gain), np.float32),
        shift_gradient=np.zeros(len(network.gain), np.float32),
        n_active=np.full(n_units, np.nan, np.float32),
        activity=np.full((n_units, n_blocks), 7, np.uint64),
    )


def bits(words: Array) -> Array:
    """Return True where a bit is set. Shapes: (...), uint64, to (..., 64)."""
    return (words[..., None] >> np.arange(LANES, dtype=np.uint64)) & np.uint64(1) == 1


def examples(n: int, n_inputs: int = SIZES[0], n_classes: int = SIZES[-1], seed: int = 1) -> tuple[Array, Array]:
    """Draw inputs and labels."""
    random = np.random.RandomState(seed)
    return random.randn(n, n_inputs).astype(np.float32), random.randint(0, n_classes, n)
