"""Overlap of pruned and grown positions: it ends the mask updates of layers that grow again what they prune."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dynsparse.methods import MaskUpdate
from dynsparse.ops import masks


class Overlap:
    """Tracker of the layers whose mask updates have ended: see `Method.overlap_limit`."""

    def __init__(self, n_trials: int, n_layers: int, limit: float | Tensor | None) -> None:
        self._limit = limit
        self.stopped = torch.zeros(n_trials, n_layers, dtype=torch.bool)

    def update(self, updates: list[MaskUpdate]) -> None:
        """End the updates of each layer that has grown too large a share of its weights where it had pruned."""
        if self._limit is None:
            return
        limit = torch.as_tensor(self._limit, dtype=torch.float64).cpu().reshape(-1, 1)
        shares = torch.stack([overlap(update) for update in updates], dim=1).cpu()
        # Not in-place, because a `state_dict` shares this tensor.
        self.stopped = self.stopped | (shares > limit)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs to continue."""
        return {"stopped": self.stopped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.stopped = state["stopped"]


def overlap(update: MaskUpdate) -> Tensor:
    """Return the share of the positions that grow which the same update had pruned; NaN if none grows.

    Shapes: (trials,), float64.
    """
    n_again = masks.count(update.mask & ~update.kept & ~update.grown)
    return n_again.double() / (masks.count(update.mask) - masks.count(update.kept))
