"""Does weight pruning keep accuracy longer than unit pruning in other widths and depths, too?

`sparsity_sweep.py` has one network. Here are five more, narrow and wide, shallow and deep.

Answer: yes, in all of them and on both data sets. The table shows at which sparsity one point of accuracy is lost on
MNIST, the mean of 5 seeds. Wide layers can spare the most, deep and narrow networks the least:

| hidden layers | weight | unit |
|---|---|---|
| 1000 | 0.938 | 0.454 |
| 100 | 0.728 | 0.125 |
| 300-100 | 0.708 | 0.182 |
| four of 300 | 0.706 | 0.254 |
| eight of 100 | 0.353 | 0.050 |

docs/results/weight_vs_unit.md has the intervals, and Fashion-MNIST.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="sparsity_sweep_networks",
    question="Does weight pruning keep accuracy longer than unit pruning, whatever the width and depth?",
    space=dict(
        study="sweep",
        seed=tune.grid_search([0, 1, 2, 3, 4]),
        dataset_name=tune.grid_search(["MNIST", "FashionMNIST"]),
        prune_kinds=["weight", "unit"],
        sparsities=[0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99],
        network="MLP",
        model="Dense",
        hidden_sizes=tune.grid_search([[100], [1000], [300, 100], [300] * 4, [100] * 8]),
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
