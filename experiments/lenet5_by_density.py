"""How much accuracy does LeNet-5 lose on MNIST at densities from 0.5 to 0.02, and with which method?

All layers are sparse, the convolutions too, with the densities of Erdős-Rényi. Masks are updated every 100 steps until
three quarters of the training; RigL and SET drop 0.3 of the weights at first, less along a cosine. GMP starts dense and
ends at the density, so its training costs more than that of the others.

Answer: nothing that three seeds can show down to 0.1, half a percentage point at 0.05, and one to four at 0.02. The
table shows the mean of test_acc_last over three seeds, ± the standard deviation:

| method | 0.5 | 0.2 | 0.1 | 0.05 | 0.02 |
|---|---|---|---|---|---|
| GMP | 0.989 ± 0.000 | 0.988 ± 0.001 | 0.987 ± 0.000 | 0.986 ± 0.001 | 0.980 ± 0.001 |
| RigL | 0.988 ± 0.002 | 0.988 ± 0.000 | 0.987 ± 0.001 | 0.985 ± 0.001 | 0.971 ± 0.002 |
| SET | 0.989 ± 0.002 | 0.989 ± 0.001 | 0.987 ± 0.001 | 0.984 ± 0.001 | 0.969 ± 0.001 |
| SparseModel (static) | 0.988 ± 0.003 | 0.987 ± 0.001 | 0.985 ± 0.001 | 0.981 ± 0.002 | 0.946 ± 0.005 |
| operations of the trained network, as a share of the dense one | 0.93 | 0.81 | 0.54 | 0.30 | 0.12 |

The dense network has 0.989 ± 0.001. At 0.02, GMP, RigL and SET are better than the static mask by 0.034, 0.025 and
0.023, and GMP is better than SET by 0.011 (p from 0.003 to 0.034 after correction for 30 comparisons). At no other
density do two methods differ clearly, nor RigL from SET or GMP at 0.02. The training of GMP takes 0.29 of the dense
operations at 0.02, that of the others 0.12; at 0.1 it is 0.63 and 0.54.

With Erdős-Rényi densities the convolutions, which cost the most, are much denser than the linear layers: so a density
of 0.1 saves only half of the operations. Published accuracies of the dense LeNet-5 on MNIST are about 0.992, after many
more epochs; with `augment="crop"`, all 60,000 images and 20 or 30 epochs, the dense network here has 0.9919.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="lenet5_by_density",
    question="How much accuracy does LeNet-5 lose on MNIST at densities from 0.5 to 0.02, and with which method?",
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
