"""All methods side by side on MNIST, from density 0.2 down to 0.005.

RigL, SNFS and GMP end their mask updates at three quarters of the training and RigL decays its drop fraction, as
their papers do; the others keep the notebook's constant updates.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="methods_by_density",
    question="Which method keeps its accuracy as the network gets sparser?",
    space=dict(
        dataset_name="MNIST",
        network="MLPHeb",
        hidden_sizes=[100, 100, 100],
        arm=tune.grid_search(
            [
                dict(model="Dense", on_perc=1.0),
                dict(
                    method=tune.grid_search(
                        [
                            dict(model=tune.grid_search(["SparseModel", "RandomPrune", "SET"])),
                            dict(model=tune.grid_search(["DSNNHeb", "DSNNWeightedMag", "DSNNMixedHeb"])),
                            dict(model="RigL", prune_decay="cosine", pruning_end=0.75),
                            dict(model=tune.grid_search(["SNFS", "GMP"]), pruning_end=0.75),
                        ]
                    ),
                    on_perc=tune.grid_search([0.005, 0.01, 0.02, 0.05, 0.1, 0.2]),
                ),
            ]
        ),
        weight_prune_perc=0.3,
        hebbian_prune_perc=0.3,
        hebbian_grow=True,
        seed=tune.grid_search([0, 1, 2, 3, 4]),
    ),
    epochs=30,
    # GMP starts dense: its best epoch is one of a denser network than was asked for.
    metric="val_acc_last",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
