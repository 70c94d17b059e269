"""Commands that tests run in this process, and experiment files for them."""

from click.testing import CliRunner, Result

from dynsparse.cli import main

GRID = """
from ray import tune
from dynsparse.experiment import Experiment

experiment = Experiment(
    name="grid",
    question="Is it worth it?",
    space=dict(
        dataset_name="digits", kwinners=tune.grid_search([True, False]), percent_on=tune.grid_search([0.2, 0.3])
    ),
    epochs=2,
)
"""
# Settings that belong together.
ARMS = """
from ray import tune
from dynsparse.experiment import Experiment

arms = [dict(lr_schedule="constant"), dict(lr_schedule="cosine", warmup_epochs=1)]
experiment = Experiment(
    name="arms",
    question="Is it worth it?",
    space=dict(
        dataset_name="digits", hidden_sizes=[10], batch_size=64, schedule=tune.grid_search(arms),
        seed=tune.grid_search([0, 1]),
    ),
    epochs=2,
)
"""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))
