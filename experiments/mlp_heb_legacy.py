"""The 2019 notebook's run "mlp_heb eval2" with its own rules, mistakes included (`rules="legacy_2019"`).

Compare its results with the notebook's tables. Trials fail here where the notebook's failed: wherever a layer is left
without positive or without negative weights.

The notebook set no seed, so its 432 trials were independent. Here each trial has a seed of its own. With one seed for
all, trials without Hebbian pruning would be the same for each `weight_prune_perc`, because a fraction of 0 keeps
nothing, and those of a cell would fail together.

Answer: yes. 82 of 432 failed, in the cells in which the notebook's did. 73 of its 74 grouped accuracies, all 74 with
noise, and 231 of 237 cells of its pivot tables lie within two standard errors of the difference.
docs/results/mlp_heb.md has them all.
"""

import sys
from itertools import product
from typing import Any

from ray import tune

from dynsparse import Experiment

AXES: dict[str, list[Any]] = dict(
    kwinners=[True, False],
    on_perc=[0.05, 0.1, 0.2],
    hebbian_prune_perc=[0, 0.1, 0.2, 0.3, 0.4, 0.5],
    weight_prune_perc=[0, 0.1, 0.2, 0.3, 0.4, 0.5],
    hebbian_grow=[True, False],
)
SETTINGS = [dict(zip(AXES, values, strict=True)) for values in product(*AXES.values())]

experiment = Experiment(
    name="mlp_heb_legacy",
    question="Do the 2019 rules give the notebook's tables, and its 89 failures of 432?",
    space=dict(
        rules="legacy_2019",
        dataset_name="MNIST",
        network="MLPHeb",
        hidden_sizes=[100, 100, 100],
        model="DSNNMixedHeb",
        setting=tune.grid_search([dict(values, seed=seed) for seed, values in enumerate(SETTINGS)]),
        percent_on=0.3,
        pruning_es=False,
        test_noise=True,
        noise_level=0.15,
    ),
    epochs=30,
    # The 2019 network ignored kwinners.
    inert=("kwinners",),
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
