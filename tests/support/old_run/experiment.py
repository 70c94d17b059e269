"""A small grid whose first half an older version ran."""

from ray import tune

from dynsparse.experiment import Experiment

experiment = Experiment(
    name="old",
    question="Does a run of an older version load and resume?",
    space=dict(
        dataset_name="digits",
        hidden_sizes=[12, 8],
        batch_size=32,
        model=tune.grid_search(["DSNNMixedHeb", "RigL"]),
        seed=tune.grid_search([0, 1]),
        optim_alg="Adam",
        learning_rate=0.01,
        # As all trials of version 0.1. Without it these would be other trials.
        weight_init="dense_uniform",
    ),
    epochs=6,
)
