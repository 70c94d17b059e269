"""How much accuracy does LeNet-5 lose on MNIST at a density of 0.1 and of 0.02, and with which method?

All layers are sparse, the convolutions too, with the densities of Erdős-Rényi. Masks are updated every 100 steps until
three quarters of the training; RigL and SET drop 0.3 of the weights at first, less along a cosine. GMP starts dense and
ends at the density, so its training costs more than that of the others.

Answer, from seed 0 alone (`--set seed=0`): little at 0.1, where every method is within half a percentage point of the
dense network, and one to five points at 0.02. There the static mask is last and GMP first. One seed cannot say whether
RigL, SET and GMP differ. The table shows test_acc_last:

| method | 0.02 | 0.1 | operations of the training, as a share of the dense one |
|---|---|---|---|
| GMP | 0.980 | 0.987 | 0.29, 0.63 |
| RigL | 0.970 | 0.987 | 0.12, 0.54 |
| SET | 0.968 | 0.987 | 0.12, 0.54 |
| SparseModel (static) | 0.943 | 0.984 | 0.12, 0.54 |
| Dense | 0.988 | 0.988 | 1 |

With Erdős-Rényi densities the convolutions, which cost the most, are much denser than the linear layers: so a density
of 0.1 saves only half of the operations. Published accuracies of the dense LeNet-5 on MNIST are about 0.992, after many
more epochs.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="lenet5_by_density",
    question="How much accuracy does LeNet-5 lose on MNIST at a density of 0.1 and of 0.02, and with which method?",
    space=dict(
        dataset_name="MNIST",
        network="LeNet5",
        arm=tune.grid_search(
            [
                dict(model="Dense", on_perc=1.0),
                dict(
                    method=tune.grid_search(
                        [
                            dict(model="SparseModel"),
                            dict(model=tune.grid_search(["SET", "RigL"]), weight_prune_perc=0.3, prune_decay="cosine"),
                            dict(model="GMP"),
                        ]
                    ),
                    on_perc=tune.grid_search([0.5, 0.2, 0.1, 0.05, 0.02]),
                    layer_densities="erdos_renyi",
                    pruning_interval_steps=100,
                    pruning_end=0.75,
                ),
            ]
        ),
        seed=tune.grid_search([0, 1, 2]),
        batch_size=128,
        learning_rate=0.05,
        momentum=0.9,
        weight_decay=5e-4,
        lr_schedule="cosine",
        test_noise=False,
        val_fraction=0.1,
    ),
    epochs=10,
    # GMP starts dense: its best epoch is one of a denser network than was asked for.
    metric="test_acc_last",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
