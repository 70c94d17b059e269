"""Do winning tickets exist, and at which sparsity do they end?

The experiment of Frankle and Carbin on 784-300-100-10: a fifth of the weights is pruned in each round, a tenth of the
last layer's, and the survivors go back to their initial values, or to new ones. One trial is a ticket of 20 rounds,
down to 1% of the weights; `analysis.matching_rounds` says which rounds still reach the dense network's accuracy.

Reference: Jonathan Frankle and Michael Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
Networks, 2019, https://arxiv.org/abs/1803.03635, section 2 and appendix G (there 50,000 steps a round, here 9,170)
"""

import sys

from ray import tune

from dynsparse.experiment import Experiment

ROUNDS = 20

experiment = Experiment(
    name="winning_tickets",
    question="Down to which density do tickets reach the dense accuracy, with their first weights and with new ones?",
    space=dict(
        study="ticket",
        seed=tune.grid_search([0, 1, 2, 3, 4]),
        init=tune.grid_search(["original", "reinit"]),
        criterion="l1",
        prune_ratio=1 - 0.8**ROUNDS,
        prune_iter=ROUNDS,
        last_layer_rate=0.5,
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
    epochs=10,
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
