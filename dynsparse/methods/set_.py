"""SET, sparse evolutionary training."""

from __future__ import annotations

from dynsparse.methods.base import Method, highest
from dynsparse.methods.settings import MethodSettings
from dynsparse.methods.signwise import smallest_of_each_sign
from dynsparse.ops.scores import chance


def set_(config: MethodSettings) -> Method:
    """Drop the weights closest to zero, each sign apart; grow at random.

    Reference: Mocanu et al., Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity
    Inspired by Network Science, 2018, https://arxiv.org/abs/1707.04780
    """
    return Method(config.on_perc, smallest_of_each_sign(config.weight_prune_perc), highest(chance))
