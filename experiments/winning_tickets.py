"""Do winning tickets exist, and at which sparsity do they end?

This is the experiment of Frankle and Carbin on 784-300-100-10. Each round prunes a fifth of the weights, and a tenth in
the last layer. The other weights are reset to their initial or to new values. One trial is a ticket of 20 rounds,
down to 1.2% of the weights. `analysis.matching_rounds` returns the rounds that still match the accuracy of the dense
network.

Answer: yes. Tickets with their initial weights are better than the dense network from 51% to 2.3% of the weights. They
match it down to 1.7% (`matching_rounds`; 95% interval 1.5% to 2.0%; Frankle and Carbin report 3.6%). With new values
they are clearly worse at 11% and below. The table shows the difference of val_acc_max from the dense network of the
same trial, mean and 95% interval over 5 seeds:

| weights left | initial weights | new values |
|---|---|---|
| 51% | +0.0030 (0.0006 to 0.0055) | +0.0012 (-0.0001 to 0.0024) |
| 21% | +0.0054 (0.0023 to 0.0084) | -0.0007 (-0.0029 to 0.0015) |
| 10.8% | +0.0055 (0.0042 to 0.0069) | -0.0037 (-0.0046 to -0.0028) |
| 4.5% | +0.0051 (0.0034 to 0.0068) | -0.0104 (-0.0131 to -0.0076) |
| 3.6% | +0.0046 (0.0018 to 0.0074) | -0.0139 (-0.0185 to -0.0092) |
| 2.3% | +0.0024 (0.0010 to 0.0038) | -0.0212 (-0.0255 to -0.0170) |
| 1.2% | -0.0027 (-0.0054 to -0.0000) | -0.0461 (-0.0511 to -0.0410) |

docs/results/tickets.md has all rounds.

Reference: Jonathan Frankle and Michael Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
Networks, 2019, https://arxiv.org/abs/1803.03635, section 2 and appendix G (there 50,000 steps a round, here 9,170)
"""

import sys

from ray import tune

from dynsparse import Experiment

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
