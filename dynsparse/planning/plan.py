"""A `Plan`: the instructions for engine and trainer from a pack's configuration, and the keys that they depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dynsparse.config import Config, n_rows_copied
from dynsparse.data import OwnData, example_shape, own_keys
from dynsparse.data.augmentation import AUGMENTATIONS, Augmentation
from dynsparse.methods import Method, method_of
from dynsparse.nn.init import WEIGHT_INITS, WeightInit
from dynsparse.nn.lr_schedules import LearningRates, learning_rates, learning_rates_of_pack
from dynsparse.nn.mlp import Network
from dynsparse.nn.module_network import ModuleNetwork, network_of
from dynsparse.nn.optimizers import OPTIMIZERS, Optimizer
from dynsparse.ops.densities import SPREADS
from dynsparse.ops.losses import LOSSES, Loss
from dynsparse.ops.masks import DRAWS, brf
from dynsparse.ops.patterns import UNSTRUCTURED, Pattern, pattern_of
from dynsparse.ops.schedules import DECAYS, Decay, constant_decay
from dynsparse.planning.packs import PackConfig, RecordingConfig
from dynsparse.studies import STUDIES, Step, Study

# Keys that only a mask update reads. The keys that schedule the updates are not among them.
UPDATE_KEYS = frozenset(
    {"prune_decay", "pruning_es", "pruning_es_patience", "pruning_es_window_size", "pruning_es_threshold"}
)


@dataclass(frozen=True)
class EarlyStop:
    """Rule that ends mask updates when too few of the grown weights survive."""

    threshold: float  # a survival below it counts as low
    window: int  # mask updates over which survival is averaged
    patience: int  # number of times that it may be low


@dataclass(frozen=True)
class UpdateSteps:
    """The optimizer steps, counted from 1, that a mask update follows, and the drop fraction in each update."""

    interval: int  # steps from one update to the next, and to the first
    n_updates: int
    decay: Decay  # factor of the drop fractions

    @property
    def last(self) -> int:
        """The step that the last update follows; 0 without updates."""
        return self.interval * self.n_updates

    def due(self, step: int) -> bool:
        """Return True if a mask update follows this step."""
        return step % self.interval == 0 and 0 < step <= self.last

    def share_done(self, step: int) -> float:
        """Return the share of the updates that are done with the update after this step; 1 at the last update."""
        return step // self.interval / self.n_updates

    def drop_scale(self, step: int) -> float:
        """Return the factor of the drop fractions in the update after this step."""
        return self.decay(step // self.interval, self.n_updates)


@dataclass(frozen=True)
class Updates:
    """Schedule of the mask updates, in its unit of time: epochs or optimizer steps."""

    in_steps: bool  # the unit is optimizer steps, not epochs
    interval: int  # units from one update to the next
    end: float | int  # no update after this share of the training (float), or after this unit of time (int)
    after_last: bool  # an update may follow the last unit of the training
    n_epochs: int
    decay: Decay
    early_stop: EarlyStop | None

    def steps(self, steps_per_epoch: int) -> UpdateSteps:
        """Return the steps that updates follow, for the number of steps that an epoch has."""
        steps_per_unit = 1 if self.in_steps else steps_per_epoch
        n_units = self.n_epochs * steps_per_epoch // steps_per_unit
        end = round(self.end * n_units) if isinstance(self.end, float) else self.end
        n_updates = min(end, n_units if self.after_last else n_units - 1) // self.interval
        return UpdateSteps(self.interval * steps_per_unit, n_updates, self.decay)


@dataclass(frozen=True)
class Plan:
    """Instructions for the training of a pack; per-trial values are tensors of shape (trials,)."""

    study: Study
    network: Network
    weight_init: WeightInit
    method: Method
    optimizer: Optimizer
    learning_rates: LearningRates
    clip_norm: float | Tensor | None  # None: gradients are not scaled
    loss: Loss
    label_smoothing: float | Tensor
    class_weights: str | tuple[float, ...] | None  # None: all classes count alike
    sparse_type: str
    draw_mask: Callable[[Tensor, Tensor], Tensor]  # from noise and the number of active weights: see `masks.DRAWS`
    densities: list[list[float]]  # per trial and layer; if they fall, at the end
    initial_densities: list[list[float]]  # the same, before the first mask update
    dense_layers: set[int]  # layers that keys or the method leave dense
    patterns: list[Pattern]  # per layer: the structure of its mask
    updates: Updates | None  # None: the masks stay as they are
    seeds: list[int]  # per trial
    n_rows_copied: list[int]  # per trial: the number of rows of another trial, whose training it continues
    epochs: int
    batch_size: int
    dataset_name: str
    pixels: str
    data_dir: str | None
    own_data: OwnData
    augment: Augmentation | None  # None: training images as they are
    image_shape: tuple[int, ...] | None  # of images that are augmented or corrupted: channels, rows, columns
    val_fraction: float
    noise: dict[str, float]  # name of each noisy version of the test images -> share of the pixels overwritten
    corruptions: tuple[str, ...]  # of the test images
    debug_weights: bool
    debug_sparse: bool
    device: str
    engine: str
    precision: str  # of matrix products and convolutions; no "tf32" on a CPU
    compile: bool  # torch modules: by torch.compile


def plan(configs: Sequence[Config]) -> Plan:
    """Return the plan of a pack. Raises: ValueError if the trials cannot be one pack."""
    return _plan(PackConfig(configs, configs[0].device))


def steps(config: Config) -> list[Step]:
    """Return the steps of a trial; each gives one row of results."""
    return STUDIES[config.study](config).steps


def keys_read(config: Config) -> frozenset[str]:
    """Return the keys that this trial reads.

    They are found by planning the trial and recording its reads, not from a list that could become outdated. For
    example, `percent_on` is read if `kwinners` is True.
    """
    whole = PackConfig([config])
    if _plan(whole).updates is not None:
        return frozenset(whole.keys_read)
    # Without mask updates, only the density that the method asks for matters, and what it does besides them.
    method = PackConfig([config])
    still_matter = {"model", "model_hash", "on_perc", "rules"}
    if method_of(method).acts_without_updates:
        still_matter |= method.keys_read
    return frozenset((whole.keys_read - method.keys_read - UPDATE_KEYS) | (method.keys_read & still_matter))


def _plan(config: PackConfig) -> Plan:
    network = network_of(config, config.trials())
    method = method_of(config)
    # In float32, 0.3 of 15 weights would be 5, not 4.
    final = torch.as_tensor(method.density, dtype=torch.float64)
    initial = torch.as_tensor(method.initial_density, dtype=torch.float64) if method.surplus else final
    draws_masks = method.initial_pruning is None and method.backward_density is None
    starts_sparse = bool((initial < 1).any()) and draws_masks
    sparse_type = method.sparse_type or (config.sparse_type if starts_sparse else "exact")
    updates = mask_updates(config, method)
    seeds, loss = torch.as_tensor(config.seed).tolist(), LOSSES[config.loss]
    initial_densities, densities = (
        [layer_densities(config, network, method, each) for each in of_trials.expand(len(seeds)).tolist()]
        if bool((of_trials < 1).any())
        else [[1.0] * len(network.shapes)] * len(seeds)
        for of_trials in (initial, final)
    )
    return Plan(
        study=STUDIES[config.study](config),
        network=network,
        weight_init=WEIGHT_INITS[config.weight_init],
        method=method,
        optimizer=OPTIMIZERS[config.optim_alg](config),
        learning_rates=learning_rates_of_pack([learning_rates(trial) for trial in config.trials()]),
        clip_norm=config.clip_norm,
        loss=loss,
        label_smoothing=0.0 if loss.is_regression else config.label_smoothing,
        class_weights=config.class_weights,
        sparse_type=sparse_type,
        draw_mask=partial(brf, randomness=config.brf_randomness) if sparse_type == "brf" else DRAWS[sparse_type],
        densities=densities,
        initial_densities=initial_densities,
        dense_layers=dense_layers(config, network) if _is_sparse(method) else set(range(len(network.shapes))),
        patterns=layer_patterns(config, network, method),
        updates=updates,
        seeds=seeds,
        n_rows_copied=[n_rows_copied(trial.starts_from) for trial in config.trials()],
        epochs=config.epochs,
        batch_size=config.batch_size,
        dataset_name=config.dataset_name,
        pixels=config.pixels,
        data_dir=config.data_dir,
        own_data=own_keys(config),
        augment=AUGMENTATIONS[config.augment] if config.augment else None,
        image_shape=example_shape(config) if config.augment or config.test_corruptions else None,
        val_fraction=config.val_fraction,
        noise=_noise(config) if config.test_noise else {},
        corruptions=config.test_corruptions,
        debug_weights=config.debug_weights,
        debug_sparse=config.debug_sparse,
        device=config.device,
        engine=config.engine,
        precision=_precision(config, network),
        compile=isinstance(network, ModuleNetwork) and config.compile,
    )


def _precision(config: PackConfig, network: Network) -> str:
    """Return the precision of the computation. CPUs have no tf32, and only torch modules are computed in bf16."""
    if config.device == "cpu" and not isinstance(network, ModuleNetwork):
        return "float32"
    return "float32" if (config.device, config.precision) == ("cpu", "tf32") else config.precision


def _noise(config: PackConfig) -> dict[str, float]:
    return {"noise": config.noise_level, **{f"noise@{level}": level for level in config.noise_levels}}


def layer_densities(
    config: Config | PackConfig | RecordingConfig, network: Network, method: Method, density: float
) -> list[float]:
    """Return the density of each layer: 1 for those left dense, the spread `config.layer_densities` for the others.

    A method that prunes all layers together before training decides itself how the density is spread.
    """
    dense, n_layers = dense_layers(config, network), len(network.shapes)
    sparse = [layer for layer in range(n_layers) if layer not in dense]
    name = config.layer_densities if method.initial_pruning is None else "uniform"
    spread = SPREADS[name]([network.weight_shapes[layer] for layer in sparse], density)
    return [1.0 if layer in dense else spread[sparse.index(layer)] for layer in range(n_layers)]


def dense_layers(config: Config | PackConfig | RecordingConfig, network: Network) -> set[int]:
    """Return the indices of the layers that keys leave dense."""
    first = {0} if config.first_layer_dense else set()
    last = {len(network.shapes) - 1} if config.last_layer_dense else set()
    return network.dense_layers(config) | first | last


def layer_patterns(config: Config | PackConfig | RecordingConfig, network: Network, method: Method) -> list[Pattern]:
    """Return the pattern of each layer's mask; `UNSTRUCTURED` for layers that are left dense."""
    n_layers = len(network.shapes)
    if not _is_sparse(method):
        return [UNSTRUCTURED] * n_layers
    pattern, dense = pattern_of(config.mask_pattern), dense_layers(config, network)
    return [UNSTRUCTURED if layer in dense else pattern for layer in range(n_layers)]


