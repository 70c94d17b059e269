"""The SET paper's magnitude rule: positive and negative weights are ranked apart."""

from torch import Tensor

from dynsparse.methods.base import Prune, or_zero
from dynsparse.ops import masks
from dynsparse.ops.scores import Layer


def smallest_of_each_sign(fraction: float | Tensor | None) -> Prune:
    """Drop round(fraction * n) of the n positive weights, the smallest, and as many of the negative ones.

    An active weight of exactly zero ranks as the smallest positive one, or it could never be dropped.

    Reference: Mocanu et al. 2018, https://arxiv.org/abs/1707.04780
    """

    def prune(layer: Layer) -> Tensor:
        positive = layer.mask & (layer.weight >= 0)
        negative = layer.mask & ~positive
        scale = or_zero(fraction) * layer.drop_scale
        return masks.lowest(
            layer.weight, masks.round_share(scale, masks.count(positive)), layer.prune_noise, among=positive
        ) | masks.highest(
            layer.weight, masks.round_share(scale, masks.count(negative)), layer.prune_noise, among=negative
        )

    return prune
