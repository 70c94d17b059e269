"""Do winning tickets exist, and at which sparsity do they end?

This is the experiment of Frankle and Carbin on 784-300-100-10. Each round prunes a fifth of the weights, and a tenth in
the last layer. The other weights are reset to their initial or to new values. One trial is a ticket of 20 rounds,
down to 1.2% of the weights. `analysis.matching_rounds` returns the rounds that still match the accuracy of the dense
network.

Answer: yes. Tickets with their initial weights are better than the dense network down to 2.3% of the weights. They
match it down to 2.0% (`matching_rounds`; 95% interval 1.5% to 2.4%; Frankle and Carbin report 3.6%). With new values
they match it down to 31% (21% to 40%), and are clearly worse at 17% and below. The table shows the difference of
val_acc_max from the dense network of the same trial, mean and 95% interval over 5 seeds:

| weights left | initial weights | new values |
|---|---|---|
| 51% | +0.0020 (-0.0001 to 0.0040) | -0.0006 (-0.0020 to 0.0007) |
| 21% | +0.0041 (0.0034 to 0.0048) | -0.0017 (-0.0037 to 0.0003) |
| 10.8% | +0.0052 (0.0045 to 0.0058) | -0.0044 (-0.0066 to -0.0023) |
| 4.5% | +0.0039 (0.0032 to 0.0046) | -0.0121 (-0.0136 to -0.0106) |
| 3.6% | +0.0035 (0.0025 to 0.0045) | -0.0144 (-0.0167 to -0.0120) |
| 2.3% | +0.0019 (0.0002 to 0.0036) | -0.0233 (-0.0269 to -0.0196) |
| 1.2% | -0.0028 (-0.0040 to -0.0015) | -0.0472 (-0.0518 to -0.0427) |

Version 0.1 had another initialization (`--set weight_init=dense_uniform`). There tickets were better down to 4.5% and
matched down to 3.3% (2.1% to 4.5%). With new values they were clearly worse below 17%.

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
