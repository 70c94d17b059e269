"""Prune the initial networks of a pack, for methods that prune before training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dynsparse.config import Config
from dynsparse.engines.base import initial_parameters, tie_noise
from dynsparse.engines.initial_network import initial_network
from dynsparse.ops.allocation import highest_together
from dynsparse.planning.plan import Plan, plan
from dynsparse.random import Purpose
from dynsparse.studies import Parameters
from dynsparse.training.splits import Splits


def pruned_parameters(configs: Sequence[Config], pack: Plan, splits: Splits) -> Parameters:
    """Return the initial parameters of a pack whose method has an `initial_pruning`, pruned as it says.

    Each trial is scored alone, in float32 or better on the CPU, so that its masks do not depend on pack, engine and
    device.
    """
    pruning = pack.method.initial_pruning
    assert pruning is not None
    # A pack may be filled up with copies of a trial.
    examples = {each.seed: splits.first_examples(each.seed, pruning.n_examples) for each in configs}
    of_config = {each: initial_masks(each, *examples[each.seed]) for each in dict.fromkeys(configs)}
    by_layer = zip(*(of_config[each] for each in configs), strict=True)
    active = [torch.stack(layer).to(pack.device) for layer in by_layer]
    weights, biases, _ = initial_parameters(pack)
    return Parameters([weight * mask for weight, mask in zip(weights, active, strict=True)], biases, active)


def initial_masks(config: Config, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return the masks of a trial whose method has an `initial_pruning`.

    Args:
        config: The trial.
        x: The inputs of the examples to score. Shapes: (examples, inputs).
        y: Their labels. Shapes: (examples, ...).

    Returns:
        Shapes: (out, in) for each layer, bool.
    """
    alone = plan([replace(config, device="cpu", precision="float32")])
    pruning, shapes = alone.method.initial_pruning, alone.network.shapes
    assert pruning is not None
    parameters = initial_parameters(alone)
    network = initial_network(alone, parameters, x, y)
    weights = [weight[0] for weight in parameters.weights]
    active = [torch.ones(shape, dtype=torch.bool) for shape in shapes]
    ranked = [layer for layer, density in enumerate(alone.densities[0]) if density < 1]
    if not ranked:
        return active
    noise = [tie_noise(alone, Purpose.MASK, layer, epoch=0)[0] for layer in ranked]
    n = sum(each.numel() for each in noise)
    share = round(float(alone.method.density) * n) / n
    floor = 0.0 if pruning.floor is None else float(pruning.floor)
    # Rounded down: the floors of all layers together must not exceed the number that is left.
    floors = [math.floor(floor * each.numel()) for each in noise]
    for number in range(1, pruning.n_rounds + 1):
        scores = pruning.scores(network, [weight * mask for weight, mask in zip(weights, active, strict=True)])
        left, n_left = [active[layer] for layer in ranked], round(n * share ** (number / pruning.n_rounds))
        kept = highest_together(_scaled([scores[layer] for layer in ranked]), left, n_left, floors, noise)
        for layer, mask in zip(ranked, kept, strict=True):
            active[layer] = mask
    return active


def _scaled(scores: Sequence[Tensor]) -> list[Tensor]:
    """Divide scores by their largest absolute value, because they are compared in float32."""
    largest = torch.stack([score.abs().max() for score in scores]).max()
    return [score / torch.where(largest > 0, largest, 1.0) for score in scores]
