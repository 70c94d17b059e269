"""For which settings do correlations of accuracy with the fraction pruned have the signs of an earlier report?

The report on lottery tickets found, for fractions up to 85%, a negative correlation for random pruning, and positive
ones for pruning the smallest weights, with new values (+0.596) and with the initial ones (+0.619). It does not name
optimizer, learning rate, epochs, network or initialization. This is a grid over them, with one round of pruning.

Answer: the learning rate decides. At low rates pruning harms, except that of winning tickets, which hardly changes
anything. At high ones it helps, whatever is pruned; with SGD at 0.3 the dense network hardly learns. The signs of the
report lie in between. All three are found for 7 of 56 settings, which is what chance would give. But with new seeds
(lottery_ticket_new_seeds.py) they are clear for Adam with rate 0.005, one hidden layer of 100, torch's initial weights
and three epochs. The table shows the mean correlations of the eight settings with one rate:

| optimizer | rate | random, original | l1, reinit | l1, original | settings that agree |
|---|---|---|---|---|---|
| Adam | 0.0003 | -0.92 | -0.85 | -0.13 | 0 |
| Adam | 0.0012 | -0.72 | -0.44 | +0.62 | 2 |
| Adam | 0.005 | -0.03 | +0.30 | +0.70 | 4 |
| Adam | 0.02 | +0.63 | +0.55 | +0.61 | 1 |
| SGD | 0.01 | -0.84 | -0.79 | +0.04 | 0 |
| SGD | 0.1 | +0.58 | +0.65 | +0.70 | 0 |
| SGD | 0.3 | +0.86 | +0.89 | +0.88 | 0 |

docs/results/tickets.md has all of them.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="lottery_ticket_settings",
    question="For which settings do tickets have the correlations of an earlier report?",
    space=dict(
        study="ticket",
        optimizer=tune.grid_search(
            [
                dict(optim_alg="Adam", learning_rate=tune.grid_search([0.0003, 0.0012, 0.005, 0.02])),
                dict(optim_alg="SGD", momentum=0.9, learning_rate=tune.grid_search([0.01, 0.1, 0.3])),
            ]
        ),
        epochs=tune.grid_search([1, 3]),
        hidden_sizes=tune.grid_search([[300, 100], [100]]),
        weight_init=tune.grid_search(["he_uniform", "dense_uniform"]),
        # The seeds of the report. The trials of a seed stand together: a worker trains their dense network once.
        seed=tune.grid_search([1, 3]),
        algorithm=tune.grid_search(
            [
                dict(criterion="random", init="original"),
                dict(criterion="l1", init="reinit"),
                dict(criterion="l1", init="original"),
            ]
        ),
        prune_ratio=tune.grid_search([0.1, 0.3, 0.5, 0.7, 0.85]),
        prune_iter=1,
        dataset_name="MNIST",
        val_fraction=1 / 12,
        network="MLP",
        model="Dense",
        weight_decay=0,
        batch_size=60,
        test_noise=False,
    ),
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
