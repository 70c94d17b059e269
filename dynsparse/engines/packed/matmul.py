"""The matrix products of a layer over a pack, as wide as the trials that share their inputs.

The trials are in runs, each as long as the others, and the trials of a run have the same inputs: their weights stand
below each other as those of one wide layer. In the first layer a run is the trials of one seed, which share each batch;
in all others a trial is a run of its own.

Shapes: inputs are (runs, batch, in), of the first layer or of any; what belongs to the trials is (trials, ...).
"""

from __future__ import annotations

import torch
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x @ weight^T + bias. Shapes: weight (trials, out, in), bias (trials, out); result (trials, batch, out)."""
    n_runs, _, n_in = x.shape
    out = torch.baddbmm(bias.reshape(n_runs, 1, -1), x, weight.view(n_runs, -1, n_in).mT)
    return _apart(out, len(weight))


def weight_gradient_(result: Tensor, gradient: Tensor, x: Tensor) -> None:
    """The gradient of the weights from that of the layer's result, gradient^T @ x, into `result`.

    Shapes: result (trials, out, in), gradient (trials, batch, out).
    """
    n_runs, _, n_in = x.shape
    torch.bmm(_beside(gradient, n_runs).mT, x, out=result.view(n_runs, -1, n_in))


def add_counts_(total: Tensor, active: Tensor, x_active: Tensor) -> None:
    """Add, for each connection, the examples for which both of its units are active. All are 0 or 1, as floats.

    Shapes: total (trials, out, in), active (trials, batch, out), x_active as inputs.
    """
    n_runs, _, n_in = x_active.shape
    total.view(n_runs, -1, n_in).baddbmm_(_beside(active, n_runs).mT, x_active)


def of_trials(values: Tensor, n_trials: int) -> Tensor:
    """What each trial of a run has. Shapes: (runs, batch) to (trials, batch)."""
    n_runs, n_batch = values.shape
    return values[:, None].expand(n_runs, n_trials // n_runs, n_batch).reshape(n_trials, n_batch)


def _beside(values: Tensor, n_runs: int) -> Tensor:
    """The units of a run's trials beside each other. Shapes: (trials, batch, units) to (runs, batch, trials * units).

    A copy, if runs have more than one trial.
    """
    n_trials, n_batch, n_units = values.shape
    apart = values.view(n_runs, n_trials // n_runs, n_batch, n_units)
    return apart.transpose(1, 2).reshape(n_runs, n_batch, -1)


def _apart(values: Tensor, n_trials: int) -> Tensor:
    """The other way round; contiguous, so that a sum is the same wherever in its pack a trial is."""
    n_runs, n_batch, _ = values.shape
    beside = values.view(n_runs, n_batch, n_trials // n_runs, -1)
    return beside.transpose(1, 2).reshape(n_trials, n_batch, -1).contiguous()
