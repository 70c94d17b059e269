"""Optimizers as pairs of functions over a leading trials axis. `optim_alg` names one in OPTIMIZERS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dynsparse.nn.settings import OptimizerSettings

State = dict[str, Tensor]


@dataclass(frozen=True)
class Optimizer:
    """An optimizer: `init(parameter)` returns its state, and `step_` updates a parameter and its state in place.

    A weight of zero whose state is zero stays zero as long as its gradient is zero. Sparse training therefore only has
    to mask the gradient. In `step_(parameter, gradient, state, t, rate)`, t counts steps from 1. It is a float64
    tensor if the step is recorded as a CUDA graph, so that replays see it change. The rate is the learning rate of the
    step, float32.

    Engines that implement the step themselves read `name` and `values`.

    Shapes: parameter, gradient and each entry of the state are (trials, ...); the rate and each of `values` are ()
    or (trials,).
    """

    name: str
    values: Mapping[str, Tensor]
    init: Callable[[Tensor], State]
    step_: Callable[[Tensor, Tensor, State, int | Tensor, Tensor], None]


def per_trial(value: float | Tensor) -> Tensor:
    """Convert a hyperparameter to the precision of the weights. Shapes: () or (trials,), float32."""
    return torch.as_tensor(value, dtype=torch.float32)


def along(value: Tensor, parameter: Tensor) -> Tensor:
    """Reshape a hyperparameter to multiply it with a parameter. Shapes: () or (trials,) to (trials or 1, 1, ...)."""
    return value.view(-1, *[1] * (parameter.ndim - 1))


def sgd(config: OptimizerSettings) -> Optimizer:
    """Build SGD as `torch.optim.SGD`: with heavy-ball momentum, or Nesterov's if `nesterov` is set."""
    return nesterov(config) if config.nesterov else heavy_ball(config)


def heavy_ball(config: OptimizerSettings) -> Optimizer:
    """Build SGD with momentum: v = momentum v + g + decay w; w -= rate v."""
    momentum, decay = map(per_trial, (config.momentum, config.weight_decay))
    decays = bool(decay.any())

    def step_(parameter: Tensor, gradient: Tensor, state: State, t: int | Tensor, rate: Tensor) -> None:
        velocity = state["velocity"].mul_(along(momentum, parameter)).add_(gradient)
        if decays:
            velocity.addcmul_(parameter, along(decay, parameter))
        parameter.addcmul_(velocity, along(rate, parameter), value=-1)

    return Optimizer("SGD", {"momentum": momentum, "decay": decay}, zero_velocity, step_)


def nesterov(config: OptimizerSettings) -> Optimizer:
    """Build SGD with Nesterov momentum: g' = g + decay w; v = momentum v + g'; w -= rate (g' + momentum v).

    Reference: Ilya Sutskever, James Martens, George Dahl and Geoffrey Hinton, On the Importance of Initialization and
    Momentum in Deep Learning, 2013, https://proceedings.mlr.press/v28/sutskever13.html
    """
    momentum, decay = map(per_trial, (config.momentum, config.weight_decay))

    def step_(parameter: Tensor, gradient: Tensor, state: State, t: int | Tensor, rate: Tensor) -> None:
        gradient = gradient.addcmul(parameter, along(decay, parameter))
        velocity = state["velocity"].mul_(along(momentum, parameter)).add_(gradient)
        step = gradient.addcmul_(velocity, along(momentum, parameter))
        parameter.addcmul_(step, along(rate, parameter), value=-1)

    return Optimizer("Nesterov", {"momentum": momentum, "decay": decay}, zero_velocity, step_)


def zero_velocity(parameter: Tensor) -> State:
    """Return the initial state of SGD."""
    return {"velocity": torch.zeros_like(parameter)}


def adam(config: OptimizerSettings) -> Optimizer:
    """Build Adam as `torch.optim.Adam`, with its usual constants: betas 0.9 and 0.999, epsilon 1e-8.

    Reference: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2014, https://arxiv.org/abs/1412.6980
    """
    decay = per_trial(config.weight_decay)

    def step_(parameter: Tensor, gradient: Tensor, state: State, t: int | Tensor, rate: Tensor) -> None:
        adam_step_(parameter, gradient.addcmul(parameter, along(decay, parameter)), state, t, rate)

    return Optimizer("Adam", {"decay": decay}, zero_moments, step_)


def adamw(config: OptimizerSettings) -> Optimizer:
    """Build AdamW as `torch.optim.AdamW`: w -= rate decay w, then a step of Adam without weight decay.

    Reference: Ilya Loshchilov and Frank Hutter, Decoupled Weight Decay Regularization, 2019,
    https://arxiv.org/abs/1711.05101
    """
    decay = per_trial(config.weight_decay)

    def step_(parameter: Tensor, gradient: Tensor, state: State, t: int | Tensor, rate: Tensor) -> None:
        parameter.mul_(along(1 - rate * decay, parameter))
        adam_step_(parameter, gradient, state, t, rate)

    return Optimizer("AdamW", {"decay": decay}, zero_moments, step_)


def adam_step_(parameter: Tensor, gradient: Tensor, state: State, t: int | Tensor, rate: Tensor) -> None:
    """Do a step of Adam without weight decay. See `Optimizer` for the arguments."""
    mean = state["mean"].lerp_(gradient, 0.1)
    square = state["square"].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    scale = (square / (1 - 0.999**t)).sqrt_().add_(1e-8)
    parameter.addcdiv_(mean * (along(rate, parameter) / (1 - 0.9**t)), scale, value=-1)


def zero_moments(parameter: Tensor) -> State:
    """Return the initial state of Adam: running means of the gradient and of its square."""
    return {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}


OPTIMIZERS: dict[str, Callable[[OptimizerSettings], Optimizer]] = {"SGD": sgd, "Adam": adam, "AdamW": adamw}
