"""Do sparse methods reach the published accuracies on MNIST with LeNet-300-100?"""

import sys

from ray import tune

from dynsparse import Experiment

density = tune.grid_search([0.1, 0.05, 0.01])
# With a uniform density of 0.01, the last layer has one weight for each class.
layer_densities = tune.grid_search(["uniform", "erdos_renyi"])

experiment = Experiment(
    name="lenet_300_100",
    question="Do sparse methods reach the published accuracies on MNIST with LeNet-300-100?",
    space=dict(
        dataset_name="MNIST",
        network="MLP",
        hidden_sizes=[300, 100],
        val_fraction=0.1,
        arm=tune.grid_search(
            [
                dict(model="Dense", on_perc=1.0),
                dict(
                    model=tune.grid_search(["SparseModel", "SET", "RigL", "DeepR", "GraNet"]),
                    on_perc=density,
                    layer_densities=layer_densities,
                ),
                dict(model="CHTs", on_perc=density, layer_densities=layer_densities, sparse_type="csti"),
                dict(model="SNFS", on_perc=density, redistribution="gradient_momentum"),
                dict(model="SNIP", on_perc=tune.grid_search([0.1, 0.05, 0.02])),
            ]
        ),
        weight_prune_perc=0.5,
        prune_decay="cosine",
        seed=tune.grid_search([0, 1, 2]),
        batch_size=100,
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        lr_schedule="multistep",
        lr_milestones=[46, 93],
        lr_gamma=0.1,
        test_noise=False,
    ),
    epochs=100,
    metric="test_acc_last",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
