"""Optimizer steps over arrays of parameters, with the formulas of `nn/optimizers.py`. Compiled by Numba."""

from __future__ import annotations

import math

import numpy as np

from dynsparse.engines.sparse.compiler import inlined


@inlined
def sgd_step(parameter, gradient, velocity, rate, momentum, decay):  # type: ignore[no-untyped-def]
    """Do a step of stochastic gradient descent with momentum, and set the gradient to zero. Shapes: all (n,)."""
    for i in range(len(parameter)):
        velocity[i] = velocity[i] * momentum + gradient[i] + parameter[i] * decay
        parameter[i] -= velocity[i] * rate
        gradient[i] = 0


@inlined
def nesterov_step(parameter, gradient, velocity, rate, momentum, decay):  # type: ignore[no-untyped-def]
    """Do a step of SGD with Nesterov momentum, and set the gradient to zero. Shapes: all (n,)."""
    for i in range(len(parameter)):
        g = gradient[i] + parameter[i] * decay
        velocity[i] = velocity[i] * momentum + g
        parameter[i] -= (g + velocity[i] * momentum) * rate
        gradient[i] = 0


@inlined
def adam_step(parameter, gradient, mean, square, rate, decay, mean_correction, square_correction):  # type: ignore[no-untyped-def]
    """Do a step of Adam with betas 0.9 and 0.999 and epsilon 1e-8, and set the gradient to zero.

    The corrections are 1 - 0.9**t and 1 - 0.999**t in step t.

    Shapes: parameter, gradient, mean, square (n,).
    """
    for i in range(len(parameter)):
        g = gradient[i] + parameter[i] * decay
        mean[i] += (g - mean[i]) * np.float32(0.1)
        square[i] = square[i] * np.float32(0.999) + g * g * np.float32(0.001)
        scale = np.float32(math.sqrt(square[i] / square_correction)) + np.float32(1e-8)
        parameter[i] -= mean[i] / mean_correction / scale * rate
        gradient[i] = 0


@inlined
def adamw_step(parameter, gradient, mean, square, rate, decay, mean_correction, square_correction):  # type: ignore[no-untyped-def]
    """Do a step of AdamW, which lowers each parameter by the share rate * decay first. See `adam_step`."""
    for i in range(len(parameter)):
        g = gradient[i]
        mean[i] += (g - mean[i]) * np.float32(0.1)
        square[i] = square[i] * np.float32(0.999) + g * g * np.float32(0.001)
        scale = np.float32(math.sqrt(square[i] / square_correction)) + np.float32(1e-8)
        parameter[i] *= np.float32(1) - rate * decay
        parameter[i] -= mean[i] / mean_correction / scale * rate
        gradient[i] = 0


@inlined
def clip_gradient(gradient, clip_norm):  # type: ignore[no-untyped-def]
    """Scale a gradient down to the norm `clip_norm` if its norm is larger. Shapes: gradient (n,)."""
    squares = 0.0
    for i in range(len(gradient)):
        squares += np.float64(gradient[i]) * np.float64(gradient[i])
    factor = np.float32(min(clip_norm / (math.sqrt(squares) + 1e-6), 1.0))
    for i in range(len(gradient)):
        gradient[i] *= factor


# `arrays.OptimizerArrays.kind` is an index of this tuple.
KINDS = ("SGD", "Nesterov", "Adam", "AdamW")
SGD, NESTEROV, ADAM, ADAMW = range(len(KINDS))


@inlined
def optimizer_step(optimizer, rate, step):  # type: ignore[no-untyped-def]
    """Update the parameters, and set their gradients to zero. `step` is the number of this step, counted from 1."""
    values, gradient, first, second = optimizer.values, optimizer.gradient, optimizer.first, optimizer.second
    if optimizer.clip_norm < np.inf:
        clip_gradient(gradient, optimizer.clip_norm)
    mean_correction = np.float32(1 - math.pow(0.9, step))
    square_correction = np.float32(1 - math.pow(0.999, step))
    momentum, decay = optimizer.momentum, optimizer.decay
    if optimizer.kind == SGD:
        sgd_step(values, gradient, first, rate, momentum, decay)
    elif optimizer.kind == NESTEROV:
        nesterov_step(values, gradient, first, rate, momentum, decay)
    elif optimizer.kind == ADAM:
        adam_step(values, gradient, first, second, rate, decay, mean_correction, square_correction)
    else:
        adamw_step(values, gradient, first, second, rate, decay, mean_correction, square_correction)
