"""One trial as Ray Tune's class API wants it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from dynsparse.config import Config
from dynsparse.training import Trainer, TrialError

STATE_FILE = "state.pt"
# Where a trial stands in the list that Tune is given. It is no hyperparameter, and no file shows it.
PLACE = "place_in_list"


class SparseTrial(tune.Trainable):
    """One trial as Ray Tune's class API wants it: a step is an epoch."""

    def setup(self, config: dict[str, Any]) -> None:
        """Build the trial. Raises: ConfigError, DataError."""
        # Ray sets OMP_NUM_THREADS for this too, but not where the user's environment sets another.
        torch.set_num_threads(max(1, int(self.trial_resources.head_cpus) if self.trial_resources else 1))
        self._config = Config.of(without(config, PLACE))
        self.trainer = Trainer([self._config])

    def step(self) -> dict[str, Any]:
        """Train one epoch. Raises: TrialError if the trial cannot go on."""
        [row] = self.trainer.train_epoch()
        if row is None:
            raise TrialError(self.trainer.errors[0])
        return {**row, "done": self.trainer.epoch >= self._config.epochs}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write all that is needed to continue bit for bit."""
        torch.save(self.trainer.state_dict(), Path(checkpoint_dir) / STATE_FILE)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Continue from a checkpoint; nothing is unpickled but tensors and plain values."""
        self.trainer.load_state_dict(torch.load(Path(checkpoint_dir) / STATE_FILE, weights_only=True))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial: the process, torch and the data set stay, all else is built anew."""
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Let go of the network."""
        del self.trainer


def without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A copy of a dict that lacks one key."""
    return {key: value for key, value in values.items() if key != name}
