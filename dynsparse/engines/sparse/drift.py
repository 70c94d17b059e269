"""The drift of `engines.drift` for active weights alone: no random numbers are drawn for inactive positions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from dynsparse.engines.sparse.arrays import Array
from dynsparse.engines.sparse.noise import uniform_at
from dynsparse.nn.init import WeightInit, standard_normal
from dynsparse.planning.plan import Plan, of_trial
from dynsparse.random import Purpose, Stream


class TrialDrift(NamedTuple):
    """The drift of one trial: see `methods.base.Drift`."""

    seed: int
    l1: float
    temperature: float


def trial_drift(plan: Plan, trial: int) -> TrialDrift | None:
    """Return the drift of a trial, or None if its method has none."""
    drift = plan.method.drift
    if drift is None:
        return None
    return TrialDrift(plan.seeds[trial], of_trial(drift.l1, trial), of_trial(drift.temperature, trial))


def signs_at(weight_init: WeightInit, seed: int, layer: int, positions: Array) -> Array:
    """Return 1 or -1 for some positions of a layer, as `engines.drift.position_signs`.

    Shapes: positions (n,), int64, ascending; the result (n,), float32.
    """
    numbers = uniform_at(Stream(seed, Purpose.WEIGHT, layer=layer), positions)
    weights = weight_init.draw(torch.from_numpy(numbers)).numpy()
    return np.where(weights < 0, np.float32(-1), np.float32(1))


def weights_after_drift(
    drift: TrialDrift, weights: Array, signs: Array, layer: int, positions: Array, rate: np.float32, step: int
) -> Array:
    """Return the active weights of a layer after the drift of a step.

    Args:
        drift: that of the trial.
        weights: the active weights. Shapes: (n,), float32, as the result.
        signs: of their positions, from `signs_at`. Shapes: (n,).
        layer: the index of the layer.
        positions: of the weights in the flattened layer, ascending. Shapes: (n,), int64.
        rate: the learning rate of the step.
        step: the number of the step, from 1.
    """
    moved = weights - signs * (rate * np.float32(drift.l1))
    deviation = np.sqrt(2 * rate * np.float32(drift.temperature))
    if deviation > 0:
        numbers = uniform_at(Stream(drift.seed, Purpose.WEIGHT_NOISE, layer=layer, step=step), positions)
        moved += deviation * standard_normal(torch.from_numpy(numbers)).numpy()
    return moved
