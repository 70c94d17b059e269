"""A first grid, on scikit-learn's 1,797 digits of 8 x 8 pixels: about a minute on two cores."""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="quickstart",
    question="At which density does growing new weights beat a static sparse network?",
    space=dict(
        dataset_name="digits",
        hidden_sizes=[100, 100],
        batch_size=32,
        val_fraction=0.1,
        model=tune.grid_search(["SparseModel", "SET", "DSNNMixedHeb", "RigL"]),
        on_perc=tune.grid_search([0.02, 0.05, 0.1]),
        weight_prune_perc=0.3,
        hebbian_prune_perc=0.3,
        seed=tune.grid_search([0, 1, 2]),
    ),
    epochs=20,
    metric="test_acc_at_best",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
