"""Do lottery tickets win, how much can be pruned, and in how many rounds?

The grid of the report on lottery tickets: three algorithms, which differ in what is pruned and in what the surviving
weights go back to, over the fraction that is pruned and the rounds that it is pruned in. `analysis.rounds` gives the
accuracy of each round.
"""

import sys

from ray import tune

from dynsparse.experiment import Experiment

experiment = Experiment(
    name="lottery_ticket",
    question="How do the fraction that is pruned and the number of rounds change a ticket's accuracy, by algorithm?",
    space=dict(
        study="ticket",
        # The trials of a seed stand together: a worker trains their dense network once.
        seed=tune.grid_search([0, 1, 2]),
        algorithm=tune.grid_search(
            [
                dict(criterion="l1", init="original"),
                dict(criterion="random", init="original"),
                dict(criterion="l1", init="reinit"),
            ]
        ),
        prune_ratio=tune.grid_search([0.1, 0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98]),
        prune_iter=tune.grid_search([1, 2, 3, 5]),
        dataset_name="MNIST",
        val_fraction=1 / 12,
        network="MLP",
        model="Dense",
        hidden_sizes=[300, 100],
        optim_alg="Adam",
        learning_rate=0.0012,
        weight_decay=0,
        batch_size=60,
        test_noise=False,
    ),
    epochs=5,
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
