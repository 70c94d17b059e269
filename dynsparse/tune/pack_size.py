"""How wide the packs of a run are."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ray import tune

from dynsparse.config import Config
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.planning.packs import WIDEST, parse_pack


def widest_pack(
    pack: str | int, configs: Sequence[Config], *, tensorboard: bool, callbacks: Sequence[tune.Callback]
) -> int:
    """How many trials of a grid may be trained together; 1: each by itself. Raises: ExperimentError."""
    try:
        asked = parse_pack(pack)
    except ValueError as error:
        raise ExperimentError(str(error)) from error
    if asked == "off":
        return 1
    if asked == "auto":
        if any(config.device == "cpu" for config in configs):
            return 1
        if tensorboard or callbacks:
            print("each trial by itself, not in packs: Tune's callbacks are told of packs only", file=sys.stderr)
            return 1
        return WIDEST
    if tensorboard and int(asked) > 1:
        raise ExperimentError(
            "--tensorboard follows trials, and Tune knows packs only; give --pack off, or leave it out"
        )
    return int(asked)


def gpus_of(experiment: Experiment, configs: Sequence[Config], widest: int) -> float:
    """The GPUs that an experiment sets aside for a trial, or for a pack, which has one where nothing is said."""
    on_gpus = all(config.device != "cpu" for config in configs)
    return 1 if experiment.gpus_per_trial == 0 and widest > 1 and on_gpus else experiment.gpus_per_trial


def shared_out(n_trials: int, gpus_there: float, gpus: float, widest: int) -> int:
    """How wide packs are, so that there are as many as there is room for on the GPUs of Ray, or more.

    Args:
        gpus: of a pack.
    """
    n_packs = max(int(gpus_there / gpus), 1) if gpus else 1
    return min(-(-n_trials // n_packs), widest)
