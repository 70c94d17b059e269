"""Checks of arguments. Each raises ValueError with what is allowed and what was given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from dynsparse.config.checks import Number

FRACTION = Number(0, 1)


def check_weights(name: str, tensors: Sequence[Tensor], n_leading: int | None = None) -> None:
    """Check that there is at least one layer, each (..., out, in) with the same `n_leading` leading dimensions."""
    if len(tensors) == 0:
        raise ValueError(f"{name} must have at least one layer, got none")
    shapes = [tuple(each.shape) for each in tensors]
    if any(len(shape) < 2 or shape[:-2] != shapes[0][:-2] for shape in shapes):
        raise ValueError(f"{name} must have shapes (..., out, in) with the same leading dimensions, got {shapes}")
    if n_leading is not None and len(shapes[0]) != n_leading + 2:
        raise ValueError(f"{name} must have {n_leading} leading dimensions, got shapes {shapes}")


def check_biases(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> None:
    """Check that there is one bias for each output of each layer."""
    _check_shapes("biases", biases, [each.shape[:-1] for each in weights])


def check_noise(weights: Sequence[Tensor], noise: Sequence[Tensor]) -> None:
    """Check that there is int32 noise for each weight. Floats in [0, 1) would all become 0 and break no ties."""
    check_alike("noise", noise, weights)
    kinds = [each.dtype for each in noise]
    if any(kind is not torch.int32 for kind in kinds):
        raise ValueError(f"noise must be int32, as dynsparse.random.noise gives it, got {kinds}")


def check_masks(name: str, masks: Sequence[Tensor]) -> None:
    """Check that masks have the shapes of weights and are boolean."""
    check_weights(name, masks)
    kinds = [each.dtype for each in masks]
    if any(kind is not torch.bool for kind in kinds):
        raise ValueError(f"{name} must be boolean, got {kinds}")


def check_alike(name: str, tensors: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Check that both lists have as many layers, of the same shapes."""
    _check_shapes(name, tensors, [each.shape for each in others])


def check_chain(weights: Sequence[Tensor]) -> None:
    """Check that each layer has as many inputs as the previous one has outputs."""
    shapes = [tuple(each.shape) for each in weights]
    if any(after[-1] != before[-2] for before, after in pairwise(shapes)):
        raise ValueError(f"weights must have as many inputs as the layer before has outputs, got shapes {shapes}")


def _check_shapes(name: str, tensors: Sequence[Tensor], expected: Sequence[torch.Size]) -> None:
    if len(tensors) != len(expected):
        raise ValueError(f"{name} must have one tensor for each of the {len(expected)} layers, got {len(tensors)}")
    for layer, (tensor, shape) in enumerate(zip(tensors, expected, strict=True)):
        if tensor.shape != shape:
            raise ValueError(f"{name} of layer {layer} must have shape {tuple(shape)}, got {tuple(tensor.shape)}")


def read_fraction(name: str, value: float | Tensor, leading: torch.Size, device: torch.device) -> Tensor:
    """Return the fraction as float64. Shapes: () or `leading`.

    A float32 is rounded to 7 decimals, its precision: 0.29 stays 0.29 and does not become 0.28999999.
    """
    if not isinstance(value, Tensor):
        return torch.tensor(FRACTION.read(name, value), dtype=torch.float64, device=device)
    if value.shape not in ((), leading):
        raise ValueError(f"{name} must be a number or of shape {tuple(leading)}, got shape {tuple(value.shape)}")
    # It tests for allowed values, so that NaN is refused too.
    if not bool(((value >= 0) & (value <= 1)).all()):
        raise ValueError(f"{name} must be {FRACTION}, got {value.tolist()}.")
    fraction = value.detach().to(device, torch.float64)
    return fraction.round(decimals=7) if value.dtype is torch.float32 else fraction


def read_network(
    weights: Sequence[Tensor], biases: Sequence[Tensor], sparsity: float | Tensor, noise: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Check the arguments of a pruning function. Returns: detached weights and biases, and the sparsity as float64."""
    check_weights("weights", weights)
    check_biases(weights, biases)
    check_noise(weights, noise)
    fraction = read_fraction("sparsity", sparsity, weights[0].shape[:-2], weights[0].device)
    return [each.detach() for each in weights], [each.detach() for each in biases], fraction
