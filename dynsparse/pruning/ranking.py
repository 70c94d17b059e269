"""Select the int(fraction * n) smallest entries, in each layer or over all layers together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dynsparse.config.checks import Choice
from dynsparse.ops import masks

# A choice of positions in all layers: scores, fraction and noise to masks.
Smallest = Callable[[Sequence[Tensor], Tensor, Sequence[Tensor]], list[Tensor]]


def rounded_down(fraction: Tensor, number: int) -> Tensor:
    """Return int(fraction * number) without rounding errors: 29 for 0.29 of 100, where int(0.29 * 100) is 28.

    It computes int(fraction * number * (1 + 1e-12)). The factor exceeds the rounding errors of float64, about 1e-15,
    and is too small to add a weight: no layer has 1e12 of them.

    Shapes: fraction float64 (...), and so is the result, int64.
    """
    return (fraction * number * (1 + 1e-12)).floor().long()


def per_layer(scores: Sequence[Tensor], fraction: Tensor, noise: Sequence[Tensor]) -> list[Tensor]:
    """Select, in each layer, the int(fraction * n) of its n positions that have the lowest scores.

    Shapes: scores, noise and the results (..., rows, columns); fraction (...).
    """
    return [
        masks.lowest(score, rounded_down(fraction, score.shape[-2:].numel()), each)
        for score, each in zip(scores, noise, strict=True)
    ]


def over_all_layers(scores: Sequence[Tensor], fraction: Tensor, noise: Sequence[Tensor]) -> list[Tensor]:
    """Select like `per_layer`, but rank all layers together: a layer may lose none or all of its positions."""
    if not scores:
        return []
    joined = per_layer([_row(scores)], fraction, [_row(noise)])[0].squeeze(-2)
    parts = joined.split([score.shape[-2:].numel() for score in scores], -1)
    return [part.reshape(score.shape) for part, score in zip(parts, scores, strict=True)]


def _row(layers: Sequence[Tensor]) -> Tensor:
    """Concatenate all layers. Shapes: each (..., rows, columns); the result (..., 1, positions)."""
    return torch.cat([each.flatten(-2) for each in layers], -1).unsqueeze(-2)


# The positions that are ranked together.
SCOPES: dict[str, Smallest] = {"layer": per_layer, "global": over_all_layers}


def read_scope(scope: str) -> Smallest:
    """Return the function of a scope. Raises: ValueError that lists SCOPES."""
    return SCOPES[Choice(SCOPES).read("scope", scope)]


def unit_noise(noise: Tensor) -> Tensor:
    """Return noise for each output unit: the sum over its inputs, modulo 2**32, in which every bit is random too.

    All inputs take part, so that renumbering them changes nothing. Shapes: (..., out, in) to (..., 1, out), int32.
    """
    return noise.sum(-1, dtype=torch.int64).to(torch.int32).unsqueeze(-2)
