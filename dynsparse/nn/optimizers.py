"""Optimisers as functions: state and gradient in, state and step out. A row of OPTIMIZERS is `optim_alg="..."`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dynsparse.nn.settings import OptimizerSettings

State = dict[str, Tensor]


@dataclass(frozen=True)
class Optimizer:
    """`init(parameter)` gives the state; `step_` moves a parameter, and its state, in place.

    A position whose gradient has always been zero since its state was zero stays where it is: so masking the gradient
    is all that sparse training needs. `step_(parameter, gradient, state, t)`: t counts steps from 1; a tensor, float64,
    where a recorded step is to see it change.

    `name` and `values` are for engines that have a `step_` of their own.

    Shapes: parameter, gradient and each entry of the state are alike, (trials, ...); each of `values` () or (trials,).
    """

    name: str
    values: Mapping[str, Tensor]
    init: Callable[[Tensor], State]
    step_: Callable[[Tensor, Tensor, State, int | Tensor], None]


def per_trial(value: float | Tensor) -> Tensor:
    """A hyperparameter of each trial in the precision of the weights. Shapes: () or (trials,), float32."""
    return torch.as_tensor(value, dtype=torch.float32)


def along(value: Tensor, parameter: Tensor) -> Tensor:
    """A hyperparameter shaped to be multiplied with a parameter. Shapes: () or (trials,) to (trials or 1, 1, ...)."""
    return value.view(-1, *[1] * (parameter.ndim - 1))


def sgd(config: OptimizerSettings) -> Optimizer:
    """Stochastic gradient descent with momentum, as `torch.optim.SGD`: v = momentum v + g + decay w; w -= rate v."""
    rate, momentum, decay = map(per_trial, (config.learning_rate, config.momentum, config.weight_decay))

    def step_(parameter: Tensor, gradient: Tensor, state: State, t: int | Tensor) -> None:
        velocity = state["velocity"].mul_(along(momentum, parameter)).add_(gradient)
        velocity.addcmul_(parameter, along(decay, parameter))
        parameter.addcmul_(velocity, along(rate, parameter), value=-1)

    values = {"rate": rate, "momentum": momentum, "decay": decay}
    return Optimizer("SGD", values, lambda parameter: {"velocity": torch.zeros_like(parameter)}, step_)


def adam(config: OptimizerSettings) -> Optimizer:
    """Adam as `torch.optim.Adam`, with its usual constants: betas 0.9 and 0.999, epsilon 1e-8.

    Reference: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2014, https://arxiv.org/abs/1412.6980
    """
    rate, decay = map(per_trial, (config.learning_rate, config.weight_decay))

    def step_(parameter: Tensor, gradient: Tensor, state: State, t: int | Tensor) -> None:
        gradient = gradient.addcmul(parameter, along(decay, parameter))
        mean = state["mean"].lerp_(gradient, 0.1)
        square = state["square"].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = (square / (1 - 0.999**t)).sqrt_().add_(1e-8)
        parameter.addcdiv_(mean * (along(rate, parameter) / (1 - 0.9**t)), scale, value=-1)

    def init(parameter: Tensor) -> State:
        return {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}

    return Optimizer("Adam", {"rate": rate, "decay": decay}, init, step_)


OPTIMIZERS: dict[str, Callable[[OptimizerSettings], Optimizer]] = {"SGD": sgd, "Adam": adam}
