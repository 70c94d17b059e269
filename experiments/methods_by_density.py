"""All methods side by side on MNIST, from density 0.2 down to 0.005.

RigL, SNFS and GMP stop updating masks after three quarters of the training, and RigL decays its drop fraction. The
other methods update until the end, with a constant drop fraction. All update once per epoch, so RigL and SNFS are not
exactly as published (experiments/rigl_paper.py is closer).

Answer: at density 0.05 and above, GMP, SNFS, RigL, DSNNWeightedMag and SET are within one percentage point of the dense
network. Below that, GMP, which starts dense, is best, followed by SNFS, which averages the gradients of all positions
over every step. DSNNHeb and DSNNMixedHeb, which grow by coactivation, are below DSNNWeightedMag and SET, which grow at
random; their pruning rules differ too. Random pruning is worse than a static mask. The table shows val_acc_last, the
mean of 5 seeds; the dense network has 0.973:

| method | 0.005 | 0.01 | 0.02 | 0.05 | 0.1 | 0.2 |
|---|---|---|---|---|---|---|
| GMP | 0.516 | 0.874 | 0.964 | 0.973 | 0.975 | 0.976 |
| SNFS | 0.435 | 0.792 | 0.952 | 0.966 | 0.970 | 0.975 |
| RigL | 0.375 | 0.659 | 0.936 | 0.964 | 0.971 | 0.974 |
| DSNNWeightedMag | 0.276 | 0.639 | 0.940 | 0.966 | 0.972 | 0.975 |
| SET | 0.129 | 0.494 | 0.929 | 0.965 | 0.971 | 0.975 |
| DSNNHeb | 0.150 | 0.340 | 0.646 | 0.950 | 0.964 | 0.972 |
| DSNNMixedHeb | 0.130 | 0.230 | 0.635 | 0.944 | 0.963 | 0.969 |
| SparseModel (static) | 0.115 | 0.174 | 0.535 | 0.940 | 0.962 | 0.968 |
| RandomPrune | 0.102 | 0.102 | 0.102 | 0.666 | 0.934 | 0.955 |

Of 275 trials, 10 never left chance level, all at 0.005: 4 of 5 with a static mask and with random pruning, and one each
of DSNNHeb and DSNNMixedHeb. Random pruning ends at chance level at 0.01 and 0.02 too, after better epochs.

Version 0.1 had another initialization (`--set weight_init=dense_uniform`), with which 62 of the trials never left
chance level, 35 of 45 at 0.005. The dense network has 0.977:

| method | 0.005 | 0.01 | 0.02 | 0.05 | 0.1 | 0.2 |
|---|---|---|---|---|---|---|
| GMP | 0.527 | 0.879 | 0.967 | 0.975 | 0.976 | 0.979 |
| SNFS | 0.193 | 0.425 | 0.781 | 0.966 | 0.972 | 0.975 |
| RigL | 0.102 | 0.511 | 0.937 | 0.965 | 0.972 | 0.974 |
| DSNNWeightedMag | 0.150 | 0.254 | 0.930 | 0.965 | 0.971 | 0.974 |
| SET | 0.102 | 0.136 | 0.713 | 0.966 | 0.972 | 0.973 |
| DSNNHeb | 0.102 | 0.153 | 0.522 | 0.946 | 0.965 | 0.969 |
| DSNNMixedHeb | 0.115 | 0.160 | 0.549 | 0.946 | 0.963 | 0.971 |
| SparseModel (static) | 0.115 | 0.130 | 0.319 | 0.939 | 0.961 | 0.970 |
| RandomPrune | 0.102 | 0.102 | 0.102 | 0.437 | 0.929 | 0.957 |

What that table seems to show at 0.02 and below was due to the initialization: that SNFS is worse than RigL (0.781 and
0.937 at 0.02), that SET is far behind RigL (0.713), and that most methods learn nothing at 0.005. For
GMP, which starts dense, and for the others at 0.05 and above (RandomPrune at 0.1), the initialization hardly matters.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="methods_by_density",
    question="Which method keeps its accuracy as the network gets sparser?",
    space=dict(
        dataset_name="MNIST",
        network="MLPHeb",
        hidden_sizes=[100, 100, 100],
        val_fraction=0.1,
        arm=tune.grid_search(
            [
                dict(model="Dense", on_perc=1.0),
                dict(
                    method=tune.grid_search(
                        [
                            dict(model=tune.grid_search(["SparseModel", "RandomPrune", "SET"])),
                            dict(model=tune.grid_search(["DSNNHeb", "DSNNWeightedMag", "DSNNMixedHeb"])),
                            dict(model="RigL", prune_decay="cosine", pruning_end=0.75),
                            dict(model=tune.grid_search(["SNFS", "GMP"]), pruning_end=0.75),
                        ]
                    ),
                    on_perc=tune.grid_search([0.005, 0.01, 0.02, 0.05, 0.1, 0.2]),
                ),
            ]
        ),
        weight_prune_perc=0.3,
        hebbian_prune_perc=0.3,
        hebbian_grow=True,
        seed=tune.grid_search([0, 1, 2, 3, 4]),
    ),
    epochs=30,
    # GMP starts dense: its best epoch is one of a denser network than was asked for.
    metric="test_acc_last",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
