"""Layers as functions over a leading trials axis: linear, k-winners, duty cycle, batch norm.

Shapes: weights are (trials, out, in), biases (trials, out), activations (trials, batch, units).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Intervals of equal width into which confidences are sorted.
CONFIDENCE_BINS = 15


def clip_factor(squares: Tensor, clip_norm: float | Tensor) -> Tensor:
    """Return the factor that limits the norm of each trial's gradient, as `torch.nn.utils.clip_grad_norm_`.

    Shapes: squares (trials,), the sum of the squared gradients of all parameters; clip_norm () or (trials,); result
    (trials,), at most 1.
    """
    limit = torch.as_tensor(clip_norm).to(squares)
    return (limit / (squares.sqrt() + 1e-6)).clamp(max=1)


def smoothed(losses: Tensor, log_probabilities: Tensor, smoothing: Tensor) -> Tensor:
    """Return the cross-entropy with smoothed labels, as `torch.nn.functional.cross_entropy`.

    Shapes: losses (trials, batch), without smoothing; log_probabilities (trials, batch, classes); smoothing
    (trials or 1,).
    """
    share = smoothing[:, None]
    return (1 - share) * losses - share * log_probabilities.mean(-1)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute x @ weight^T + bias for each trial. Shapes: (trials, batch, in) to (trials, batch, out)."""
    return torch.baddbmm(bias[:, None], x, weight.mT)


def k_winners(x: Tensor, k: Sequence[int], boost: Tensor, duty: Tensor) -> Tensor:
    """Keep the k units with the largest x * exp(boost * (k / units - duty)) of each example, and set the others to 0.

    Winners keep their value x, and only winners pass a gradient. Exactly k units win. If units tie for the last place,
    `torch.topk` decides.

    Shapes: x (trials, batch, units); k one number per trial; boost (trials,); duty (trials, units).
    """
    # The factor exp(boost * k / units) is the same for all units, so the winners are the same without it.
    boosted = x.detach() * torch.exp(-boost[:, None] * duty)[:, None]
    won = torch.zeros_like(x)
    # One k at a time: if units tie, the first k of a larger selection may differ from a selection of k.
    for each in dict.fromkeys(k):
        trials = [i for i, its in enumerate(k) if its == each]
        # A slice of all trials makes no copy.
        some = slice(None) if len(trials) == len(k) else torch.tensor(trials, device=x.device)
        index = boosted[some].topk(each, dim=-1, sorted=False).indices
        won[some] = torch.zeros_like(boosted[some]).scatter_(-1, index, 1.0)
    return x * won


def updated_duty(duty: Tensor, out: Tensor, period: int, n_seen: int) -> Tensor:
    """Return the running share of examples for which each unit is positive, after one more batch.

    Shapes: duty (trials, units); out (trials, batch, units). `n_seen` is the number of examples so far, this batch
    included.
    """
    n_batch = out.shape[1]
    # If a batch is longer than the period, the old duty cycle would get a negative weight.
    length = max(min(period, n_seen), n_batch)
    return (duty * (length - n_batch) + (out > 0).sum(1)) / length


def batch_norm(x: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, *, training: bool) -> Tensor:
    """Normalise each unit over the batch, per trial.

    In training the running `mean` and `variance` move a tenth of the way to those of the batch, in place. This does not
    call torch's own function, whose rounding would depend on the number of trials in the pack.

    Shapes: x (trials, batch, units), with at least 2 examples in training; the others (trials, units).

    Reference: Ioffe and Szegedy, Batch Normalization, 2015, https://arxiv.org/abs/1502.03167
    """
    if training:
        batch_mean = x.mean(1)
        centred = x - batch_mean[:, None]
        batch_variance = centred.square().mean(1)
        with torch.no_grad():
            n = x.shape[1]
            mean.lerp_(batch_mean, 0.1)
            variance.lerp_(batch_variance * (n / (n - 1)), 0.1)
    else:
        centred, batch_variance = x - mean[:, None], variance
    return torch.addcmul(shift[:, None], centred, (gain * (batch_variance + 1e-5).rsqrt())[:, None])


def calibration_gaps(confidence: Tensor, correct: Tensor) -> Tensor:
    """Sum correct - confidence over the examples of each interval of confidence: (0, 1/15], (1/15, 2/15], ...

    The sum of the absolute values over the number of examples is the expected calibration error. A NaN counts in the
    first interval.

    Shapes: confidence, the highest probability of a class, and correct, bool (..., examples); the result (..., 15),
    float64.

    Reference:
        Chuan Guo, Geoff Pleiss, Yu Sun and Kilian Weinberger, On Calibration of Modern Neural Networks, 2017,
        https://arxiv.org/abs/1706.04599
    """
    place = (confidence * CONFIDENCE_BINS).ceil().nan_to_num(1).clamp(1, CONFIDENCE_BINS) - 1
    gap = correct.double() - confidence.double()
    return torch.stack([torch.where(place == each, gap, 0).sum(-1) for each in range(CONFIDENCE_BINS)], dim=-1)
