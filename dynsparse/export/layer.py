"""A layer with a mask, as every trained network gives it to files, cards and summaries."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Layer(NamedTuple):
    """A linear or convolutional layer of a trained network. A filter is a unit, with one row of weights."""

    name: str  # in the module; its weights are the tensor `name`.weight
    weight: Tensor  # (out, in), 0 where the mask is False
    bias: Tensor | None  # (out,)
    mask: Tensor  # (out, in), bool
    positions: int = 1  # outputs of each unit for one example
