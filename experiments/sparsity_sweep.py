"""How much of a trained network can be pruned: single weights, or whole units?

The network of the blog on Optimal Brain Damage, trained as it was trained there: once for each data set and seed, then
pruned by each kind to each of ten sparsities. `analysis.sweeps` gives the rows.
"""

import sys

from ray import tune

from dynsparse.experiment import Experiment

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
