"""The grid of the 2019 notebook "mlp_heb eval2", as its methods should be.

432 trials on MNIST. In the notebook's own run `kwinners` was read by nobody, and three mistakes in the mask update
killed 89 trials (experiments/mlp_heb_legacy.py runs that).

The figures are those of version 0.1, which had another initialization: `--set weight_init=dense_uniform`.

Answer: none of the 432 failed. Density and magnitude pruning help; Hebbian growth and Hebbian pruning harm; k-winners
make no difference worth having. val_acc_max, differences over pairs of trials that differ in nothing else, one seed:

| axis | values | difference | 95% interval | pairs |
|---|---|---|---|---|
| on_perc | 0.2 against 0.05 | +0.0226 | 0.0212 to 0.0241 | 144 |
| weight_prune_perc | 0.5 against 0 | +0.0172 | 0.0147 to 0.0201 | 72 |
| hebbian_grow | True against False | -0.0044 | -0.0053 to -0.0036 | 216 |
| hebbian_prune_perc | 0.5 against 0 | -0.0030 | -0.0044 to -0.0017 | 72 |
| kwinners | True against False | -0.0007 | -0.0012 to -0.0001 | 216 |

notebooks/mlp_heb.ipynb has the tables and the questions one by one.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="mlp_heb",
    question="Which of k-winners, density, magnitude pruning, Hebbian pruning and Hebbian growth help, and when?",
    space=dict(
        dataset_name="MNIST",
        network="MLPHeb",
        hidden_sizes=[100, 100, 100],
        model="DSNNMixedHeb",
        kwinners=tune.grid_search([True, False]),
        percent_on=0.3,
        on_perc=tune.grid_search([0.05, 0.1, 0.2]),
        hebbian_prune_perc=tune.grid_search([0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        weight_prune_perc=tune.grid_search([0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        hebbian_grow=tune.grid_search([True, False]),
        pruning_es=False,
        test_noise=True,
        noise_level=0.15,
    ),
    epochs=30,
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
