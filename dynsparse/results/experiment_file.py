"""experiment.json: what a run notes about its experiment in the folder of the results."""

from __future__ import annotations

import json

from dynsparse.experiment import Experiment
from dynsparse.io.storage import Folder

EXPERIMENT_FILE = "experiment.json"


def write_experiment(folder: Folder, experiment: Experiment) -> None:
    """Write name, question and metric of an experiment, unless the file has them. Raises: OSError."""
    facts = {name: str(getattr(experiment, name)) for name in ("name", "question", "metric")}
    content = json.dumps(facts, indent=2).encode()
    if folder.read(EXPERIMENT_FILE) != content:
        folder.replace(EXPERIMENT_FILE, content)
