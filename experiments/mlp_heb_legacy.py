"""The 2019 notebook's run "mlp_heb eval2" with its own rules, mistakes included (`rules="legacy_2019"`).

To be laid beside the notebook's tables. Trials fail here where the notebook's failed: wherever a layer is left
without positive or without negative weights.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="mlp_heb_legacy",
    question="Do the 2019 rules give the notebook's tables, and its 89 failures of 432?",
    space=dict(
        rules="legacy_2019",
        dataset_name="MNIST",
        network="MLPHeb",
        hidden_sizes=[100, 100, 100],
        model="DSNNMixedHeb",
        # The 2019 network ignored kwinners, so that its two values were two samples of one setting: two seeds here.
        sample=tune.grid_search([dict(kwinners=True, seed=0), dict(kwinners=False, seed=1)]),
        percent_on=0.3,
        on_perc=tune.grid_search([0.05, 0.1, 0.2]),
        hebbian_prune_perc=tune.grid_search([0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        weight_prune_perc=tune.grid_search([0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        hebbian_grow=tune.grid_search([True, False]),
        pruning_es=False,
        test_noise=True,
        noise_level=0.15,
    ),
    epochs=30,
    inert=("kwinners",),
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
