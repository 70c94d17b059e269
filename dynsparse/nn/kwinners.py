"""k-winners as torch modules, for networks of the user's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dynsparse.nn.functional import k_winners
from dynsparse.nn.mlp import k_winners_settings
from dynsparse.nn.settings import ModuleSettings


class KWinners(nn.Module):
    """Keep the k largest of all outputs of a layer for each example, over channels and positions, and set others to 0.

    With n outputs per example, k = round(percent_on * n) in training, and k times `k_inference_factor`, rounded down,
    in evaluation. The outputs with the largest x * exp(boost * (k / n - duty of the channel)) win and pass their x;
    only they pass a gradient. The channels of a linear layer are its units.

    The attributes are buffers, which a trial saves with its weights.

    Args:
        n_channels: Channels of the inputs, or units.
        settings: The settings of the trial.

    Attributes:
        duty: The share of examples and positions at which each channel is a positive winner, in training, over the last
            `duty_cycle_period` examples. Shapes: (channels,).
        boost: `boost_strength` at first; multiplied by `boost_strength_factor` after each epoch.
        n_seen: The number of training examples so far.

    Shapes: inputs (batch, channels) or (batch, channels, ...), and so are the outputs.

    Raises: ValueError in the forward pass if `percent_on` leaves no winner.

    Example:
        >>> import torch
        >>> from dynsparse import Config
        >>> from dynsparse.nn.kwinners import KWinners
        >>> winners = KWinners(2, Config(percent_on=0.5))
        >>> winners(torch.tensor([[[3.0, 4.0], [1.0, 2.0]]]))
        tensor([[[3., 4.],
                 [0., 0.]]])
        >>> winners.duty
        tensor([1., 0.])

    Reference: Subutai Ahmad and Luiz Scheinkman, How Can We Be So Dense? The Benefits of Using Highly Sparse
    Representations, 2019, https://arxiv.org/abs/1903.11257 (the k-winners of its convolutional layers)
    """

    duty: Tensor
    boost: Tensor
    n_seen: Tensor

    def __init__(self, n_channels: int, settings: ModuleSettings) -> None:
        super().__init__()
        self._settings = k_winners_settings(settings)
        self._is_strong = self._settings.is_strong
        self.register_buffer("duty", torch.zeros(n_channels))
        self.register_buffer("boost", torch.tensor(float(self._settings.boost_strength)))
        self.register_buffer("n_seen", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Select the winners; in training, update the duty cycles."""
        out = self._select(x)
        if self.training:
            self._update_duty_(out.detach())
        return out

    def end_epoch(self) -> None:
        """Decay the boost strength. The engine calls it after each epoch of training."""
        self.boost.mul_(torch.as_tensor(self._settings.boost_factor).to(self.boost))

    def _select(self, x: Tensor) -> Tensor:
        rows = x.flatten(1)
        return self._winners(rows, self.duty.repeat_interleave(rows.shape[1] // len(self.duty))).view_as(x)

    def _winners(self, rows: Tensor, duty: Tensor) -> Tensor:
        """Return the winners of each row. Shapes: rows (rows, outputs), and so is the result; duty (outputs,)."""
        # While torch traces the module for an export, sizes are tensors.
        n = int(rows.shape[1])
        if round(float(self._settings.activation_density) * n) < 1:
            density = f"{float(self._settings.activation_density):g}"
            raise ValueError(f"percent_on={density} leaves no winner among {n} outputs. Raise percent_on.")
        k = self._settings.winners(n, training=self.training)
        strong = None if self._is_strong is None else self._is_strong.to(rows.device)
        return k_winners(rows[None], k, self.boost[None], duty[None], strong)[0]

    @torch.no_grad()
    def _update_duty_(self, out: Tensor) -> None:
        self.n_seen += len(out)
        shares = (out > 0).flatten(1).view(len(out), len(self.duty), -1).float().mean(-1)
        # A tensor, so that `torch.func.vmap` can stack the modules of many trials.
        length = self.n_seen.clamp(max=self._settings.period).clamp(min=len(out))
        self.duty.copy_((self.duty * (length - len(out)) + shares.sum(0)) / length)


class LocalKWinners(KWinners):
    """Keep the k largest channels at each position of each example, and set the others to 0; else as `KWinners`.

    So n is the number of channels, and every position keeps k of them.

    Example:
        >>> import torch
        >>> from dynsparse import Config
        >>> from dynsparse.nn.kwinners import LocalKWinners
        >>> winners = LocalKWinners(2, Config(percent_on=0.5))
        >>> winners(torch.tensor([[[3.0, 1.0], [1.0, 2.0]]]))
        tensor([[[3., 0.],
                 [0., 2.]]])
        >>> winners.duty
        tensor([0.5000, 0.5000])
    """

    def _select(self, x: Tensor) -> Tensor:
        channels_last = x.movedim(1, -1)
        rows = channels_last.reshape(-1, len(self.duty))
        return self._winners(rows, self.duty).view(channels_last.shape).movedim(-1, 1)


def activation(n_channels: int, settings: ModuleSettings) -> nn.Module:
    """Return `KWinners` for a trial with kwinners=True, else ReLU.

    Example:
        >>> from dynsparse import Config
        >>> from dynsparse.nn.kwinners import activation
        >>> activation(64, Config(kwinners=False))
        ReLU()
    """
    return KWinners(n_channels, settings) if settings.kwinners else nn.ReLU()
