"""Do mistakes of the 2019 rules change the answers of the grid `mlp_heb`, and which?

`DSNNMixedHeb` beside variants with mistakes of `rules="legacy_2019"`: four have one each, and `keep_share` adds a
second one to `either_rule`. No variant has the check that ended trials in 2019 (`Method.fails`), so none of them fails.

Answer: two mistakes do. With `keep_share`, Hebbian pruning seems to help; with `either_rule`, magnitude pruning hardly
helps. The others change no sign. The table shows the mean difference in val_acc_max over pairs, and its 95% interval,
of 0.5 against 0:

| model | hebbian_prune_perc | weight_prune_perc |
|---|---|---|
| DSNNMixedHeb | -0.0085 (-0.0128 to -0.0042) | +0.0112 (+0.0060 to +0.0164) |
| either_rule | -0.0176 (-0.0232 to -0.0121) | +0.0020 (-0.0014 to +0.0054) |
| keep_share | +0.0337 (+0.0274 to +0.0400) | +0.0027 (+0.0005 to +0.0050) |
| grows_pruned | -0.0085 (-0.0130 to -0.0041) | +0.0111 (+0.0058 to +0.0163) |
| counts_test_examples | -0.0064 (-0.0105 to -0.0023) | +0.0122 (+0.0075 to +0.0168) |
| inactive_momentum | -0.0071 (-0.0103 to -0.0038) | +0.0100 (+0.0056 to +0.0144) |

docs/results/mlp_heb.md has the other differences.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch
from ray import tune
from torch import Tensor

from dynsparse import Experiment
from dynsparse.methods.base import Method, at_random, lowest
from dynsparse.methods.legacy_2019 import keep_by_coactivation
from dynsparse.methods.mixed_heb import mixed_heb
from dynsparse.methods.settings import MethodSettings
from dynsparse.methods.signwise import smallest_of_each_sign
from dynsparse.ops.scores import Layer, coactivation, require


def either_rule(config: MethodSettings) -> Method:
    """Drop what one of the two rules selects, instead of what both select."""
    by_magnitude = smallest_of_each_sign(config.weight_prune_perc)
    by_coactivation = lowest(coactivation, config.hebbian_prune_perc)
    return replace(mixed_heb(config), prune=lambda layer: by_magnitude(layer) | by_coactivation(layer))


def keep_share(config: MethodSettings) -> Method:
    """Drop what one of the rules selects, and take the share of Hebbian pruning for one of all positions to keep."""
    by_magnitude, share = smallest_of_each_sign(config.weight_prune_perc), config.hebbian_prune_perc
    if share is None:
        raise ValueError("hebbian_prune_perc must be in [0, 1], got None. Here 0 keeps nothing.")

    def prune(layer: Layer) -> Tensor:
        return by_magnitude(layer) | (layer.mask & ~keep_by_coactivation(require(layer.coactivation), share))

    return replace(mixed_heb(config), prune=prune, prune_ignores_position=False)


def grows_pruned(config: MethodSettings) -> Method:
    """Let Hebbian growth take positions that have just been pruned, which keep their values."""
    # In a pack whose trials differ in hebbian_grow, it is a tensor.
    hebbian_grow = torch.as_tensor(config.hebbian_grow)[..., None, None]

    def grow(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
        by_coactivation = layer.pattern.highest(coactivation(layer), kept, n_grow, layer.grow_noise, ~kept)
        return torch.where(hebbian_grow, by_coactivation, at_random(layer, kept, n_grow))

    return replace(mixed_heb(config), grow=grow)


def counts_test_examples(config: MethodSettings) -> Method:
    """Count the examples of the test and of the noise test in the coactivations."""
    return replace(mixed_heb(config), counts_evaluation=True)


def inactive_momentum(config: MethodSettings) -> Method:
    """Let the momentum of inactive weights accumulate, so that a new weight jumps at its first step."""
    return replace(mixed_heb(config), moves_inactive=True)


experiment = Experiment(
    name="mlp_heb_mistakes",
    question="Which mistakes of the 2019 rules change the answers of mlp_heb?",
    space=dict(
        dataset_name="MNIST",
        network="MLPHeb",
        hidden_sizes=[100, 100, 100],
        model=tune.grid_search(
            ["DSNNMixedHeb", either_rule, keep_share, grows_pruned, counts_test_examples, inactive_momentum]
        ),
        on_perc=tune.grid_search([0.05, 0.2]),
        hebbian_prune_perc=tune.grid_search([0, 0.5]),
        weight_prune_perc=tune.grid_search([0, 0.5]),
        hebbian_grow=tune.grid_search([True, False]),
        pruning_es=False,
        test_noise=True,
        noise_level=0.15,
        seed=tune.grid_search([0, 1]),
    ),
    epochs=10,
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
