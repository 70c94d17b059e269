"""Checks of arguments. Each raises a ValueError that says what is allowed, what was given and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from dynsparse.config.checks import Number

FRACTION = Number(0, 1)


IN_ORDER = "Give one tensor per layer, from input to output."


def check_weights(name: str, tensors: Sequence[Tensor]) -> None:
    """Check that there is at least one layer, each (..., out, in) with the same leading dimensions."""
    if len(tensors) == 0:
        raise ValueError(f"{name} must have at least one layer, got none. {IN_ORDER}")
    shapes = [tuple(each.shape) for each in tensors]
    if any(len(shape) < 2 or shape[:-2] != shapes[0][:-2] for shape in shapes):
        raise ValueError(
            f"{name} must have shapes (..., out, in) with the same leading dimensions, got {shapes}. {IN_ORDER}"
        )


def check_single_network(weights: Sequence[Tensor]) -> None:
    """Check that weights have shapes (out, in), without leading dimensions."""
    check_weights("weights", weights)
    if weights[0].ndim != 2:
        shapes = [tuple(each.shape) for each in weights]
        raise ValueError(f"weights must have shapes (out, in), got {shapes}. Pass one network at a time.")


def check_biases(weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> None:
    """Check that there is one bias for each output of each layer, or None for a layer without."""
    _check_shapes("biases", biases, [each.shape[:-1] for each in weights])


def check_noise(weights: Sequence[Tensor], noise: Sequence[Tensor]) -> None:
    """Check that there is int32 noise for each weight. Floats in [0, 1) would all become 0 and break no ties."""
    check_alike("noise", noise, weights)
    kinds = [each.dtype for each in noise]
    if any(kind is not torch.int32 for kind in kinds):
        raise ValueError(f"noise must be int32, got {kinds}. Draw it with dynsparse.random.noise.")


def check_masks(name: str, masks: Sequence[Tensor]) -> None:
    """Check that masks have the shapes of weights and are boolean."""
    check_weights(name, masks)
    kinds = [each.dtype for each in masks]
    if any(kind is not torch.bool for kind in kinds):
        raise ValueError(f"{name} must be boolean, got {kinds}. Convert them with .bool().")


def check_alike(name: str, tensors: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Check that both lists have the same number of layers with the same shapes."""
    _check_shapes(name, tensors, [each.shape for each in others])


def check_chain(weights: Sequence[Tensor]) -> None:
    """Check that each layer has as many inputs as the previous one has outputs."""
    shapes = [tuple(each.shape) for each in weights]
    if any(after[-1] != before[-2] for before, after in pairwise(shapes)):
        raise ValueError(
            f"weights must have as many inputs as the layer before has outputs, got shapes {shapes}. {IN_ORDER}"
        )


def _check_shapes(name: str, tensors: Sequence[Tensor | None], expected: Sequence[torch.Size]) -> None:
    if len(tensors) != len(expected):
        raise ValueError(f"{name} must have {len(expected)} layers, got {len(tensors)}. {IN_ORDER}")
    for layer, (tensor, shape) in enumerate(zip(tensors, expected, strict=True)):
        if tensor is not None and tensor.shape != shape:
            given = tuple(tensor.shape)
            raise ValueError(f"{name} of layer {layer} must have shape {tuple(shape)}, got {given}. {IN_ORDER}")


def read_fraction(name: str, value: float | Tensor, leading: torch.Size, device: torch.device) -> Tensor:
    """Return the fraction as float64. Shapes: () or `leading`.

    A float32 is rounded to 7 decimals, its precision, so that 0.29 does not become 0.28999999.
    """
    if not isinstance(value, Tensor):
        return torch.tensor(FRACTION.read(name, value), dtype=torch.float64, device=device)
    if value.shape not in ((), leading):
        given = tuple(value.shape)
        raise ValueError(
            f"{name} must be a number or have shape {tuple(leading)}, got shape {given}. Give one value per network."
        )
    # The test is for allowed values, so that NaN is refused too.
    if not bool(((value >= 0) & (value <= 1)).all()):
        raise ValueError(f"{name} must be {FRACTION}, got {value.tolist()}.")
    fraction = value.detach().to(device, torch.float64)
    return fraction.round(decimals=7) if value.dtype is torch.float32 else fraction


def read_network(
    weights: Sequence[Tensor], biases: Sequence[Tensor], sparsity: float | Tensor, noise: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Check the arguments of a pruning function, and return detached weights and biases and the float64 sparsity."""
    check_weights("weights", weights)
    check_biases(weights, biases)
    check_noise(weights, noise)
    fraction = read_fraction("sparsity", sparsity, weights[0].shape[:-2], weights[0].device)
    return [each.detach() for each in weights], [each.detach() for each in biases], fraction
