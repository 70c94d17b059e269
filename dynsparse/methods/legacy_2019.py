"""`DSNNMixedHeb` as the 2019 notebook ran it, mistakes included, so that its tables can be examined."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.methods.base import Grow, Method
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer, require


def mixed_heb_2019(config: MethodSettings) -> Method:
    """The rules of the notebook "mlp_heb eval2".

    They differ from `mixed_heb` in this:
    - the initial mask is Bernoulli, and its count becomes the target;
    - coactivation counts test and noise images too;
    - the magnitude rule drops one positive weight too few;
    - hebbian_prune_perc is a *keep* fraction of *all* positions: 0 keeps nothing, 0.5 nearly everything;
    - random growth is Bernoulli; Hebbian growth may take just-pruned positions, which keep their value, and grows
      fewer where there are ties;
    - momentum goes on integrating at inactive positions, so that a new weight jumps at its first step;
    - a layer without positive or without negative weights ends the trial, where there is a magnitude rule.
    """
    weight_prune_perc, hebbian_prune_perc = config.weight_prune_perc, config.hebbian_prune_perc
    return Method(
        config.on_perc,
        lambda layer: layer.mask & ~kept(layer, weight_prune_perc, hebbian_prune_perc),
        grow(config.hebbian_grow),
        prune_decays=False,
        needs=frozenset({"coactivation"}),
        sparse_type="bernoulli",
        fails=has_no_positive_or_no_negative if weight_prune_perc is not None else None,
        counts_evaluation=True,
        updates_after_last_epoch=True,
        moves_inactive=True,
    )


def kept(layer: Layer, weight_prune_perc: float | Tensor | None, hebbian_prune_perc: float | Tensor | None) -> Tensor:
    """Active positions that both rules keep; a fraction of None is a rule without a part, 0 is not."""
    keep = layer.mask
    if weight_prune_perc is not None:
        keep = keep & kept_by_magnitude(layer.weight, weight_prune_perc)
    if hebbian_prune_perc is not None:
        keep = keep & kept_by_coactivation(require(layer.coactivation), hebbian_prune_perc)
    return keep


def kept_by_magnitude(weight: Tensor, fraction: float | Tensor) -> Tensor:
    """w >= kth smallest positive with k = max(int(z n+), 1), or w <= kth smallest negative, max(int((1 - z) n-), 1).

    Shapes: (..., out, in); fraction (...).
    """
    positive, negative = weight > 0, weight < 0
    fraction = torch.as_tensor(fraction, dtype=torch.float64, device=weight.device)
    lower = kth_smallest(weight, (fraction * masks.count(positive)).long().clamp_min(1), among=positive)
    upper = kth_smallest(weight, ((1 - fraction) * masks.count(negative)).long().clamp_min(1), among=negative)
    return (positive & (weight >= lower)) | (negative & (weight <= upper))


def kept_by_coactivation(coactivation: Tensor, fraction: float | Tensor) -> Tensor:
    """Coactivation above the kth smallest of all N positions, k = int((1 - t) N). Shapes: as above."""
    n = coactivation.shape[-2] * coactivation.shape[-1]
    fraction = torch.as_tensor(fraction, dtype=torch.float64, device=coactivation.device)
    everywhere = torch.ones_like(coactivation, dtype=torch.bool)
    k = ((1 - fraction) * n).long().clamp_min(1).expand(coactivation.shape[:-2])
    return coactivation > kth_smallest(coactivation, k, among=everywhere)


def grow(hebbian_grow: bool | Tensor) -> Grow:
    """By coactivation or at random; in a pack each trial in its own way."""

    def rule(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
        by_coactivation = torch.as_tensor(hebbian_grow, device=layer.weight.device)[..., None, None]
        return torch.where(
            by_coactivation, grow_most_coactive(layer, kept, n_grow), grow_bernoulli(layer, kept, n_grow)
        )

    return rule


def grow_bernoulli(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
    """Each position that was inactive before turns on with probability n_grow / number of such positions."""
    candidates = ~layer.mask
    probability = n_grow / masks.count(candidates).clamp_min(1)
    return candidates & (masks.uniform(layer.grow_noise) < probability[..., None, None])


def grow_most_coactive(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
    """Positions that were not kept and whose coactivation is above that of the (n_grow + 1)th highest of them."""
    candidates = ~kept
    coactivation = require(layer.coactivation)
    n_candidates = masks.count(candidates)
    k = n_candidates - n_grow
    threshold = kth_smallest(coactivation, k.clamp_min(1), among=candidates)
    above = (coactivation > threshold) | (k < 1)[..., None, None]
    return candidates & above


def has_no_positive_or_no_negative(layer: Layer) -> Tensor:
    """Where the 2019 code took the kth value of an empty tensor. Shapes: (...), bool."""
    return (masks.count(layer.weight > 0) == 0) | (masks.count(layer.weight < 0) == 0)


def kth_smallest(value: Tensor, k: Tensor, among: Tensor) -> Tensor:
    """The kth smallest value among some positions, k from 1. Shapes: (..., out, in); k (...); result (..., 1, 1).

    Infinity where there are fewer than k.
    """
    ordered = value.to(torch.float64).masked_fill(~among, torch.inf).flatten(-2).sort(-1).values
    return ordered.gather(-1, (k - 1)[..., None])[..., None]
