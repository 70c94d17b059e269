"""SRigL: structured RigL, with a constant fan-in and ablation of units."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dynsparse.methods.base import Ablate, Method, lowest, or_zero
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer, gradient, magnitude, require


def srigl(config: MethodSettings) -> Method:
    """Update masks as RigL, with equally many inputs for each unit; ablate units with few salient weights.

    Prune: the k = round(weight_prune_perc * s * n) active weights with the smallest |w|.
    Ablate: a position is salient if its weight has been kept, or if its |dL/dw| is among the k largest of all positions
    on the last batch before the update. Units with fewer salient positions than salient_share of the fan-in at the
    start, rounded down, but at least 1, lose all of their inputs. Units of the last layer are the outputs of the
    network and stay. All remaining units now share one fan-in; a unit above it loses its smallest weights.
    Grow: for each remaining unit, as many inactive inputs as it lacks, those with the largest |dL/dw|.

    The number n of active weights of the layer stays exactly the same: of u remaining units each gets n // u inputs,
    and the n % u units with most weights left get one more. An ablated unit comes back if enough of its gradients are
    salient. As many units stay as the others need, so that no unit gets more inputs than there are: those with
    most salient positions.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        salient_share: share of the fan-in below which a unit is ablated, in [0, 1]. With 0, none is.

    Differences from the paper: its fan-in is the same for all units, so that up to one weight of each unit is lost to
    rounding. Its schedule is that of RigL: see there. In its published code a weight may grow again in the update that
    drops it; here it cannot, unless its unit has no other input. There the weights of ablated units are the first of
    the k that are pruned, so that other units lose fewer; and a unit above the fan-in loses any of its weights.

    Reference:
        Mike Lasby, Anna Golubeva, Utku Evci, Mihai Nica and Yani Ioannou, Dynamic Sparse Training with Structured
        Sparsity, 2023, https://arxiv.org/abs/2305.02299
    """
    return Method(
        config.on_perc,
        lowest(magnitude, config.weight_prune_perc),
        fill_units,
        ablate=units_with_few_salient(config.weight_prune_perc, config.salient_share),
        needs=frozenset({"gradient"}),
        sparse_type="exact_per_output",
    )


def units_with_few_salient(fraction: float | Tensor | None, salient_share: float | Tensor) -> Ablate:
    """Return the rule that ablates units, and drops what exceeds the fan-in of the others."""

    def ablate(layer: Layer, kept: Tensor) -> tuple[Tensor, Tensor]:
        n_drop = masks.round_share(or_zero(fraction) * layer.drop_scale, masks.count(layer.mask))
        n_salient = (kept | masks.highest(gradient(layer), n_drop, layer.grow_noise)).sum(-1)
        ablated = units_to_ablate(layer, n_salient, salient_share)
        kept = kept & ~ablated[..., None]
        excess = (kept.sum(-1) - fan_ins(layer._replace(ablated=ablated), kept)).clamp_min(0)
        return ablated, kept & ~masks.highest_in_rows(-magnitude(layer), excess, layer.prune_noise, among=kept)

    return ablate


def units_to_ablate(layer: Layer, n_salient: Tensor, salient_share: float | Tensor) -> Tensor:
    """Select the units to ablate. Shapes: n_salient (..., out), and so is the result, bool."""
    n_out, n_in = layer.mask.shape[-2:]
    if layer.is_last:
        return torch.zeros_like(n_salient, dtype=torch.bool)
    share = torch.as_tensor(salient_share, dtype=torch.float64, device=n_salient.device)
    # In float64, 0.29 * 100 may be just below 29.
    needed = (share * (layer.target // n_out) + 1e-9).long().clamp_min(1) * (share > 0)
    few = n_salient < needed[..., None]
    most = n_out - -(-layer.target // n_in)
    return select_units(masks.lowest, n_salient, few.sum(-1).minimum(most), layer.prune_noise, among=few)


def fill_units(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
    """Fill each remaining unit up to its fan-in, where the gradient is largest; together these are `n_grow` weights."""
    priority = (~kept).to(torch.int8) + (~layer.mask).to(torch.int8)
    return masks.highest_in_rows(gradient(layer), fan_ins(layer, kept) - kept.sum(-1), layer.grow_noise, among=priority)


def fan_ins(layer: Layer, kept: Tensor) -> Tensor:
    """Return the number of inputs of each unit after the update: the target, spread evenly over those not ablated.

    Shapes: kept (..., out, in); the result (..., out), int64.
    """
    remains = ~require(layer.ablated)
    n_units = remains.sum(-1)
    each = layer.target // n_units.clamp_min(1)
    one_more = select_units(masks.highest, kept.sum(-1), layer.target - each * n_units, layer.grow_noise, among=remains)
    return (each[..., None] + one_more) * remains


def select_units(select: Callable[..., Tensor], score: Tensor, number: Tensor, noise: Tensor, among: Tensor) -> Tensor:
    """Select units by a function of `masks`. Shapes: score, among (..., out); number (...); noise (..., out, in)."""
    # The smallest noise of all inputs, because that of a fixed one would favour it.
    row = noise.amin(-1).unsqueeze(-2)
    return select(score.unsqueeze(-2), number, row, among.unsqueeze(-2)).squeeze(-2)
