"""`DSNNMixedHeb` as the 2019 notebook ran it, mistakes included, so that its tables can be reproduced."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.methods.base import Grow, Method
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer, require


def mixed_heb_2019(config: MethodSettings) -> Method:
    """Prune and grow as the notebook "mlp_heb eval2" did.

    Prune: all active weights except those that both rules keep. With z = weight_prune_perc and t = hebbian_prune_perc,
    the magnitude rule keeps w >= the max(int(z n+), 1)th smallest positive weight, and w <= the
    max(int((1 - z) n-), 1)th smallest negative weight. The coactivation rule keeps what is above the int((1 - t) N)th
    smallest coactivation of all N positions. A fraction of None switches its rule off; a fraction of 0 does not.
    Grow: max(target - kept, 0) positions, by coactivation (hebbian_grow) or at random.

    Keys:
        on_perc: probability that a position is active at the start, in (0, 1].
        weight_prune_perc: z, in [0, 1], or None.
        hebbian_prune_perc: t, in [0, 1], or None.
        hebbian_grow: True grows by coactivation, False at random.

    Differences from `mixed_heb`:

    - The initial mask is Bernoulli, and its count becomes the target.
    - Coactivation counts test and noise images too.
    - The magnitude rule drops one positive weight too few.
    - hebbian_prune_perc is a *keep* fraction of *all* positions: 0 keeps nothing, 0.5 nearly everything.
    - Random growth is Bernoulli, so the number of weights fluctuates.
    - Hebbian growth may take just-pruned positions, which keep their values. It grows fewer weights if there are ties.
    - Momentum keeps integrating at inactive positions, so a new weight jumps at its first step.
    - With a magnitude rule, a layer without positive or without negative weights ends the trial.
    """
    weight_prune_perc, hebbian_prune_perc = config.weight_prune_perc, config.hebbian_prune_perc
    return Method(
        config.on_perc,
        lambda layer: layer.mask & ~keep_by_both(layer, weight_prune_perc, hebbian_prune_perc),
        grow(config.hebbian_grow),
        prune_decays=False,
        needs=frozenset({"coactivation"}),
        sparse_type="bernoulli",
        fails=has_no_positive_or_no_negative if weight_prune_perc is not None else None,
        counts_evaluation=True,
        updates_after_last_epoch=True,
        moves_inactive=True,
    )


def keep_by_both(
    layer: Layer, weight_prune_perc: float | Tensor | None, hebbian_prune_perc: float | Tensor | None
) -> Tensor:
    """Return the active positions that both rules keep. A fraction of None switches its rule off; 0 does not."""
    keep = layer.mask
    if weight_prune_perc is not None:
        keep = keep & keep_by_magnitude(layer.weight, weight_prune_perc)
    if hebbian_prune_perc is not None:
        keep = keep & keep_by_coactivation(require(layer.coactivation), hebbian_prune_perc)
    return keep


def keep_by_magnitude(weight: Tensor, fraction: float | Tensor) -> Tensor:
    """Return the positions that the magnitude rule keeps. Shapes: (..., out, in); fraction (...)."""
    positive, negative = weight > 0, weight < 0
    fraction = torch.as_tensor(fraction, dtype=torch.float64, device=weight.device)
    lower = kth_smallest(weight, (fraction * masks.count(positive)).long().clamp_min(1), among=positive)
    upper = kth_smallest(weight, ((1 - fraction) * masks.count(negative)).long().clamp_min(1), among=negative)
    return (positive & (weight >= lower)) | (negative & (weight <= upper))


def keep_by_coactivation(coactivation: Tensor, fraction: float | Tensor) -> Tensor:
    """Return the positions that the coactivation rule keeps. Shapes: (..., out, in); fraction (...)."""
    n = coactivation.shape[-2] * coactivation.shape[-1]
    fraction = torch.as_tensor(fraction, dtype=torch.float64, device=coactivation.device)
    everywhere = torch.ones_like(coactivation, dtype=torch.bool)
    k = ((1 - fraction) * n).long().clamp_min(1).expand(coactivation.shape[:-2])
    return coactivation > kth_smallest(coactivation, k, among=everywhere)


def grow(hebbian_grow: bool | Tensor) -> Grow:
    """Return the grow rule: by coactivation for trials with `hebbian_grow`, at random for the others."""

    def rule(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
        by_coactivation = torch.as_tensor(hebbian_grow, device=layer.weight.device)[..., None, None]
        return torch.where(
            by_coactivation, grow_most_coactive(layer, kept, n_grow), grow_bernoulli(layer, kept, n_grow)
        )

    return rule


def grow_bernoulli(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
    """Grow each position that was inactive before with probability n_grow / number of such positions."""
    candidates = ~layer.mask
    probability = n_grow / masks.count(candidates).clamp_min(1)
    return candidates & (masks.uniform(layer.grow_noise) < probability[..., None, None])


def grow_most_coactive(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
    """Grow the positions that were not kept and whose coactivation is above the (n_grow + 1)th highest among them."""
    candidates = ~kept
    coactivation = require(layer.coactivation)
    n_candidates = masks.count(candidates)
    k = n_candidates - n_grow
    threshold = kth_smallest(coactivation, k.clamp_min(1), among=candidates)
    above = (coactivation > threshold) | (k < 1)[..., None, None]
    return candidates & above


def has_no_positive_or_no_negative(layer: Layer) -> Tensor:
    """Return True for trials in which the 2019 code took the kth value of an empty tensor. Shapes: (...), bool."""
    return (masks.count(layer.weight > 0) == 0) | (masks.count(layer.weight < 0) == 0)


def kth_smallest(value: Tensor, k: Tensor, among: Tensor) -> Tensor:
    """Return the kth smallest value among some positions, k from 1; infinity if there are fewer than k.

    Shapes: (..., out, in); k (...); the result (..., 1, 1).
    """
    ordered = value.to(torch.float64).masked_fill(~among, torch.inf).flatten(-2).sort(-1).values
    return ordered.gather(-1, (k - 1)[..., None])[..., None]
