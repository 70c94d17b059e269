"""Unstructured and structured pruning: how much of a trained network can be pruned?

The network and its training are those of an earlier blog post on Optimal Brain Damage, which had one run. Each trial
trains once, for a data set and a seed, and then prunes weights and units to ten sparsities. `analysis.sweeps` returns
one row for each.

Answer: on MNIST about 80% of the weights and 66% of the units can be pruned before accuracy falls by one point; on
Fashion-MNIST about 73% and 47%. The table shows at which sparsity it has fallen by one point, with the mean and 95%
interval over 5 seeds:

| data set | weight | unit |
|---|---|---|
| MNIST | 0.806 (0.800 to 0.813) | 0.664 (0.622 to 0.706) |
| FashionMNIST | 0.733 (0.673 to 0.794) | 0.472 (0.391 to 0.553) |

Beyond that, unit pruning loses more: at 0.9, accuracy on MNIST is 0.896 after weight pruning and 0.154 after unit
pruning. 38 of the blog's 40 accuracies are within the 95% prediction interval for one more run.
docs/results/weight_vs_unit.md has them all.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="sparsity_sweep",
    question="To which sparsity does accuracy hold when weights, or units, are pruned after training?",
    space=dict(
        study="sweep",
        seed=tune.grid_search([0, 1, 2, 3, 4]),
        dataset_name=tune.grid_search(["MNIST", "FashionMNIST"]),
        # The blog has pixels in [0, 1] and used Keras; all other experiments here have standardized pixels.
        pixels="unit",
        weight_init="glorot_uniform",
        prune_kinds=["weight", "unit"],
        sparsities=[0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99],
        network="MLP",
        model="Dense",
        hidden_sizes=[1000, 1000, 500, 200],
        optim_alg="Adam",
        learning_rate=0.001,
        weight_decay=0,
        batch_size=128,
        test_noise=False,
    ),
    epochs=10,
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
