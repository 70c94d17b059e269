"""Pruning after training, over a list of sparsities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor

from dynsparse.pruning import prune_units, prune_weights
from dynsparse.studies.base import Columns, NetworkState, Occasion, Parameters, Step, Study, training
from dynsparse.studies.settings import StudySettings


def sweep(config: StudySettings) -> Study:
    """Train once; then prune by each kind to each sparsity, and test: a row for each.

    Every sparsity begins with the trained network; with `prune_iteratively` with the one before, as its retraining
    left it. Retraining gives a row for each of its epochs, after the one that has `retrained` 0. Pruned weights stay 0
    in it; pruned biases, which no mask holds, are trained again.

    Reference: Song Han, Jeff Pool, John Tran and William Dally, Learning both Weights and Connections for Efficient
    Neural Networks, 2015, https://arxiv.org/abs/1506.02626
    """
    # Without training in between it would make no difference.
    iterative = config.retrain_epochs > 0 and config.prune_iteratively
    steps = training(config.epochs)
    steps[-1] = replace(steps[-1], keep=True)
    for kind in config.prune_kinds:
        prune = KINDS[kind](config)
        for place, sparsity in enumerate(config.sparsities):
            again = iterative and place > 0
            columns: Columns = {"pruning": kind, "sparsity": sparsity}
            begin = partial(_pruned, prune, sparsity, again)
            # Retrained in the same order of examples whatever stands before it in the lists.
            epoch = None if again else config.epochs
            steps.append(Step({**columns, "retrained": 0}, begin, train=False, epoch=epoch))
            steps += [Step({**columns, "retrained": number + 1}) for number in range(config.retrain_epochs)]
    return Study(steps, relu_only="unit" in config.prune_kinds and config.retrain_epochs > 0)


# From a network, a sparsity and noise to the pruned network.
Prune = Callable[[Parameters, float, list[Tensor]], Parameters]


def _weights(config: StudySettings) -> Prune:
    # Read here, not when it prunes: `keys_read` looks at what a study is made of.
    biases_too, last_layer, scope = config.prune_biases, config.prune_last_layer, config.prune_scope

    def prune(network: Parameters, sparsity: float, noise: list[Tensor]) -> Parameters:
        pruned = prune_weights(
            network.weights, network.biases, sparsity, noise, biases_too=biases_too, last_layer=last_layer, scope=scope
        )
        masks = [mask & kept for mask, kept in zip(network.masks, pruned.masks, strict=True)]
        return Parameters(pruned.weights, pruned.biases, masks)

    return prune


def _units(config: StudySettings) -> Prune:
    scope = config.prune_scope

    def prune(network: Parameters, sparsity: float, noise: list[Tensor]) -> Parameters:
        pruned = prune_units(network.weights, network.biases, sparsity, noise, scope=scope)
        masks = [mask & units[..., None] for mask, units in zip(network.masks, pruned.kept, strict=True)]
        return Parameters(pruned.weights, pruned.biases, masks)

    return prune


KINDS: dict[str, Callable[[StudySettings], Prune]] = {"weight": _weights, "unit": _units}


def _pruned(prune: Prune, sparsity: float, again: bool, occasion: Occasion) -> NetworkState:
    network = occasion.now if again else occasion.kept["trained"]
    # The same noise for all sparsities, so that what is pruned at one is pruned at the next as well.
    return network._replace(parameters=prune(network.parameters, sparsity, occasion.noise(0)))
