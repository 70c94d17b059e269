"""The sparse training methods of 2016 to 2025 side by side on MNIST and Fashion-MNIST, from density 0.2 to 0.005."""

import sys

from ray import tune

from dynsparse import Experiment

# Those that change masks in training. GMP, GraNet and CHTss start dense.
UPDATING = ["RandomPrune", "SET", "DeepR", "MEST", "RigL", "SRigL", "SNFS", "CHT", "CHTs", "GMP", "GraNet", "CHTss"]
COACTIVATION = ["DSNNHeb", "DSNNWeightedMag", "DSNNMixedHeb"]
density = tune.grid_search([0.005, 0.01, 0.02, 0.05, 0.1, 0.2])

experiment = Experiment(
    name="dst_baselines",
    question="Which method keeps its accuracy as the network gets sparser, and what does its training cost?",
    space=dict(
        network="MLP",
        hidden_sizes=[300, 100],
        dataset_name=tune.grid_search(["MNIST", "FashionMNIST"]),
        val_fraction=0.1,
        arm=tune.grid_search(
            [
                dict(
                    pruning_interval_steps=100,
                    method=tune.grid_search(
                        [
                            dict(model="Dense", on_perc=1.0),
                            dict(
                                model=tune.grid_search(["SparseModel", *UPDATING, *COACTIVATION]),
                                on_perc=density,
                                layer_densities="erdos_renyi",
                            ),
                            # These rank the weights of all layers together.
                            dict(model=tune.grid_search(["SNIP", "GraSP", "SynFlow"]), on_perc=density),
                        ]
                    ),
                ),
                # In 100 steps with this learning rate, the weights that it trains while they are inactive would grow
                # so large that the network would not recover when they become active.
                dict(model="TopKAST", pruning_interval_steps=10, on_perc=density, layer_densities="erdos_renyi"),
            ]
        ),
        weight_prune_perc=0.3,
        prune_decay="cosine",
        pruning_end=0.75,
        learning_rate=0.1,
        lr_schedule="cosine",
        test_noise=False,
        seed=tune.grid_search([0, 1, 2, 3, 4]),
    ),
    epochs=10,
    # The methods that start dense have their best epoch while they are denser than was asked for.
    metric="test_acc_last",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
