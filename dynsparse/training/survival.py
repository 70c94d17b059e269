"""Survival of grown weights: the share of those grown in one mask update that is still active after the next."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from dynsparse.methods import MaskUpdate
from dynsparse.ops import masks
from dynsparse.planning.plan import EarlyStop


class Survivors(NamedTuple):
    """Survival of grown weights, in [0, 1]; NaN if none had grown. Shapes: (trials,)."""

    layers: list[Tensor]  # of each layer
    average: Tensor  # mean over layers, except the last
    overall: Tensor  # over the weights of all layers


class Survival:
    """Tracker of the weights that the last mask update grew; it ends the updates of a trial if too few survive."""

    def __init__(self, n_trials: int, early_stop: EarlyStop | None) -> None:
        self._early_stop = early_stop
        self._grown: list[Tensor] = []
        self._averages: list[Tensor] = []  # of the last updates, at most as many as the window
        self._times_low = torch.zeros(n_trials, dtype=torch.int64)
        self.stopped = torch.zeros(n_trials, dtype=torch.bool)  # trials whose mask updates have ended

    def update(self, updates: list[MaskUpdate]) -> Survivors:
        """Return the survival at this mask update, and track the weights that it grew from now on."""
        grown, self._grown = self._grown, [update.grown for update in updates]
        if not grown:
            return self.unknown(len(updates))
        # Trained alone, a trial whose updates have ended would report no survival.
        device = updates[0].mask.device
        is_updated = ~self.stopped[:, None, None].to(device)
        grown = [each.to(device) & is_updated for each in grown]
        n_grown = torch.stack([masks.count(each) for each in grown])
        alive = [masks.count(each & update.mask) for each, update in zip(grown, updates, strict=True)]
        n_alive = torch.stack(alive).double()
        layers = n_alive / n_grown
        survivors = Survivors(list(layers), layers[:-1].nanmean(0), n_alive.sum(0) / n_grown.sum(0))
        if self._early_stop is not None:
            self._judge(survivors.average.cpu(), self._early_stop)
        return survivors

    def unknown(self, n_layers: int) -> Survivors:
        """Return NaN everywhere, for an epoch without a mask update and for the first update."""
        nan = torch.full(self.stopped.shape, torch.nan)
        return Survivors([nan] * n_layers, nan, nan)

    def _judge(self, average: Tensor, rule: EarlyStop) -> None:
        self._averages = [*self._averages, average][-rule.window :]
        if len(self._averages) == rule.window:
            # Not in-place, because a `state_dict` shares these tensors.
            self._times_low = self._times_low + (torch.stack(self._averages).nanmean(0) < rule.threshold)
            self.stopped = self.stopped | (self._times_low > rule.patience)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs to continue."""
        return {name: value for name, value in vars(self).items() if name != "_early_stop"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        vars(self).update(state)
