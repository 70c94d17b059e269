"""The magnitude rule of the SET paper, which ranks positive and negative weights separately."""

from torch import Tensor

from dynsparse.methods.base import Prune, or_zero, soft
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer, magnitude


def smallest_of_each_sign(fraction: float | Tensor | None, temperature: float = 0.0) -> Prune:
    """Return the rule that drops the share `fraction` * s of the positive weights, and of the negative ones.

    Dropped are those closest to zero. An active weight of exactly zero counts as the smallest positive weight, because
    otherwise it could never be dropped. A block has the sign of its mean weight. With a temperature above 0, the
    weights that stay are drawn: see `soft`. A fraction of 0 or None drops nothing.
    """

    def prune(layer: Layer) -> Tensor:
        pattern = layer.pattern
        positive = layer.mask & (pattern.mean(layer.weight) >= 0)
        negative = layer.mask & ~positive
        scale = or_zero(fraction) * layer.drop_scale
        n_positive, n_negative = (masks.round_share(scale, masks.count(each)) for each in (positive, negative))
        size = soft(pattern.mean(magnitude(layer)), temperature, layer.prune_noise)
        smallest = pattern.lowest(size, n_positive, layer.prune_noise, among=positive)
        return smallest | pattern.lowest(size, n_negative, layer.prune_noise, among=negative)

    return prune
