"""A `Plan`: what a pack's configuration asks of the engine and the trainer, and which keys it reads for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from dynsparse.config import Config, ConfigError, keys
from dynsparse.methods import METHODS, Method
from dynsparse.nn.mlp import NETWORKS, Network
from dynsparse.nn.optimizers import OPTIMIZERS, Optimizer
from dynsparse.ops.densities import SPREADS
from dynsparse.ops.schedules import DECAYS, Schedule, constant
from dynsparse.planning.packs import stack
from dynsparse.studies import STUDIES, Step, Study

# Keys that only a mask update reads; those that say when one comes are no part of them.
UPDATE_KEYS = frozenset(
    {"prune_decay", "pruning_es", "pruning_es_patience", "pruning_es_window_size", "pruning_es_threshold"}
)


@dataclass(frozen=True)
class EarlyStop:
    """Mask updates end when too few of the grown weights survive."""

    threshold: float  # survival below it is low
    window: int  # mask updates over which survival is averaged
    patience: int  # times that it may be low


@dataclass(frozen=True)
class Updates:
    """When masks are updated, and how much is dropped."""

    interval: int  # epochs
    end: int  # the epoch, counted from 1, after which the last update comes; 0: there is none
    decay: Schedule  # what the drop fractions are multiplied by
    early_stop: EarlyStop | None

    def due(self, epoch: int) -> bool:
        """Whether a mask update follows this epoch, counted from 1."""
        return epoch <= self.end and epoch % self.interval == 0

    def progress(self, epoch: int) -> float:
        """How far the updates have come after this epoch, in [0, 1]: 1 at the last one."""
        last = self.end - self.end % self.interval
        return min(epoch / last, 1.0) if last else 1.0


@dataclass(frozen=True)
class Plan:
    """All that training needs to know; per-trial values are tensors of shape (trials,)."""

    study: Study
    network: Network
    method: Method
    optimizer: Optimizer
    sparse_type: str
    densities: list[list[float]]  # per trial and layer
    updates: Updates | None  # None: the masks stay as they are
    seeds: list[int]  # per trial
    epochs: int
    batch_size: int
    dataset_name: str
    pixels: str
    data_dir: str | None
    val_fraction: float
    noise_level: float | None  # None: no test on noisy images
    debug_weights: bool
    debug_sparse: bool
    device: str
    engine: str
    precision: str  # of matrix products; "float32" on a CPU


def plan(configs: Sequence[Config]) -> Plan:
    """The plan of a pack. Raises: ValueError if the trials cannot be one pack, or their method would do nothing."""
    return _plan(stack(configs, configs[0].device))


def steps(config: Config) -> list[Step]:
    """The steps of a trial, each of which gives a row."""
    return STUDIES[config.study](config).steps


def keys_read(config: Config) -> frozenset[str]:
    """The keys that this trial reads.

    Found by planning the trial and watching, not from a list that could go stale: `percent_on` is read where
    `kwinners` is True, `hebbian_grow` by the model that has it, and so on.
    """
    watched = _Watched(stack([config]))
    if _plan(cast(Config, watched)).updates is not None:
        return frozenset(watched.read)
    # No mask update ever comes: of what the method reads, its density is all that counts.
    method = _Watched(stack([config]))
    METHODS[config.model](cast(Config, method))
    return frozenset((watched.read - method.read - UPDATE_KEYS) | (method.read & {"on_perc", "rules"}))


class _Watched:
    def __init__(self, config: Config) -> None:
        self._config = config
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name in keys():
            self.read.add(name)
        return getattr(self._config, name)


def _plan(config: Config) -> Plan:
    network = NETWORKS[config.network](config)
    method = METHODS[config.model](config)
    # In float64: in float32, 0.3 of 15 weights would be 5, not 4.
    density = torch.as_tensor(method.density, dtype=torch.float64)
    is_sparse = bool((density < 1).any()) or method.sparse_type is not None
    updates = _updates(config, method) if method.prune is not None and config.pruning_active else None
    if updates is not None and updates.end < updates.interval:
        updates = None
    if method.surplus is not None and updates is None:
        raise ConfigError(
            f"model={config.model!r} would stay dense: no mask update is due within epochs={config.epochs} "
            f"(pruning_interval={config.pruning_interval}, pruning_end={config.pruning_end}, "
            f"pruning_active={config.pruning_active})"
        )
    seeds = torch.as_tensor(config.seed).tolist()
    densities = [
        _layer_densities(config, network, each) if is_sparse else [1.0] * len(network.shapes)
        for each in density.expand(len(seeds)).tolist()
    ]
    for trial in densities:
        for (n_out, n_in), each in zip(network.shapes, trial, strict=True):
            if round(each * n_out * n_in) < 1:
                raise ConfigError(f"a density of {each:.3g} leaves a layer of {n_out} x {n_in} without a weight")
    study = STUDIES[config.study](config)
    if study.owns_masks and updates is not None:
        raise ConfigError(
            f"study={config.study!r} prunes by itself, and so does model={config.model!r}; choose model='Dense' or "
            f"'SparseModel', or pruning_active=False"
        )
    if study.relu_only and network.kwinners is not None:
        raise ConfigError(
            "prune_kinds: under k-winners a pruned unit can win and is trained again; take ['weight'], or "
            "retrain_epochs=0, or kwinners=False"
        )
    return Plan(
        study=study,
        network=network,
        method=method,
        optimizer=OPTIMIZERS[config.optim_alg](config),
        sparse_type=method.sparse_type or (config.sparse_type if is_sparse and not method.surplus else "exact"),
        densities=densities,
        updates=updates,
        seeds=seeds,
        epochs=config.epochs,
        batch_size=config.batch_size,
        dataset_name=config.dataset_name,
        pixels=config.pixels,
        data_dir=config.data_dir,
        val_fraction=config.val_fraction,
        noise_level=config.noise_level if config.test_noise else None,
        debug_weights=config.debug_weights,
        debug_sparse=config.debug_sparse,
        device=config.device,
        engine=config.engine,
        # A CPU has no tf32.
        precision="float32" if config.device == "cpu" else config.precision,
    )


def _layer_densities(config: Config, network: Network, density: float) -> list[float]:
    """The density of each layer: `layer_densities` over the layers that are not left dense."""
    last = len(network.shapes) - 1
    dense = {0} if config.first_layer_dense else set()
    dense |= {last} if config.last_layer_dense else set()
    sparse = [layer for layer in range(last + 1) if layer not in dense]
    spread = SPREADS[config.layer_densities]([network.shapes[layer] for layer in sparse], density)
    return [1.0 if layer in dense else spread[sparse.index(layer)] for layer in range(last + 1)]


def _updates(config: Config, method: Method) -> Updates:
    # What the update after the last epoch grows is never trained: it would only spoil the network that was tested.
    last = config.epochs if method.updates_after_last_epoch else config.epochs - 1
    early_stop = None
    if method.grow is not None and config.pruning_es:
        early_stop = EarlyStop(config.pruning_es_threshold, config.pruning_es_window_size, config.pruning_es_patience)
    end = min(round(config.pruning_end * config.epochs), last)
    decay = DECAYS[config.prune_decay] if method.prune_decays else constant
    return Updates(config.pruning_interval, end, decay, early_stop)
