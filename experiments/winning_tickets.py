"""Do winning tickets exist, and at which sparsity do they end?

This is the experiment of Frankle and Carbin on 784-300-100-10. Each round prunes a fifth of the weights, and a tenth in
the last layer. The other weights are reset to their initial or to new values. One trial is a ticket of 20 rounds,
down to 1% of the weights. `analysis.matching_rounds` returns the rounds that still match the dense network's accuracy.

Answer: yes. Tickets with their initial weights are better than the dense network down to 2.9% of the weights. They
match it down to 2.2% (1 - 0.978; 95% interval 1.2% to 3.3%; Frankle and Carbin report 3.6%). With new values they are
worse from 17% on. The table shows the difference of val_acc_max from the dense network of the same trial, over 5 seeds:

| weights left | initial weights | new values |
|---|---|---|
| 51% | +0.0025 (0.0003 to 0.0046) | +0.0000 (-0.0026 to 0.0026) |
| 21% | +0.0041 (0.0019 to 0.0063) | -0.0023 (-0.0049 to 0.0003) |
| 10.8% | +0.0050 (0.0034 to 0.0065) | -0.0034 (-0.0061 to -0.0006) |
| 4.5% | +0.0038 (0.0012 to 0.0065) | -0.0111 (-0.0141 to -0.0081) |
| 3.6% | +0.0040 (0.0013 to 0.0068) | -0.0130 (-0.0172 to -0.0088) |
| 2.3% | +0.0016 (-0.0011 to 0.0042) | -0.0210 (-0.0236 to -0.0183) |
| 1.2% | -0.0045 (-0.0084 to -0.0005) | -0.0466 (-0.0521 to -0.0412) |

Version 0.1 had another initialization (`--set weight_init=dense_uniform`). There tickets were better down to 4.5% and
matched down to 3.3% (2.1% to 4.5%). With new values they matched down to 17%.

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
