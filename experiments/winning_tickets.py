"""Do winning tickets exist, and at which sparsity do they end?

This is the experiment of Frankle and Carbin on 784-300-100-10. Each round prunes a fifth of the weights, and a tenth in
the last layer. The other weights are reset to their initial or to new values. One trial is a ticket of 20 rounds,
down to 1% of the weights. `analysis.matching_rounds` returns the rounds that still match the dense network's accuracy.

The figures are those of version 0.1, which had another initialization: `--set weight_init=dense_uniform`.

Answer: yes. Tickets with their initial weights are better than the dense network down to 4.5% of the weights. They
match it down to 3.3% (1 - 0.967; 95% interval 2.1% to 4.5%; Frankle and Carbin report 3.6%). With new values they match
it down to 17%, and are worse below. The table shows the difference of val_acc_max from the dense network of the same
trial, over 5 seeds:

| weights left | initial weights | new values |
|---|---|---|
| 51% | +0.0024 (0.0003 to 0.0046) | -0.0005 (-0.0016 to 0.0006) |
| 21% | +0.0028 (0.0001 to 0.0055) | -0.0009 (-0.0037 to 0.0019) |
| 10.8% | +0.0032 (0.0013 to 0.0052) | -0.0035 (-0.0066 to -0.0003) |
| 4.5% | +0.0021 (0.0005 to 0.0036) | -0.0106 (-0.0124 to -0.0088) |
| 3.6% | +0.0008 (-0.0005 to 0.0022) | -0.0116 (-0.0128 to -0.0105) |
| 2.3% | -0.0011 (-0.0033 to 0.0011) | -0.0194 (-0.0203 to -0.0184) |
| 1.2% | -0.0054 (-0.0084 to -0.0024) | -0.0390 (-0.0462 to -0.0318) |

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