def _is_sparse(method: Method) -> bool:
    """Return True if some trial has inactive weights, at least in the end."""
    return bool((torch.as_tensor(method.density) < 1).any())


def mask_updates(config: Config | PackConfig | RecordingConfig, method: Method) -> Updates | None:
    """Return the schedule of the mask updates; None if there are no updates."""
    if method.prune is None or not config.pruning_active:
        return None
    early_stop = None
    # Updates that ended early would leave a density that falls above its end.
    if method.grow is not None and method.surplus is None and config.pruning_es:
        early_stop = EarlyStop(config.pruning_es_threshold, config.pruning_es_window_size, config.pruning_es_patience)
    in_steps = config.pruning_interval_steps is not None
    end_step = config.pruning_end_step if in_steps else None
    updates = Updates(
        in_steps=in_steps,
        interval=config.pruning_interval_steps or config.pruning_interval,
        end=config.pruning_end if end_step is None else end_step,
        # Weights that are grown after the last step are never trained, so such an update would only harm the network.
        after_last=method.updates_after_last_epoch,
        n_epochs=config.epochs,
        decay=DECAYS[config.prune_decay] if method.prune_decays else constant_decay,
        early_stop=early_stop,
    )
    # How many steps there are is not known before the data are loaded.
    return updates if in_steps or updates.steps(1).n_updates else None


def of_trial(value: float | Tensor, trial: int) -> float:
    """Return a trial's value of a hyperparameter: of a tensor (trials,), or of a number that all trials share."""
    return float(torch.as_tensor(value, dtype=torch.float64).reshape(-1)[trial if torch.is_tensor(value) else 0])
