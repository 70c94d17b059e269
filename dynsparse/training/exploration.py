"""Exploration: the share of a network's positions that have ever been active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dynsparse.ops import masks


class Exploration:
    """Tracker of the positions whose weights have been trained, for at least one step.

    Their share is R_s in the paper, the in-time over-parameterization rate: `density` for a static mask, and 1 if every
    position has been tried.

    Reference:
        Shiwei Liu, Lu Yin, Decebal Constantin Mocanu and Mykola Pechenizkiy, Do We Actually Need Dense
        Over-Parameterization? In-Time Over-Parameterization in Sparse Training, 2021, https://arxiv.org/abs/2102.02887
    """

    def __init__(self, active: Sequence[Tensor]) -> None:
        self._explored = [torch.zeros_like(mask) for mask in active]  # of each layer (trials, out, in), bool
        # False for a trial that an older version began, which did not track its positions.
        self._is_known = torch.ones(len(active[0]), dtype=torch.bool, device=active[0].device)

    def add(self, active: Sequence[Tensor]) -> None:
        """Add the masks of a training step. Shapes: (trials, out, in), bool, for each layer."""
        # Not in-place, because a `state_dict` shares these tensors.
        self._explored = [each | mask for each, mask in zip(self._explored, active, strict=True)]

    def metrics(self) -> dict[str, Tensor]:
        """Return the explored share of all positions, in [0, 1]; NaN where it is unknown."""
        n_explored = torch.stack([masks.count(each) for each in self._explored]).sum(0).double()
        share = n_explored / sum(each[0].numel() for each in self._explored)
        return {"explored": share.masked_fill(~self._is_known, torch.nan)}

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs to continue."""
        return {"explored": self._explored, "is_known": self._is_known}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self._explored = [each.to(self._is_known.device) for each in state["explored"]]
        self._is_known = state["is_known"].to(self._is_known.device)
