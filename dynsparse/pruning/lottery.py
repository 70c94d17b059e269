"""The masks of lottery tickets: prune a part, set the rest back, train again; in one round or in many.

A round of `rounds`, from trained weights to those that the next training starts from:

    fraction = round_fraction(total, rounds)
    masks = next_masks(masks, [weight.abs() for weight in trained], fraction, noise)
    weights = rewound(initial, masks)

Biases are not pruned; who rewinds the weights sets the biases to their initial values too.

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
    """The fraction of what is left to prune in each round, so that after all rounds `total` is pruned.

    1 - (1 - total)**(1 / rounds). What a layer has lost in the end differs from its share of `total` by half a weight
    per round at most, because each round prunes a whole number.

    Shapes: total, in [0, 1], a number or (...), and so is the result, a tensor's in float64.

    Raises: ValueError for a total outside [0, 1], or less than one round.
    """
    n_rounds = Whole(1).read("rounds", rounds)
    if isinstance(total, Tensor):
        total = read_fraction("total", total, total.shape, total.device)
    else:
        total = FRACTION.read("total", total)
    # In floats 1 - (1 - 0.1) is less than 0.1, and a half of a weight would be rounded down for it.
    return total if n_rounds == 1 else 1 - (1 - total) ** (1 / n_rounds)


def next_masks(
    masks: Sequence[Tensor],
    scores: Sequence[Tensor] | None,
    fraction: float | Tensor,
    noise: Sequence[Tensor],
    last_layer_rate: float | Tensor = 0.5,
) -> list[Tensor]:
    """The masks after one more round: of the n active weights of each layer exactly round(fraction * n) are pruned.

    Those of the lowest score go; among equal scores the noise decides. No weight comes back, so the masks of the
    rounds nest. In the last layer it is round(fraction * last_layer_rate * n).

    With the last layer at half the rate less is pruned than was asked for, and how much less depends on the number of
    rounds: of 0.8, the last layer loses 0.4 in one round, but 0.52 in five. `actual_fraction` says what was pruned.

    Args:
        scores: magnitudes, without sign, to prune by magnitude; None to prune at random, by the noise alone.
        fraction: of what is still active, in [0, 1]; from `round_fraction`.
        noise: int32, from dynsparse.random.noise; other noise in each round.
        last_layer_rate: in [0, 1]; 1 prunes the last layer like the others, 0 spares it.

    Raises: ValueError for a fraction or rate outside [0, 1], or lists that do not fit each other.
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
        n_pruned = mask_of.share(its_fraction, mask_of.count(mask))
        left.append(mask & ~mask_of.lowest(score.detach(), n_pruned, each, among=mask))
    return left


def rewound(initial: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """The initial weights where a weight is active, exactly 0 where it is pruned: a winning ticket, if it trains well.

    Raises: ValueError where the lists do not fit each other.
    """
    check_masks("masks", masks)
    check_alike("initial", initial, masks)
    return [torch.where(mask, each.detach(), 0) for mask, each in zip(masks, initial, strict=True)]


def reinitialised(drawn: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """Newly drawn weights where a weight is active, exactly 0 where it is pruned: the control of a winning ticket.

    Args:
        drawn: like the initial weights, from another stream of random numbers.

    Raises: ValueError where the lists do not fit each other.
    """
    check_alike("drawn", drawn, masks)
    return rewound(drawn, masks)


class PrunedFractions(NamedTuple):
    """The fraction of the weights that is pruned, in [0, 1]. Shapes: each (...), float64."""

    layers: list[Tensor]  # of each layer
    overall: Tensor  # of all layers together


def actual_fraction(masks: Sequence[Tensor]) -> PrunedFractions:
    """The fraction of the weights that the masks prune, of each layer and overall, to compare with the one desired.

    The two differ by the rounding of each round, and by the rate of the last layer (see `next_masks`). Of a network
    784-300-100-10, 0.8 comes out as 0.7985 in one round and as 0.7990 in five.

    Raises: ValueError for what are no masks.
    """
    check_masks("masks", masks)
    sizes = [mask.shape[-2:].numel() for mask in masks]
    pruned = [size - mask_of.count(mask) for mask, size in zip(masks, sizes, strict=True)]
    total = torch.stack(pruned).sum(0)
    return PrunedFractions(
        [number.double() / size for number, size in zip(pruned, sizes, strict=True)], total.double() / sum(sizes)
    )
