"""CHTs and CHTss: Cannistraci-Hebb training with the soft rule, at a constant and at a falling density."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsparse.methods.base import Method, Prune, or_zero
from dynsparse.methods.cht import predicted
from dynsparse.methods.settings import MethodSettings
from dynsparse.ops import masks
from dynsparse.ops.link_prediction import ch2_l3n
from dynsparse.ops.schedules import sigmoid
from dynsparse.ops.scores import Layer, magnitude


def chts(config: MethodSettings) -> Method:
    """Draw the weights that stay by their importance, and those that grow by the topology; otherwise like `CHT`.

    Prune: round(weight_prune_perc * s * n) active weights. Those that stay are drawn one after another, with
    probabilities proportional to S^(d / (1 - d)). With a = removal_alpha and the sums R of |w| over the weights of the
    same output and C over those of the same input, S = |w| / (a + (1 - a) * R) + |w| / (a + (1 - a) * C). The exponent
    rises linearly over the mask updates, from 1 to that of d = removal_delta. Then units without paths lose all of
    their weights, as in `CHT`.
    Grow: as many inactive positions, drawn with probabilities proportional to the CH2-L3n score of the layer that is
    left: see `dynsparse.ops.link_prediction`.

    Keys:
        on_perc: density, in (0, 1].
        weight_prune_perc: share of the active weights that a mask update drops, in [0, 1].
        removal_alpha: in [0, 1]. With 1, magnitude decides; with 0, the importance of a weight for its two units.
        removal_delta: d at the last mask update, in [0.5, 1). The higher, the less is left to chance.

    Differences from the paper: it uses removal_alpha 0 and 1 only. It draws the masks as receptive fields (set
    sparse_type="brf"). Its published code has two further schedules of the drop fraction: a cosine (set
    prune_decay="cosine"), and that of EM&S, which trains with a surplus of weights.

    Reference:
        Yingtao Zhang, Diego Cerretti, Jialin Zhao, Wenjing Wu, Ziheng Liao, Umberto Michieli and Carlo Vittorio
        Cannistraci, Brain Network Science Modelling of Sparse Neural Networks Enables Transformers and LLMs to Perform
        as Fully Connected, 2025, https://arxiv.org/abs/2501.19107; published code:
        https://github.com/biomedical-cybernetics/Cannistraci-Hebb-Training-Soft-Rule-
    """
    return Method(
        config.on_perc,
        surplus_and_drawn_share(config.weight_prune_perc, config.removal_alpha, config.removal_delta),
        predicted(ch2_l3n, is_drawn=True),
        drops_cut_off=True,
    )


def chtss(config: MethodSettings) -> Method:
    """Let the density fall from initial_density to on_perc along a sigmoid; otherwise like `CHTs`.

    Prune: the active weights of the smallest S, until the density is on_perc + (initial_density - on_perc) * (1 - g),
    where g rises from 0 to 1 with the share p of the mask updates that are done, as 1 / (1 + exp(-6 * (2 p - 1))),
    shifted and scaled. Of the weights that remain, then as many as in `CHTs`.
    Grow: as many as the second step pruned, as in `CHTs`.

    Keys:
        on_perc: density at the end, in (0, 1].
        initial_density: density at the start, in [on_perc, 1].
        weight_prune_perc: share of the remaining weights that a mask update replaces, in [0, 1].
        removal_alpha: as in `CHTs`.
        removal_delta: as in `CHTs`.

    Differences from the paper: its density stops falling before the masks stop changing (here both end with
    pruning_end). Its published code decides the first step by the importance (removal_alpha=0) and the second by
    magnitude (removal_alpha=1); here one key is for both.

    Reference: that of `CHTs`.
    """
    return Method(
        config.on_perc,
        surplus_and_drawn_share(config.weight_prune_perc, config.removal_alpha, config.removal_delta),
        predicted(ch2_l3n, is_drawn=True),
        drops_cut_off=True,
        surplus=sigmoid,
        initial_density=config.initial_density,
    )


def surplus_and_drawn_share(fraction: float | Tensor | None, alpha: float | Tensor, delta: float | Tensor) -> Prune:
    """Return the rule that drops the weights of the smallest importance beyond the target, and a share of the others.

    What stays of the others is drawn by importance: see `chts`.
    """

    def prune(layer: Layer) -> Tensor:
        score = layer.pattern.mean(importance(layer, alpha))
        n_active = masks.count(layer.mask)
        n_left = n_active.minimum(layer.target)
        surplus = layer.pattern.lowest_for_good(score, n_active - n_left, layer.prune_noise, among=layer.mask)
        of_end = _per_trial(delta, layer)
        exponent = 1 + layer.share_done * (of_end / (1 - of_end) - 1)
        n_drop = masks.round_share(or_zero(fraction) * layer.drop_scale, n_left)
        keys = masks.drawn(score, exponent, layer.prune_noise)
        return surplus | layer.pattern.lowest(keys, n_drop, layer.prune_noise, among=layer.mask & ~surplus)

    return prune


def importance(layer: Layer, alpha: float | Tensor) -> Tensor:
    """Return |w| / (alpha + (1 - alpha) * sum of |w|), added up for the two units of a weight.

    Shapes: (..., out, in), float64: sums in another order give the same once they are rounded to float32.
    """
    size, share = magnitude(layer).double(), _per_trial(alpha, layer)
    # A unit without any magnitude must not divide by 0.
    of_outputs, of_inputs = (
        size / (share + (1 - share) * size.sum(axis, keepdim=True)).clamp_min(1e-300) for axis in (-1, -2)
    )
    return of_outputs + of_inputs


def _per_trial(value: float | Tensor, layer: Layer) -> Tensor:
    """Return a number, or one for each trial, to combine with the positions of a layer."""
    return torch.as_tensor(value, dtype=torch.float64, device=layer.weight.device)[..., None, None]
