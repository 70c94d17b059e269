"""The sparse training methods of 2016 to 2025 side by side on MNIST and Fashion-MNIST, from density 0.2 to 0.005.

Answer: the methods that start dense keep most accuracy. GMP, GraNet and CHTss are 0.020 to 0.021 above SET on MNIST on
average over the densities (95% interval of GMP: 0.012 to 0.030), and 0.009 to 0.012 on Fashion-MNIST. But at density
0.005 GMP needs as many operations in training as SET at 0.2, which is more accurate (0.961, 0.982). Among the methods
whose weights are always sparse, SNFS, CHTs, DSNNWeightedMag and RigL are 0.008 to 0.011 above SET on MNIST. On
Fashion-MNIST only CHTs is clearly better (by 0.004, 0.001 to 0.006). Pruning once before training is worse than SET,
and so is growth by coactivation. From density 0.1 on, the method hardly matters.

The table shows test_acc_last on MNIST, the mean of 5 seeds; the dense network has 0.983:

| method | 0.005 | 0.01 | 0.02 | 0.05 | 0.1 | 0.2 |
|---|---|---|---|---|---|---|
| GMP | 0.961 | 0.971 | 0.977 | 0.981 | 0.982 | 0.983 |
| SNFS | 0.936 | 0.956 | 0.968 | 0.976 | 0.980 | 0.981 |
| CHTs | 0.930 | 0.955 | 0.966 | 0.976 | 0.980 | 0.982 |
| RigL | 0.924 | 0.951 | 0.966 | 0.976 | 0.979 | 0.981 |
| SET | 0.893 | 0.939 | 0.962 | 0.974 | 0.979 | 0.982 |
| SynFlow | 0.857 | 0.926 | 0.959 | 0.974 | 0.977 | 0.980 |
| SparseModel (static) | 0.727 | 0.908 | 0.951 | 0.971 | 0.977 | 0.980 |

docs/results/baselines.md has all methods, both data sets, the intervals and the operations.
"""

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
