"""The study "sweep": prune a trained network to several sparsities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dynsparse.pruning import prune_units, prune_weights
from dynsparse.studies.base import Columns, NetworkState, Parameters, Step, StepContext, Study, train_steps
from dynsparse.studies.settings import StudySettings


def sweep(config: StudySettings) -> Study:
    """Train once, then prune by each of `prune_kinds` to each of `sparsities`; each evaluation gives a row.

    Each sparsity starts from the trained network. With `prune_iteratively` it starts from the retrained network of the
    previous sparsity. The row after pruning has `retrained` 0, and each epoch of retraining adds a row. Pruned weights
    stay 0 during retraining. Pruned biases have no mask and are trained again. Pruned units stay 0, and so do their
    biases, and the gains and shifts of the norms that follow them.

    Reference:
        Song Han, Jeff Pool, John Tran and William Dally, Learning both Weights and Connections for Efficient Neural
        Networks, 2015, https://arxiv.org/abs/1506.02626
    """
    # Without retraining, pruning step by step gives the same networks.
    iterative = config.retrain_epochs > 0 and config.prune_iteratively
    steps = train_steps(config.epochs)
    steps[-1] = replace(steps[-1], keep=True)
    for kind in config.prune_kinds:
        prune = KINDS[kind](config)
        for place, sparsity in enumerate(config.sparsities):
            again = iterative and place > 0
            columns: Columns = {"pruning": kind, "sparsity": sparsity}
            begin = partial(_pruned, prune, sparsity, again)
            # Each sparsity is retrained on the same order of examples, whatever precedes it in the lists.
            epoch = None if again else config.epochs
            steps.append(Step({**columns, "retrained": 0}, begin, train=False, epoch=epoch))
            steps += [Step({**columns, "retrained": number + 1}) for number in range(config.retrain_epochs)]
    return Study(steps, relu_only="unit" in config.prune_kinds and config.retrain_epochs > 0)


class Pruned(NamedTuple):
    """The parameters of a pruned network, and which units are kept."""

    parameters: Parameters
    kept_units: list[Tensor] | None = None  # (trials, out) for each layer, bool; None: all


# Returns the pruned network of a network, a sparsity and noise.
Prune = Callable[[Parameters, float, list[Tensor]], Pruned]


def _weights(config: StudySettings) -> Prune:
    # The keys are read here, not while pruning, because `keys_read` only builds the study.
    biases_too, last_layer, scope = config.prune_biases, config.prune_last_layer, config.prune_scope

    def prune(network: Parameters, sparsity: float, noise: list[Tensor]) -> Pruned:
        pruned = prune_weights(
            network.weights, network.biases, sparsity, noise, biases_too=biases_too, last_layer=last_layer, scope=scope
        )
        masks = [mask & kept for mask, kept in zip(network.masks, pruned.masks, strict=True)]
        return Pruned(Parameters(pruned.weights, pruned.biases, masks))

    return prune


def _units(config: StudySettings) -> Prune:
    scope = config.prune_scope

    def prune(network: Parameters, sparsity: float, noise: list[Tensor]) -> Pruned:
        pruned = prune_units(network.weights, network.biases, sparsity, noise, scope=scope)
        masks = [mask & units[..., None] for mask, units in zip(network.masks, pruned.kept, strict=True)]
        return Pruned(Parameters(pruned.weights, pruned.biases, masks), pruned.kept)

    return prune


KINDS: dict[str, Callable[[StudySettings], Prune]] = {"weight": _weights, "unit": _units}


def _pruned(prune: Prune, sparsity: float, again: bool, context: StepContext) -> NetworkState:
    network = context.now if again else context.kept["trained"]
    # All sparsities use the same noise, so that a weight pruned at one sparsity is pruned at every higher one.
    pruned = prune(network.parameters, sparsity, context.noise(0))
    return NetworkState(pruned.parameters, _zero_units(network.units, pruned.kept_units))


def _zero_units(units: Mapping[str, Any], kept: list[Tensor] | None) -> Mapping[str, Any]:
    """Return the state of the units after some are pruned.

    In a multilayer perceptron with batch norm, their gains and shifts become 0. ReLU has no gradient at 0, so they stay
    0 when the network is trained again. The engine of torch modules reads `kept_units`.
    """
    if kept is None:
        return units
    # The output layer, the last one, has no norm.
    changed = {
        name: [torch.where(stays.to(each.device), each, 0) for stays, each in zip(kept, units[name], strict=False)]
        for name in ("gains", "shifts")
        if name in units
    }
    if "kept_units" in units:
        changed["kept_units"] = [
            now & before.to(now.device) for now, before in zip(kept, units["kept_units"], strict=True)
        ]
    return {**units, **changed}
