"""Which entries are smallest: int(fraction * n) in each layer, or over all layers together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dynsparse.config.checks import Choice
from dynsparse.ops import masks

# A choice of positions in all layers: scores, fraction and noise to masks.
Smallest = Callable[[Sequence[Tensor], Tensor, Sequence[Tensor]], list[Tensor]]


def rounded_down(fraction: Tensor, number: int) -> Tensor:
    """int(fraction * number), what float64 lost given back: 0.29 of 100 is 29, where int(0.29 * 100) is 28.

    The blog that these prunings follow takes int() of a share, not the nearest number. The rule is
    int(fraction * number * (1 + 1e-12)): the product is off by some 1e-16 of itself, 1 - 0.999 by 1e-15, and no
    layer has so many weights that 1e-12 of them would count.

    Shapes: fraction float64 (...), and so is the result, int64.
    """
    return (fraction * number * (1 + 1e-12)).floor().long()


def per_layer(scores: Sequence[Tensor], fraction: Tensor, noise: Sequence[Tensor]) -> list[Tensor]:
    """In each layer, True at the int(fraction * n) of its n positions that have the lowest scores.

    Shapes: scores, noise and the results (..., rows, columns); fraction (...).
    """
    return [
        masks.lowest(score, rounded_down(fraction, score.shape[-2:].numel()), each)
        for score, each in zip(scores, noise, strict=True)
    ]


def over_all_layers(scores: Sequence[Tensor], fraction: Tensor, noise: Sequence[Tensor]) -> list[Tensor]:
    """As `per_layer`, with the positions of all layers in one ranking: a layer may lose none, or all."""
    if not scores:
        return []
    joined = per_layer([_row(scores)], fraction, [_row(noise)])[0].squeeze(-2)
    parts = joined.split([score.shape[-2:].numel() for score in scores], -1)
    return [part.reshape(score.shape) for part, score in zip(parts, scores, strict=True)]


def _row(layers: Sequence[Tensor]) -> Tensor:
    """All layers in one row. Shapes: each (..., rows, columns); the result (..., 1, positions)."""
    return torch.cat([each.flatten(-2) for each in layers], -1).unsqueeze(-2)


# How far a ranking reaches.
SCOPES: dict[str, Smallest] = {"layer": per_layer, "global": over_all_layers}


def read_scope(scope: str) -> Smallest:
    """The row of SCOPES. Raises: ValueError that lists them."""
    return SCOPES[Choice(SCOPES).read("scope", scope)]


def unit_noise(noise: Tensor) -> Tensor:
    """Noise for each output unit: the sum over its inputs, modulo 2**32, which has every bit random as well.

    All inputs take part, so that renumbering them changes nothing. Shapes: (..., out, in) to (..., 1, out), int32.
    """
    return noise.sum(-1, dtype=torch.int64).to(torch.int32).unsqueeze(-2)
