"""Masks as bits, with which inactive weights are set to zero in little time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def active_bits(mask: Tensor) -> Tensor:
    """Return a mask in the form that `zero_inactive` reads: numbers whose bits are all 1 where it is True, else all 0.

    Shapes: any; the result the same, int32.
    """
    return -mask.int()


def are_all_active(layers: Sequence[Tensor]) -> bool:
    """Return True if all weights of all trials are active on a CPU, so that steps need no masks.

    It is False on a GPU, because a recorded step there must not depend on the masks.
    """
    return all(mask.device.type == "cpu" and np.count_nonzero(mask.numpy()) == mask.numel() for mask in layers)


def zero_inactive(values: Tensor, active: Tensor) -> Tensor:
    """Return float32 values with zeros for inactive weights. Shapes: all the same; `active` from `active_bits`.

    It takes as long as a product with 0 and 1. In a product, NaN and infinity times 0 would be NaN.
    """
    return values.view(torch.int32).bitwise_and(active).view(torch.float32)


def zero_inactive_(values: Tensor, active: Tensor) -> None:
    """Set float32 values of inactive weights to zero in place, as `zero_inactive`."""
    values.view(torch.int32).bitwise_and_(active)
