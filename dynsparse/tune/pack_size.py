"""The size of packs, and the GPUs that each pack gets."""

from __future__ import annotations

from collections.abc import Sequence

from dynsparse.config import Config
from dynsparse.experiment import Experiment
from dynsparse.nn.module_network import is_module
from dynsparse.planning.packs import WIDEST, parse_pack
from dynsparse.tune.options import RunOptions


def largest_pack(options: RunOptions, configs: Sequence[Config]) -> int:
    """Return how many trials may be trained together; 1: each trial alone. Torch modules gain nothing from a pack."""
    size = parse_pack(options.pack)
    if size == "off":
        return 1
    if size != "auto":
        return int(size)
    if any(config.device == "cpu" or is_module(config.network) for config in configs):
        return 1
    return WIDEST


def gpus_per_pack(experiment: Experiment, configs: Sequence[Config], largest: int) -> float:
    """Return the GPUs that an experiment reserves for a trial or pack; a pack on GPUs gets one by default."""
    on_gpus = all(config.device != "cpu" for config in configs)
    return 1 if experiment.gpus_per_trial == 0 and largest > 1 and on_gpus else experiment.gpus_per_trial


def even_pack_size(n_trials: int, n_gpus: float, gpus_per_pack: float, largest: int) -> int:
    """Return the pack size with which all packs run at the same time, or the largest if they do not fit.

    Args:
        n_trials: number of trials to run.
        n_gpus: number of GPUs of the Ray cluster.
        gpus_per_pack: number of GPUs that Ray reserves for each pack.
        largest: the largest pack that is allowed.
    """
    n_packs = max(int(n_gpus / gpus_per_pack), 1) if gpus_per_pack else 1
    return min(-(-n_trials // n_packs), largest)
