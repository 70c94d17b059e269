"""Whether grown weights last: the share of those that one mask update grew that is still active after the next."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from dynsparse.methods import MaskUpdate
from dynsparse.ops import masks
from dynsparse.planning.plan import EarlyStop


class Survivors(NamedTuple):
    """Shares in [0, 1], NaN where nothing had grown. Shapes: (trials,)."""

    layers: list[Tensor]  # of each layer
    average: Tensor  # mean over layers, without the last
    overall: Tensor  # of all layers' weights together


class Survival:
    """Follows the weights that the last mask update grew, and ends the updates of a trial if too few survive."""

    def __init__(self, n_trials: int, early_stop: EarlyStop | None) -> None:
        self._early_stop = early_stop
        self._grown: list[Tensor] = []
        self._averages: list[Tensor] = []  # of the last updates, at most as many as the window
        self._times_low = torch.zeros(n_trials, dtype=torch.int64)
        self.stopped = torch.zeros(n_trials, dtype=torch.bool)  # trials whose mask updates have ended

    def after(self, updates: list[MaskUpdate]) -> Survivors:
        """What has survived this update; from now on the weights that it grew are followed."""
        grown, self._grown = self._grown, [update.grown for update in updates]
        if not grown:
            return self.unknown(len(updates))
        # A trial whose updates have ended, alone, would have no more of them, and no survivors to report.
        device = updates[0].mask.device
        goes_on = ~self.stopped[:, None, None].to(device)
        grown = [each.to(device) & goes_on for each in grown]
        n_grown = torch.stack([masks.count(each) for each in grown])
        alive = [masks.count(each & update.mask) for each, update in zip(grown, updates, strict=True)]
        n_alive = torch.stack(alive).double()
        layers = n_alive / n_grown
        survivors = Survivors(list(layers), layers[:-1].nanmean(0), n_alive.sum(0) / n_grown.sum(0))
        if self._early_stop is not None:
            self._judge(survivors.average.cpu(), self._early_stop)
        return survivors

    def unknown(self, n_layers: int) -> Survivors:
        """After an epoch without an update, and after the first one."""
        nan = torch.full(self.stopped.shape, torch.nan)
        return Survivors([nan] * n_layers, nan, nan)

    def _judge(self, average: Tensor, rule: EarlyStop) -> None:
        self._averages = [*self._averages, average][-rule.window :]
        if len(self._averages) == rule.window:
            # Not in place: a `state_dict` has these tensors themselves.
            self._times_low = self._times_low + (torch.stack(self._averages).nanmean(0) < rule.threshold)
            self.stopped = self.stopped | (self._times_low > rule.patience)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to continue."""
        return {name: value for name, value in vars(self).items() if name != "_early_stop"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        vars(self).update(state)
