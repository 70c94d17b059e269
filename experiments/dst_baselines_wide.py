"""Do the answers of dst_baselines.py hold in a wider and deeper network?

The recipe is that of dst_baselines.py, on MNIST, in 784-1000-1000-500-200-10.

Answer: yes. The order of the methods is the same, but SynFlow is as good as SET here (0.000, -0.001 to 0.001, over both
densities). GMP is 0.009 above SET (0.003 to 0.015), RigL 0.005 (0.002 to 0.008) and CHTs 0.005 (0.000 to 0.010). The
table shows test_acc_last, the mean of 3 seeds; the dense network has 0.984:

| method | 0.005 | 0.02 |
|---|---|---|
| GMP | 0.974 | 0.980 |
| RigL | 0.969 | 0.977 |
| CHTs | 0.970 | 0.976 |
| SynFlow | 0.961 | 0.975 |
| SET | 0.961 | 0.975 |
| SparseModel (static) | 0.944 | 0.973 |

docs/results/baselines.md has the standard deviations.
"""

import sys

from ray import tune

from dynsparse import Experiment

density = tune.grid_search([0.005, 0.02])

experiment = Experiment(
    name="dst_baselines_wide",
    question="Do the answers of dst_baselines hold in a wider and deeper network?",
    space=dict(
        network="MLP",
        hidden_sizes=[1000, 1000, 500, 200],
        dataset_name="MNIST",
        val_fraction=0.1,
        pruning_interval_steps=100,
        arm=tune.grid_search(
            [
                dict(model="Dense", on_perc=1.0),
                dict(
                    model=tune.grid_search(["SparseModel", "SET", "RigL", "CHTs", "GMP"]),
                    on_perc=density,
                    layer_densities="erdos_renyi",
                ),
                dict(model="SynFlow", on_perc=density),
            ]
        ),
        weight_prune_perc=0.3,
        prune_decay="cosine",
        pruning_end=0.75,
        learning_rate=0.1,
        lr_schedule="cosine",
        test_noise=False,
        seed=tune.grid_search([0, 1, 2]),
    ),
    epochs=10,
    metric="test_acc_last",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
