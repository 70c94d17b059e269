"""Unstructured and structured pruning: how much of a trained network can be pruned?

The network and its training are those of the blog on Optimal Brain Damage. Each trial trains once, for a data set and a
seed, and then prunes weights and units to ten sparsities. `analysis.sweeps` returns one row for each.

The figures are those of version 0.1, which had another initialization: `--set weight_init=dense_uniform`.

Answer: half of the units, or two thirds of the weights, can be pruned without loss. The table shows at which sparsity
one point of accuracy is lost, as mean and 95% interval over 5 seeds:

| data set | pixels | weight | unit |
|---|---|---|---|
| MNIST | unit | 0.799 (0.776 to 0.822) | 0.663 (0.616 to 0.709) |
| MNIST | standard | 0.846 (0.813 to 0.880) | 0.679 (0.660 to 0.698) |
| FashionMNIST | unit | 0.705 (0.648 to 0.762) | 0.546 (0.515 to 0.576) |
| FashionMNIST | standard | 0.694 (0.637 to 0.751) | 0.572 (0.534 to 0.611) |

Beyond that, unit pruning loses more. At a sparsity of 0.9 and pixels in [0, 1], accuracy on MNIST is 0.913 after weight
pruning and 0.256 after unit pruning (the blog: 0.910, 0.259). On Fashion-MNIST it is 0.712 and 0.244 (0.741, 0.196).
With standardized pixels more weights can be pruned: on MNIST at 0.95 accuracy is 0.877, and 0.430 with pixels in [0, 1]
(the blog: 0.372). notebooks/pruning.ipynb has the curves.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="sparsity_sweep",
    question="To which sparsity does accuracy hold when weights, or units, are pruned after training?",
    space=dict(
        study="sweep",
        seed=tune.grid_search([0, 1, 2, 3, 4]),
        dataset_name=tune.grid_search(["MNIST", "FashionMNIST"]),
        # The blog has pixels in [0, 1]; everywhere else here they have mean 0 and standard deviation 1.
        pixels=tune.grid_search(["unit", "standard"]),
        prune_kinds=["weight", "unit"],
        sparsities=[0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99],
        network="MLP",
        model="Dense",
        hidden_sizes=[1000, 1000, 500, 200],
        optim_alg="Adam",
        learning_rate=0.001,
        weight_decay=0,
        batch_size=128,
        test_noise=False,
    ),
    epochs=10,
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
