"""With the settings of the RigL paper, does growth by gradient beat random growth and a static mask on MNIST?

From the paper: mask updates every 100 steps until three quarters of the training, a drop fraction of 0.3 with a cosine
decay, Erdős-Rényi densities, SGD with momentum 0.9, and a learning rate that rises during a warm-up and is then divided
by 10 in steps. The schedule is that of the paper's ImageNet training, whose 100 epochs are 30 here: warm-up over 5% of
them, then steps after 30%, 70% and 90%. Network and data are ours: an MLP on MNIST.

Answer: RigL beats SET, by a little: 0.0023 on average over 12 pairs (95% interval 0.0012 to 0.0034, p = 0.002 after
Holm's correction), but at no single density do 3 seeds show it (`contrasts`). Both beat a static mask, by 0.015 and
0.013 on average (p = 0.014): RigL at 0.01 (by 0.041), 0.02 (0.014) and 0.05 (0.004), SET at 0.01 (0.037) and 0.02
(0.011). At 0.1 there is no evidence of a difference; one of 0.005 would have been found with a probability of 80%. A
tenth of the training set is held out and not used, so that no choice depends on the test set. The table shows
test_acc_last, mean and standard deviation of 3 seeds; the dense network has 0.984:

| method | 0.01 | 0.02 | 0.05 | 0.1 |
|---|---|---|---|---|
| RigL | 0.957 ± 0.001 | 0.970 ± 0.002 | 0.978 ± 0.000 | 0.982 ± 0.000 |
| SET | 0.954 ± 0.002 | 0.967 ± 0.001 | 0.976 ± 0.002 | 0.980 ± 0.001 |
| SparseModel (static) | 0.916 ± 0.002 | 0.956 ± 0.002 | 0.973 ± 0.001 | 0.979 ± 0.000 |

Reference: Utku Evci, Trevor Gale, Jacob Menick, Pablo Samuel Castro and Erich Elsen, Rigging the Lottery: Making All
Tickets Winners, 2020, https://arxiv.org/abs/1911.11134
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="rigl_paper",
    question="With the settings of the RigL paper, does growth by gradient beat random growth and a static mask?",
    space=dict(
        dataset_name="MNIST",
        network="MLP",
        hidden_sizes=[300, 100],
        arm=tune.grid_search(
            [
                dict(model="Dense", on_perc=1.0),
                dict(
                    model=tune.grid_search(["SparseModel", "SET", "RigL"]),
                    on_perc=tune.grid_search([0.01, 0.02, 0.05, 0.1]),
                    layer_densities="erdos_renyi",
                ),
            ]
        ),
        pruning_interval_steps=100,
        pruning_end=0.75,
        weight_prune_perc=0.3,
        prune_decay="cosine",
        seed=tune.grid_search([0, 1, 2]),
        batch_size=128,
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        lr_schedule="multistep",
        lr_milestones=[9, 21, 27],
        lr_gamma=0.1,
        warmup_epochs=1.5,
        test_noise=False,
        val_fraction=0.1,
    ),
    epochs=30,
    metric="test_acc_last",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
