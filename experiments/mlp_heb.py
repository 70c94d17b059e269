"""The grid of the 2019 notebook "mlp_heb eval2", with the corrected methods.

432 trials on MNIST. In the notebook's own run `kwinners` had no effect, and 89 trials failed because of three mistakes
in the mask update (experiments/mlp_heb_legacy.py runs that).

Answer: none of the 432 failed. Density and magnitude pruning help; Hebbian growth and Hebbian pruning harm; k-winners
cost 0.001. The table shows the mean difference in val_acc_max over pairs of trials that differ in this axis only, for
one seed:

| axis | values | difference | 95% interval | pairs | in version 0.1 |
|---|---|---|---|---|---|
| on_perc | 0.2 against 0.05 | +0.0198 | 0.0187 to 0.0209 | 144 | +0.0226 |
| weight_prune_perc | 0.5 against 0 | +0.0152 | 0.0131 to 0.0173 | 72 | +0.0172 |
| hebbian_prune_perc | 0.5 against 0 | -0.0039 | -0.0052 to -0.0028 | 72 | -0.0030 |
| hebbian_grow | True against False | -0.0033 | -0.0039 to -0.0028 | 216 | -0.0044 |
| kwinners | True against False | -0.0010 | -0.0014 to -0.0006 | 216 | -0.0007 |

Version 0.1 had another initialization (`--set weight_init=dense_uniform`). Only the answer on k-winners has changed:
there the difference was not significant after a correction for the 35 comparisons of the grid.

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
