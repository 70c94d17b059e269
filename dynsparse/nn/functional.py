"""Layers as functions over a leading trials axis: linear, k-winners, duty cycle, batch norm.

Shapes: weights are (trials, out, in), biases (trials, out), activations (trials, batch, units).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# exp(-boost * duty) is a normal float32 up to here, with room for small activations. Above, it may be 0 for many units.
STRONG_BOOST = 60.0
# More than the difference between the logarithms of any two positive numbers of float32.
LOG_RANGE = 200.0
# Intervals of equal width into which confidences are sorted.
CONFIDENCE_BINS = 15
# Of batch norm, added to the variance; torch's default.
EPSILON = 1e-5


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
    result: Tensor = _Linear.apply(x, weight, bias)
    return result


class _Linear(torch.autograd.Function):
    """Torch's own gradient of the weights is a transposed view, with which each pass of an optimizer takes longer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.baddbmm(bias[:, None], x, weight.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        [gradient] = gradients
        x, weight = ctx.saved_tensors
        of_x = gradient @ weight if ctx.needs_input_grad[0] else None
        return of_x, gradient.mT @ x, gradient.sum(1)


def k_winners(x: Tensor, k: Sequence[int], boost: Tensor, duty: Tensor, is_strong: Tensor | None = None) -> Tensor:
    """Keep the k units with the largest x * exp(boost * (k / units - duty)) of each example, and set the others to 0.

    Winners keep their value x, and only winners pass a gradient. Exactly k units win. If units tie for the last place,
    `torch.topk` decides.

    Shapes: x (trials, batch, units); k one number per trial; boost (trials,); duty (trials, units); is_strong, see
    `winner_scores`.
    """
    boosted = winner_scores(x.detach(), boost, duty, is_strong)
    won = torch.zeros_like(x)
    # One k at a time: if units tie, the first k of a larger selection may differ from a selection of k.
    for each in dict.fromkeys(k):
        trials = [i for i, its in enumerate(k) if its == each]
        # A slice of all trials makes no copy.
        some = slice(None) if len(trials) == len(k) else torch.tensor(trials, device=x.device)
        index = boosted[some].topk(each, dim=-1, sorted=False).indices
        # torch.func.vmap is fast for `scatter` alone, not for `scatter_`.
        won[some] = torch.zeros_like(x[some]).scatter(-1, index, 1.0)
    return x * won


def winner_scores(x: Tensor, boost: Tensor, duty: Tensor, is_strong: Tensor | None) -> Tensor:
    """Return numbers in the order of x * exp(boost * (k / units - duty)): float32, or int64 if any trial is strong.

    In strong trials, whose boost strength may make the product 0 for many units, its logarithm is compared.

    Shapes: x and the result (trials, batch, units); boost (trials,); duty (trials, units); is_strong (trials or 1,),
    bool, or None if no trial is strong.
    """
    # The factor exp(boost * k / units) is the same for all units, so the winners are the same without it.
    product = x * torch.exp(-boost[:, None] * duty)[:, None]
    if is_strong is None:
        return product
    number = x.double()
    log = number.abs().clamp(max=torch.finfo(torch.float32).max).log()
    scores = number.sign() / (LOG_RANGE - log + boost_penalty(boost, duty)[:, None])
    scores = torch.where(is_strong[:, None, None], scores, product.double()) + 0.0
    # The bits of floats, read as integers, sort like the floats once all bits of negative ones except the sign are
    # flipped.
    bits = scores.view(torch.int64)
    highest = torch.iinfo(torch.int64).max
    return torch.where(scores.isnan(), highest, torch.where(bits < 0, bits ^ highest, bits))


def boost_penalty(boost: Tensor, duty: Tensor) -> Tensor:
    """Return boost * (duty - lowest duty) of each unit, in float64, with steps between units of at most 200.

    A larger step decides between any two activations, so that a shorter one gives the same winners. The sums stay small
    enough for float64 to hold the activations' logarithms beside them.

    Shapes: boost (trials,); duty (trials, units), and so is the result.
    """
    ordered, order = duty.double().sort(dim=-1)
    steps = (ordered.diff(dim=-1, prepend=ordered[:, :1]) * boost.double()[:, None]).clamp(max=LOG_RANGE)
    return torch.zeros_like(ordered).scatter_(-1, order, steps.cumsum(-1))


def updated_duty(duty: Tensor, out: Tensor, period: int, n_seen: int) -> Tensor:
    """Return the running share of examples for which each unit is positive, after one more batch.

    Shapes: duty (trials, units); out (trials, batch, units). `n_seen` is the number of examples so far, this batch
    included.
    """
    # If a batch is longer than the period, the old duty cycle would get a negative weight.
    n_batch = out.shape[1]
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
        # In float32, the mean of equal numbers may differ from them, and the sign of this rounding error would decide
        # whether ReLU passes a unit without inputs.
        batch_mean = x.double().mean(1).to(x.dtype)
        centred = x - batch_mean[:, None]
        batch_variance = centred.square().mean(1)
        with torch.no_grad():
            n = x.shape[1]
            mean.lerp_(batch_mean, 0.1)
            variance.lerp_(batch_variance * (n / (n - 1)), 0.1)
    else:
        centred, batch_variance = x - mean[:, None], variance
    return torch.addcmul(shift[:, None], centred, (gain * (batch_variance + EPSILON).rsqrt())[:, None])


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
