"""The trainable class that Ray Tune runs: a pack of trials, often of a single one."""

from __future__ import annotations

import gc
import socket
from functools import cache
from typing import Any

import torch
from ray import tune

from dynsparse.config import ConfigError
from dynsparse.io.free_memory import return_free_memory
from dynsparse.training.trainer import Trainer
from dynsparse.tune.pack_training import PackTraining
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.param_space import indices_of, trial_configs
from dynsparse.tune.reports import PackReport, TrialReport

REFUSAL = (
    "ConfigError: The process of the trial, on {host}, refuses the configuration that the driver accepted. Use one "
    "version of dynsparse everywhere, and register methods, networks and data sets where workers import them"
    "{elsewhere}. {error}"
)


class SparseTrial(tune.Trainable):
    """Trains the trials of one pack in a process of Ray."""

    def setup(self, config: dict[str, Any], options: WorkerOptions) -> None:  # type: ignore[override]  # by tune.with_parameters
        """Resume the trials from their folders. Raises: OSError."""
        _freeze_existing_objects()
        # Ray sets OMP_NUM_THREADS too, but not if the user's environment sets it.
        torch.set_num_threads(max(1, int(self.trial_resources.head_cpus) if self.trial_resources else 1))
        # Free the old Trainers of a reused process first: two packs at once would take a fifth more memory.
        self._pack: PackTraining | None = None
        self._refusal: str | None = None
        try:
            self._pack = PackTraining(trial_configs(config, options.axis_names), options)
            return_free_memory()
        except ConfigError as error:
            # The driver has accepted them. Tune would retry an exception, and it would be raised again.
            elsewhere = f", not only in {options.experiment_file}" if options.experiment_file else ""
            text = " ".join(str(error).split())
            self._refusal = REFUSAL.format(host=socket.gethostname(), elsewhere=elsewhere, error=text)

    @property
    def trainer(self) -> Trainer:
        """The Trainer that takes the next step."""
        assert self._pack is not None
        return self._pack.trainer

    def step(self) -> dict[str, Any]:
        """Train one step of the pack. Raises: see `PackTraining.step`."""
        indices = indices_of(self.config)
        if self._pack is None:
            refused = TrialReport(0, done=True, unwritten_error=self._refusal)
            report = PackReport(dict.fromkeys(indices, refused), done=True)
        else:
            report = self._pack.step()
        return report.to_result(is_single=len(indices) == 1)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: each trial's own folder has its checkpoints."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Do nothing: `setup` has resumed the trials."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another pack. The process, torch and the data set are reused; everything else is rebuilt."""
        self.setup(new_config)  # type: ignore[call-arg]  # Tune adds `options`, as it does for a new actor
        return True


@cache  # Once in a process: what earlier trials leave must stay collectable.
def _freeze_existing_objects() -> None:
    """Exclude the objects that exist, mostly those of modules, from garbage collections, each of which takes 0.2 s."""
    gc.freeze()
