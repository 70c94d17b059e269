"""Conflicts between the keys of a configuration. `conflicts` runs all checks that involve more than one key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dynsparse.config import FUNCTIONS, function_hash, keys, n_rows_copied, unknown
from dynsparse.data import DATASETS, example_shape
from dynsparse.methods import Method, method_of
from dynsparse.nn.mlp import Network
from dynsparse.nn.module_network import ModuleNetwork, is_module, network_of
from dynsparse.ops.patterns import Groups
from dynsparse.planning.by_keys_read import ByKeysRead
from dynsparse.planning.packs import RecordingConfig
from dynsparse.planning.pattern_conflicts import dense_key, pattern_conflicts
from dynsparse.planning.plan import layer_densities, layer_patterns, mask_updates
from dynsparse.studies import STUDIES, Study

MOST_ROWS = 10_000_000


@ByKeysRead
def conflicts(config: RecordingConfig) -> list[str]:
    """Return one message for each conflict between keys whose values are each in range."""
    too_long = [*_length(config)]
    if too_long:
        return too_long
    problems = [
        *_data_set(config),
        *_images(config),
        *_class_weights(config),
        *_function_hashes(config),
        *_legacy_rules(config),
        *_start(config),
    ]
    try:
        # A builder that a program has added to its table may raise ValueError for its own keys.
        network = network_of(config, [config])
        method = method_of(config)
        study = STUDIES[config.study](config)
    except ValueError as problem:
        return [*problems, str(problem)]
    return [
        *problems,
        *_k_winners(config, network),
        *_precision(config),
        *_compile(config),
        *_dense_layers(config, network),
        *_mask_updates(config),
        *_masks(config, network, method),
        *pattern_conflicts(config, network, method, study),
        *_learning_rate(config),
        *_study(config, network, method, study),
    ]


def _data_set(config: RecordingConfig) -> Iterator[str]:
    source = DATASETS.get(config.dataset_name)
    if source is None:
        # What own data say of themselves has been compared when they were read.
        if config.fold is not None and config.fold >= config.n_folds:
            yield f"fold must be below n_folds={config.n_folds}, got {config.fold}. Raise n_folds."
        return
    facts: list[tuple[str, Any, int | str | None]] = [
        ("loss", config.loss, "cross_entropy"),
        ("input_size", config.input_size, source.input_size),
        ("num_classes", config.num_classes, source.num_classes),
        ("input_shape", config.input_shape, None),
        ("data_hash", config.data_hash, None),
    ]
    for name, given, right in facts:
        if given != right:
            yield f"{name} must be {right} for dataset_name={config.dataset_name!r}, got {given}. Leave {name} out."


def _images(config: RecordingConfig) -> Iterator[str]:
    """Check that data are images where a key changes images."""
    for name, value, unset in (
        ("augment", config.augment, "None"),
        ("test_corruptions", config.test_corruptions, "empty"),
    ):
        shape = example_shape(config) if value else None
        if value and (shape is None or len(shape) != 3):
            yield (
                f"{name} must be {unset} for data that are not images of channels, rows and columns, got {value!r} for "
                f"dataset_name={config.dataset_name!r}. Leave {name} out."
            )


def _class_weights(config: RecordingConfig) -> Iterator[str]:
    weights = config.class_weights
    if weights is not None and config.loss != "cross_entropy":
        yield f"class_weights must be None with loss={config.loss!r}, got {weights!r}. Leave class_weights out."
    elif isinstance(weights, tuple) and len(weights) != config.num_classes:
        yield (
            f"class_weights must have a number for each of the {config.num_classes} classes of "
            f"dataset_name={config.dataset_name!r}, got {len(weights)}. Set class_weights='balanced', or a longer or "
            "shorter list."
        )


def _function_hashes(config: RecordingConfig) -> Iterator[str]:
    for name in FUNCTIONS:
        value, given = getattr(config, name), getattr(config, f"{name}_hash")
        right = function_hash(name, value)
        if given != right:
            yield (
                f"{name}_hash must be {right} for {name}={value!r}, got {given!r}: the source of its function differs. "
                f"Leave {name}_hash out, or restore the source."
            )


def _length(config: RecordingConfig) -> Iterator[str]:
    """Check the number of rows before a study makes a list of them."""
    n_rows, keys_of_study = config.epochs, "epochs"
    if config.study == "ticket":
        n_rows, keys_of_study = n_rows * (1 + config.prune_iter), "epochs or prune_iter"
    if config.study == "sweep":
        n_rows += len(config.prune_kinds) * len(config.sparsities) * (1 + config.retrain_epochs)
        keys_of_study = "epochs or retrain_epochs"
    if n_rows > MOST_ROWS:
        yield f"A trial must have at most {MOST_ROWS:,} rows, got {n_rows:,}. Lower {keys_of_study}."


def _legacy_rules(config: RecordingConfig) -> Iterator[str]:
    if config.rules == "legacy_2019" and config.model != "DSNNMixedHeb":
        yield (
            f"rules='legacy_2019' reproduces a notebook that trained model='DSNNMixedHeb' only, got {config.model!r}. "
            "Set model='DSNNMixedHeb' or rules='fixed'."
        )
    if config.rules == "legacy_2019" and config.test_corruptions:
        yield (
            "test_corruptions must be empty with rules='legacy_2019', whose coactivation counts every test image too, "
            f"got {config.test_corruptions}. Leave test_corruptions out or set rules='fixed'."
        )
    if config.rules == "legacy_2019" and config.test_noise and config.noise_levels:
        yield (
            "noise_levels must be empty with rules='legacy_2019', whose coactivation counts every noisy image too, got "
            f"{config.noise_levels}. Leave noise_levels out or set rules='fixed'."
        )


def _start(config: RecordingConfig) -> Iterator[str]:
    if config.starts_from is None:
        return
    if config.study != "train":
        yield f"starts_from must be None with study={config.study!r}, got {config.starts_from!r}. Leave it out."
    elif n_rows_copied(config.starts_from) >= config.epochs:
        yield (
            f"starts_from must name fewer rows than epochs={config.epochs}, got {config.starts_from!r}. Leave "
            "starts_from out, or raise epochs."
        )


def _k_winners(config: RecordingConfig, network: Network) -> Iterator[str]:
    if isinstance(network, ModuleNetwork):
        if config.kwinners and "kwinners" not in network.keys_read:
            yield (
                f"kwinners must be False with network={config.network!r}, whose function does not read it. Set "
                "kwinners=False or network='MLPHeb', or use dynsparse.nn.kwinners in the function."
            )
        return
    smallest = min(config.hidden_sizes, default=None)
    if network.kwinners is not None and smallest is not None and round(config.percent_on * smallest) < 1:
        yield f"percent_on={config.percent_on:g} leaves no winner in a layer of {smallest} units. Raise percent_on."


def _precision(config: RecordingConfig) -> Iterator[str]:
    if config.precision == "bf16" and not is_module(config.network):
        yield (
            f"precision='bf16' is for networks that are torch modules, got network={config.network!r}. Set "
            "precision='float32' or 'tf32', or choose another network."
        )


def _compile(config: RecordingConfig) -> Iterator[str]:
    if config.compile and not is_module(config.network):
        yield (
            f"compile=True is for networks that are torch modules, got network={config.network!r}. Set compile=False, "
            "or choose another network."
        )


def _dense_layers(config: RecordingConfig, network: Network) -> Iterator[str]:
    if isinstance(network, ModuleNetwork):
        names = [layer.name for layer in network.layers]
        yield from (unknown("layer in dense_layers", name, names) for name in config.dense_layers if name not in names)


def _mask_updates(config: RecordingConfig) -> Iterator[str]:
    interval, end = (keys()[name].default for name in ("pruning_interval", "pruning_end"))
    if config.pruning_interval_steps is None:
        return
    if config.pruning_interval != interval:
        yield (
            f"pruning_interval must be left out with pruning_interval_steps={config.pruning_interval_steps}, got "
            f"{config.pruning_interval}. Leave out one of them."
        )
    if config.pruning_end_step is not None and config.pruning_end != end:
        yield (
            f"pruning_end must be left out with pruning_end_step={config.pruning_end_step}, got "
            f"{config.pruning_end:g}. Leave out one of them."
        )
    if config.rules == "legacy_2019":
        yield (
            "pruning_interval_steps must be left out with rules='legacy_2019', which updated masks after epochs, got "
            f"{config.pruning_interval_steps}. Set pruning_interval or rules='fixed'."
        )


def _masks(config: RecordingConfig, network: Network, method: Method) -> Iterator[str]:
    if config.sparse_type == "csti" and not network.is_chain:
        yield (
            f"sparse_type='csti' is for multilayer perceptrons, got network={config.network!r}. Set "
            "sparse_type='exact' or 'brf', or choose another network."
        )
    falls = method.surplus is not None and method.initial_density != method.density
    if falls and mask_updates(config, method) is None:
        yield (
            f"model={config.model!r} would keep its initial density: no mask update is due within "
            f"epochs={config.epochs} (pruning_interval={config.pruning_interval}, pruning_end={config.pruning_end}, "
            f"pruning_active={config.pruning_active}). Raise epochs or pruning_end, lower pruning_interval, or set "
            "pruning_active=True."
        )
    if method.surplus is not None and method.initial_density < method.density:
        yield (
            f"initial_density must be at least on_perc={float(method.density):g}, the density at the end, got "
            f"{float(method.initial_density):g}. Raise initial_density or lower on_perc."
        )
    floor = method.global_floor if method.initial_pruning is None else method.initial_pruning.floor
    if floor is not None and floor > method.density:
        yield (
            f"global_floor must be at most on_perc={float(method.density):g}, got {float(floor):g}. Lower global_floor "
            "or raise on_perc."
        )
    backward = method.backward_density
    if backward is not None and backward < method.density:
        yield (
            f"backward_density must be at least on_perc={float(method.density):g}, got {float(backward):g}. Raise "
            "backward_density or lower on_perc."
        )
    if method.density < 1:
        densities = layer_densities(config, network, method, float(method.density))
        sizes = [n_out * n_in for n_out, n_in in network.shapes]
        if method.initial_pruning is not None:
            # All layers together keep the share; a single one may become empty.
            n_ranked = sum(size for size, density in zip(sizes, densities, strict=True) if density < 1)
            if n_ranked > 0 and round(float(method.density) * n_ranked) < 1:
                yield f"A density of {method.density:.3g} leaves no active weight of {n_ranked}. Raise on_perc."
            return
        patterns = layer_patterns(config, network, method)
        for layer, (density, pattern) in enumerate(zip(densities, patterns, strict=True)):
            n_out, n_in = network.shapes[layer]
            step = pattern.step((n_out, n_in))
            # `pattern_conflicts` names the only density that N:M allows.
            if not isinstance(pattern, Groups) and round(density * (n_out * n_in // step)) < 1:
                what = "active weight" if step == 1 else "active block"
                spread = "layer_densities='erdos_renyi' or " if config.layer_densities == "uniform" else ""
                yield (
                    f"A density of {density:.3g} leaves no {what} in a layer of {n_out} x {n_in}. Raise on_perc, or "
                    f"set {spread}{dense_key(network, layer)}."
                )


def _learning_rate(config: RecordingConfig) -> Iterator[str]:
    if config.lr_schedule == "multistep" and not config.lr_milestones:
        yield (
            "lr_milestones must name at least one epoch with lr_schedule='multistep', got (). Set lr_milestones, such "
            "as [30, 60], or lr_schedule='constant'."
        )
    if config.warmup_epochs > config.epochs:
        yield (
            f"warmup_epochs must be at most epochs={config.epochs}, got {config.warmup_epochs:g}. Lower warmup_epochs "
            "or raise epochs."
        )


def _study(config: RecordingConfig, network: Network, method: Method, study: Study) -> Iterator[str]:
    if config.study == "sweep":
        iterative = config.retrain_epochs > 0 and config.prune_iteratively
        if iterative and list(config.sparsities) != sorted(config.sparsities):
            yield (
                f"sparsities must rise with prune_iteratively=True, got {list(config.sparsities)}. Sort them, or set "
                "prune_iteratively=False."
            )
        if isinstance(network, ModuleNetwork) and "unit" in config.prune_kinds:
            # The units of the last layer are the classes.
            problems = [layer.pruning_problem for layer in network.layers[:-1] if layer.pruning_problem]
            if problems:
                yield (
                    f"prune_kinds must not contain 'unit' with network={config.network!r}: {problems[0]}, so the "
                    "output of a pruned unit would not be 0 behind it. Set prune_kinds=['weight'], or change the "
                    "network."
                )
    if study.owns_masks and mask_updates(config, method) is not None:
        yield (
            f"study={config.study!r} prunes the network itself and cannot be combined with the mask updates of "
            f"model={config.model!r}. Set model='Dense' or 'SparseModel', or pruning_active=False."
        )
    if study.relu_only and network.kwinners is not None:
        yield (
            "prune_kinds must not contain 'unit' with k-winners and retrain_epochs > 0: a pruned unit can win and be "
            "trained again. Set prune_kinds=['weight'], retrain_epochs=0 or kwinners=False."
        )
