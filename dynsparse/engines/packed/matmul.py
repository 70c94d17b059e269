"""Matrix products of a layer over a pack of trials.

Trials are split into groups of equal size, and the trials of a group have the same inputs: their weight matrices are
multiplied as the rows of one large matrix. In the first layer a group is the trials of one seed, which share each
batch. In the other layers each trial is a group of its own.

Shapes: inputs are (groups, batch, in) in every layer; tensors that belong to trials are (trials, ...).
"""

from __future__ import annotations

import torch
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute x @ weight^T + bias.

    Shapes: x (groups, batch, in), weight (trials, out, in), bias (trials, out); result (trials, batch, out).
    """
    n_groups, _, n_in = x.shape
    out = torch.baddbmm(bias.reshape(n_groups, 1, -1), x, weight.view(n_groups, -1, n_in).mT)
    return _split_units(out, len(weight))


def weight_gradient_(result: Tensor, gradient: Tensor, x: Tensor) -> None:
    """Compute the gradient of the weights, gradient^T @ x, into `result`.

    Shapes: result (trials, out, in); gradient (trials, batch, out), of the layer's outputs; x (groups, batch, in).
    """
    n_groups, _, n_in = x.shape
    torch.bmm(_join_units(gradient, n_groups).mT, x, out=result.view(n_groups, -1, n_in))


def add_coactivation_counts_(total: Tensor, active: Tensor, x_active: Tensor) -> None:
    """Add to `total`, for each connection, the number of examples for which both of its units are active.

    Shapes: total (trials, out, in), active (trials, batch, out), x_active (groups, batch, in). The last two are 0 or 1,
    as floats.
    """
    n_groups, _, n_in = x_active.shape
    total.view(n_groups, -1, n_in).baddbmm_(_join_units(active, n_groups).mT, x_active)


def expand_to_trials(values: Tensor, n_trials: int) -> Tensor:
    """Repeat the values of each group for each of its trials. Shapes: (groups, batch, ...) to (trials, batch, ...)."""
    n_groups, *rest = values.shape
    return values[:, None].expand(n_groups, n_trials // n_groups, *rest).reshape(n_trials, *rest)


def _join_units(values: Tensor, n_groups: int) -> Tensor:
    """Put the units of a group's trials side by side. It makes a copy if a group has several trials.

    Shapes: (trials, batch, units) to (groups, batch, trials of a group * units).
    """
    n_trials, n_batch, n_units = values.shape
    split = values.view(n_groups, n_trials // n_groups, n_batch, n_units)
    return split.transpose(1, 2).reshape(n_groups, n_batch, -1)


def _split_units(values: Tensor, n_trials: int) -> Tensor:
    """Undo `_join_units`. The result is contiguous, so that sums do not depend on a trial's place in its pack."""
    n_groups, n_batch, _ = values.shape
    joined = values.view(n_groups, n_batch, n_trials // n_groups, -1)
    return joined.transpose(1, 2).reshape(n_trials, n_batch, -1).contiguous()
