"""The grid of the 2019 notebook "mlp_heb eval2", with the corrected methods.

432 trials on MNIST. In the notebook's own run `kwinners` had no effect, and 89 trials failed because of mistakes in the
mask update (experiments/mlp_heb_legacy.py runs that).

Answer: none of the 432 failed. Density and magnitude pruning help; Hebbian growth and Hebbian pruning harm; k-winners
cost 0.001. The table shows the mean difference in val_acc_max over pairs of trials that differ in this axis only, and
its 95% interval, for one seed; and the difference with the initial weights of 2019, those of dense layers
(`--set weight_init=dense_uniform`):

| axis | values | difference | 95% interval | pairs | weights of 2019 |
|---|---|---|---|---|---|
| on_perc | 0.2 against 0.05 | +0.0197 | 0.0186 to 0.0208 | 144 | +0.0225 |
| weight_prune_perc | 0.5 against 0 | +0.0155 | 0.0134 to 0.0177 | 72 | +0.0174 |
| hebbian_prune_perc | 0.5 against 0 | -0.0043 | -0.0056 to -0.0031 | 72 | -0.0027 |
| hebbian_grow | True against False | -0.0032 | -0.0038 to -0.0027 | 216 | -0.0043 |
| kwinners | True against False | -0.0009 | -0.0012 to -0.0005 | 216 | -0.0010 |

docs/results/mlp_heb.md has these beside the numbers of the notebook.
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
