"""Trials whose training is identical, although their configurations differ."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

import torch

from dynsparse.config import Config
from dynsparse.data import DATASETS
from dynsparse.data.sampling import n_held_out
from dynsparse.methods import Method, MethodError, method_of
from dynsparse.nn.lr_schedules import learning_rates
from dynsparse.nn.module_network import network_of
from dynsparse.ops.patterns import UNSTRUCTURED
from dynsparse.ops.scores import Layer
from dynsparse.planning.packs import PackConfig
from dynsparse.planning.plan import UPDATE_KEYS, keys_read, layer_densities, mask_updates

# Keys of the learning rate. Their values are compared by the rates that they give.
RATE_KEYS = frozenset({"learning_rate", "lr_schedule", "lr_milestones", "lr_gamma", "lr_final", "warmup_epochs"})
# Keys of the mask updates. Their values are compared by the updates that they give.
SCHEDULE_KEYS = frozenset(
    {"pruning_active", "pruning_interval", "pruning_end", "pruning_interval_steps", "pruning_end_step", "prune_decay"}
)
# Steps of an epoch at which learning rates are compared. How many there are is known only when the data are loaded.
COMPARED_STEPS = 8


def usual_training_examples(config: Config) -> int | None:
    """Return the number of examples that a trial trains on, without reading the data; None if it is not known."""
    source = DATASETS.get(config.dataset_name)
    if source is None or source.n_train is None:
        return None
    return source.n_train - n_held_out(source.n_train, config.val_fraction)


def same_trials(
    configs: Sequence[Config], n_examples: Callable[[Config], int | None] = usual_training_examples
) -> list[list[Config]]:
    """Return groups of trials that differ only in what has no effect on them: their training is identical.

    Args:
        configs: the trials.
        n_examples: returns the number of training examples of a trial, or None. Where it is not known, trials that
            differ in `val_fraction`, or in mask updates that are counted in steps, are taken for different.
    """
    groups: dict[Hashable, list[Config]] = {}
    drops, trained = dict[Hashable, bool](), dict[Hashable, Hashable]()
    for config in configs:
        # Nothing else depends on the seed, and most grids have several.
        others = tuple(value for name, value in config.values().items() if name != "seed")
        if others not in trained:
            trained[others] = what_is_trained(config, drops, n_examples(config))
        groups.setdefault((config.seed, trained[others]), []).append(config)
    return [group for group in groups.values() if len(group) > 1]


def what_is_trained(config: Config, drops: dict[Hashable, bool], n_train: int | None = None) -> Hashable:
    """Return a value that is equal for trials whose training is identical if they have the same seed.

    It has the values of the keys that a trial reads. In the place of some it has what follows from them: the learning
    rates, the mask updates with the factors of their drop fractions, the numbers of active weights, and the number of
    training examples. If no update can drop a weight, the method does not matter.

    Args:
        config: the trial.
        drops: which methods may drop weights, as far as it is known; {} at first. The function adds to it.
        n_train: the number of training examples; None if it is not known.
    """
    network, method = network_of(config, [config]), method_of(config)
    densities = layer_densities(config, network, method, float(method.density))
    counts = tuple(round(each * n_out * n_in) for each, (n_out, n_in) in zip(densities, network.shapes, strict=True))
    # With a pattern, the numbers of active blocks may differ although those of weights do not.
    follows_counts = method.initial_pruning is None and config.sparse_type == "exact" and config.mask_pattern is None
    read = keys_read(config) - RATE_KEYS - {"seed"}
    read -= {"on_perc"} if follows_counts else set()
    read -= _keys_without_boost(config)
    split: Hashable = None
    if n_train is not None:
        read -= {"val_fraction"}
        # Without a fraction the test set is evaluated; with one so small that it holds out nothing, the trial fails.
        split = config.val_fraction > 0, n_train
    steps_per_epoch = None if n_train is None else -(-n_train // config.batch_size)
    updates = mask_updates(config, method)
    schedule: Hashable = None
    is_known = updates is not None and (not updates.in_steps or steps_per_epoch is not None)
    if updates is not None and is_known:
        steps = updates.steps(steps_per_epoch if updates.in_steps and steps_per_epoch else 1)
        factors = tuple(updates.decay(number, steps.n_updates) for number in range(1, steps.n_updates + 1))
        schedule = updates.in_steps, steps.interval, factors
        if _never_drops(config, method, counts, max(factors, default=0.0), drops):
            updates = schedule = None
    if updates is None:
        read -= SCHEDULE_KEYS | UPDATE_KEYS
        read -= set() if method.acts_without_updates else _keys_of_method(config) | {"model"}
        return _values(config, read | {"rules"}), split, counts, None, _rates(config)
    if is_known:
        read -= SCHEDULE_KEYS
    return _values(config, read), split, counts, schedule, _rates(config)


def _keys_without_boost(config: Config) -> set[str]:
    """Return the keys of boosting that have no effect: without boost, or if all units win."""
    if config.kwinners and config.percent_on == 1 <= config.k_inference_factor:
        return {"boost_strength", "boost_strength_factor", "duty_cycle_period"}
    return {"boost_strength_factor"} if config.kwinners and config.boost_strength == 0 else set()


def _values(config: Config, names: Iterable[str]) -> Hashable:
    return tuple((name, getattr(config, name)) for name in sorted(names))


def _never_drops(
    config: Config, method: Method, counts: tuple[int, ...], drop_scale: float, drops: dict[Hashable, bool]
) -> bool:
    """Return True if no update drops a weight, with this largest factor of the drop fractions."""
    if method.surplus is not None or method.backward_density is not None or config.rules != "fixed":
        return False
    key = _values(config, _keys_of_method(config) | {"model"}), counts, drop_scale
    if key not in drops:
        drops[key] = any(_drops_any(method, count, drop_scale) for count in counts)
    return not drops[key]


def _rates(config: Config) -> Hashable:
    if config.lr_schedule == "constant" and not config.warmup_epochs:
        return config.learning_rate
    rates = learning_rates(config)(0, config.epochs * COMPARED_STEPS, COMPARED_STEPS)
    return config.learning_rate if (rates == config.learning_rate).all() else tuple(rates.tolist())


def _keys_of_method(config: Config) -> frozenset[str]:
    reader = PackConfig([config])
    method_of(reader)
    return frozenset(reader.keys_read)


def _drops_any(method: Method, n_active: int, drop_scale: float) -> bool:
    """Return True if a mask update may drop some of the active weights of a layer.

    All statistics have the same order here, and all weights the same sign. So a rule that drops what several criteria
    select, or a share of each sign, drops as many as it ever can.
    """
    rising = torch.arange(1, n_active + 1, dtype=torch.float32)[None]
    noise = torch.arange(n_active, dtype=torch.int32)[None]
    mask = torch.ones(1, n_active, dtype=torch.bool)
    statistics = dict.fromkeys(("coactivation", "gradient", "active_gradient", "gradient_momentum"), rising)
    layer = Layer(
        rising,
        mask,
        torch.tensor(n_active),
        noise,
        noise,
        drop_scale,
        share_done=1.0,
        number=0,
        is_last=False,
        sign=-rising,
        pattern=UNSTRUCTURED,
        **statistics,
    )
    assert method.prune is not None
    try:
        return bool(method.prune(layer).any())
    except MethodError:
        # The mask updates of the trial report the error, with the layer.
        return True
