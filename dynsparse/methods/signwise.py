"""The magnitude rule of the SET paper, which ranks positive and negative weights separately."""

from torch import Tensor

from dynsparse.methods.base import Prune, or_zero
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer


def smallest_of_each_sign(fraction: float | Tensor | None) -> Prune:
    """Return the rule that drops the share `fraction` * s of the positive weights, and of the negative ones.

    Dropped are those closest to zero. An active weight of exactly zero counts as the smallest positive weight, because
    otherwise it could never be dropped. A fraction of 0 or None drops nothing.
    """

    def prune(layer: Layer) -> Tensor:
        positive = layer.mask & (layer.weight >= 0)
        negative = layer.mask & ~positive
        scale = or_zero(fraction) * layer.drop_scale
        n_positive, n_negative = (masks.round_share(scale, masks.count(each)) for each in (positive, negative))
        smallest = masks.lowest(layer.weight, n_positive, layer.prune_noise, among=positive)
        return smallest | masks.highest(layer.weight, n_negative, layer.prune_noise, among=negative)

    return prune
