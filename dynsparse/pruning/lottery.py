"""Lottery tickets: prune some weights, rewind the others, and train again, in one or several rounds.

One round, from trained weights to the weights with which the next training starts:

    fraction = round_fraction(total, rounds)
    masks = next_masks(masks, [weight.abs() for weight in trained], fraction, noise)
    weights = rewound(initial, masks)

Biases are not pruned. When rewinding weights, set the biases to their initial values too.

Shapes: weights, masks, scores and noise (..., out, in), one tensor per layer; fractions a number or (...).

Reference: Jonathan Frankle and Michael Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
Networks, 2019, https://arxiv.org/abs/1803.03635
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from dynsparse.config.checks import Whole
from dynsparse.ops import masks as mask_of
from dynsparse.pruning.validation import FRACTION, check_alike, check_masks, check_noise, read_fraction

Fraction = TypeVar("Fraction", float, Tensor, float | Tensor)


def round_fraction(total: Fraction, rounds: int) -> Fraction:
    """Return the fraction of the remaining weights to prune in each round, so that all rounds together prune `total`.

    It is 1 - (1 - total)**(1 / rounds). Each round prunes a whole number of weights, so a layer differs from `total` by
    at most half a weight per round.

    Args:
        total: A number or (...), in [0, 1].
        rounds: Number of rounds, at least 1.

    Returns:
        A number, or float64 (...) if `total` is a tensor.

    Raises:
        ValueError: For a total outside [0, 1], or less than one round.

    Example:
        >>> from dynsparse.pruning import round_fraction
        >>> round_fraction(0.75, 2)
        0.5
    """
    n_rounds = Whole(1).read("rounds", rounds)
    if isinstance(total, Tensor):
        total = read_fraction("total", total, total.shape, total.device)
    else:
        total = FRACTION.read("total", total)
    # In floats 1 - (1 - 0.1) is less than 0.1, so that half a weight would be rounded down.
    return total if n_rounds == 1 else 1 - (1 - total) ** (1 / n_rounds)


def next_masks(
    masks: Sequence[Tensor],
    scores: Sequence[Tensor] | None,
    fraction: float | Tensor,
    noise: Sequence[Tensor],
    last_layer_rate: float | Tensor = 0.5,
) -> list[Tensor]:
    """Prune one more round: exactly round(fraction * n) of the n active weights of each layer.

    Pruned are the weights with the lowest scores; among equal scores the noise decides. No weight is regrown, so the
    masks of successive rounds are nested. The last layer prunes round(fraction * last_layer_rate * n).

    With the last layer at half the rate, less than the total is pruned. How much less depends on the number of rounds:
    for a total of 0.8, the last layer loses 0.4 in one round, but 0.52 in five. `actual_fraction` measures it.

    Args:
        masks: (..., out, in) for each layer, bool.
        scores: Shaped like the masks: magnitudes, without sign, to prune by magnitude; None to prune at random.
        fraction: A number or (...), share of the active weights in [0, 1], from `round_fraction`.
        noise: Int32 and shaped like the masks, from `dynsparse.random.noise`; draw other noise in each round.
        last_layer_rate: A number or (...), in [0, 1]; 1 prunes the last layer like the others, 0 not at all.

    Raises:
        ValueError: For a fraction or rate outside [0, 1], or lists that do not match.

    Example:
        >>> import torch
        >>> from dynsparse.pruning import next_masks
        >>> weights = [torch.tensor([[0.5, -0.1], [2.0, -3.0]]), torch.tensor([[0.2, 0.3]])]
        >>> masks = [torch.ones_like(each, dtype=torch.bool) for each in weights]
        >>> noise = [torch.zeros(each.shape, dtype=torch.int32) for each in weights]
        >>> masks = next_masks(masks, [each.abs() for each in weights], 0.5, noise, last_layer_rate=1.0)
        >>> [each.tolist() for each in masks]
        [[[False, False], [True, True]], [[False, True]]]
    """
    check_masks("masks", masks)
    check_noise(masks, noise)
    if scores is None:
        scores = [torch.zeros_like(each) for each in noise]
    check_alike("scores", scores, masks)
    leading, device = masks[0].shape[:-2], masks[0].device
    fraction = read_fraction("fraction", fraction, leading, device)
    rate = read_fraction("last_layer_rate", last_layer_rate, leading, device)

    fractions = [fraction] * (len(masks) - 1) + [fraction * rate]
    left = []
    for mask, score, each, its_fraction in zip(masks, scores, noise, fractions, strict=True):
        n_pruned = mask_of.round_share(its_fraction, mask_of.count(mask))
        left.append(mask & ~mask_of.lowest(score.detach(), n_pruned, each, among=mask))
    return left


def rewound(initial: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """Return the initial weights at active positions and exactly 0 at pruned ones: a candidate for a winning ticket.

    Args:
        initial: (..., out, in) for each layer, the weights before the first training.
        masks: Shaped like the weights, bool.

    Raises:
        ValueError: If the lists do not match.

    Example:
        >>> import torch
        >>> from dynsparse.pruning import rewound
        >>> rewound([torch.tensor([[0.5, -0.25]])], [torch.tensor([[False, True]])])
        [tensor([[ 0.0000, -0.2500]])]
    """
    check_masks("masks", masks)
    check_alike("initial", initial, masks)
    return [torch.where(mask, each.detach(), 0) for mask, each in zip(masks, initial, strict=True)]


def reinitialised(drawn: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """Return newly drawn weights at active positions and exactly 0 at pruned ones: the control of a winning ticket.

    Args:
        drawn: (..., out, in) for each layer, drawn like the initial weights from another random stream.
        masks: Shaped like the weights, bool.

    Raises:
        ValueError: If the lists do not match.

    Example:
        >>> import torch
        >>> from dynsparse.pruning import reinitialised
        >>> reinitialised([torch.tensor([[0.75, 1.0]])], [torch.tensor([[True, False]])])
        [tensor([[0.7500, 0.0000]])]
    """
    check_alike("drawn", drawn, masks)
    return rewound(drawn, masks)


class PrunedFractions(NamedTuple):
    """Pruned fractions of the weights, in [0, 1]. Shapes: each (...), float64."""

    layers: list[Tensor]  #: of each layer
    overall: Tensor  #: of all layers together


def actual_fraction(masks: Sequence[Tensor]) -> PrunedFractions:
    """Return the fraction of the weights that the masks prune, for each layer and overall.

    It differs from the requested total by the rounding of each round and by the rate of the last layer (see
    `next_masks`). In a network 784-300-100-10, a total of 0.8 becomes 0.7985 in one round and 0.7990 in five.

    Args:
        masks: (..., out, in) for each layer, bool.

    Raises:
        ValueError: If a tensor is not a mask.

    Example:
        >>> import torch
        >>> from dynsparse.pruning import actual_fraction
        >>> pruned = actual_fraction([torch.tensor([[True, False], [False, False]]), torch.tensor([[True, True]])])
        >>> [float(each) for each in pruned.layers], float(pruned.overall)
        ([0.75, 0.0], 0.5)
    """
    check_masks("masks", masks)
    sizes = [mask.shape[-2:].numel() for mask in masks]
    pruned = [size - mask_of.count(mask) for mask, size in zip(masks, sizes, strict=True)]
    total = torch.stack(pruned).sum(0)
    return PrunedFractions(
        [number.double() / size for number, size in zip(pruned, sizes, strict=True)], total.double() / sum(sizes)
    )
