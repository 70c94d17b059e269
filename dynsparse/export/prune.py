"""Pruning of a trained network as the sweep of its trial prunes it."""

from __future__ import annotations

from dataclasses import replace

from dynsparse.config import Config
from dynsparse.engines.base import tie_noise
from dynsparse.planning.plan import Plan, plan
from dynsparse.random import Purpose
from dynsparse.studies import KINDS, Parameters
from dynsparse.studies.sweep import Pruned


def plan_of(config: Config) -> Plan:
    """Return the plan of a trial on the CPU."""
    return plan([replace(config, device="cpu", engine="torch")])


def prune(config: Config, parameters: Parameters, kind: str, sparsity: float) -> Pruned:
    """Prune weights or units, with the noise of the trial's seed where they are equal.

    Shapes: without the trials axis.

    Raises:
        ValueError: If the shapes are not those of the trial's network.
    """
    want = plan_of(config)
    if [tuple(each.shape) for each in parameters.weights] != want.network.shapes:
        raise ValueError("A compressed network cannot be pruned. Prune it before compressing it.")
    layers = range(len(parameters.weights))
    ties = [tie_noise(want, Purpose.PRUNE_TRAINED, layer, 0)[0] for layer in layers]
    return KINDS[kind](config)(parameters, sparsity, ties)
