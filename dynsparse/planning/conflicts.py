"""Conflicts between the keys of a configuration. Every check that needs more than one key stands here."""

from __future__ import annotations

from collections.abc import Iterator

from dynsparse.config import Config
from dynsparse.data import DATASETS
from dynsparse.methods import METHODS, Method
from dynsparse.nn.mlp import NETWORKS, Network
from dynsparse.planning.plan import layer_densities, mask_updates
from dynsparse.studies import STUDIES, Study


def conflicts(config: Config) -> list[str]:
    """Return one message for each conflict between keys whose values are each in range."""
    problems = [*_data_set(config), *_legacy_rules(config)]
    try:
        # A builder that a program has added to its table may raise ValueError for its own keys.
        network = NETWORKS[config.network](config)
        method = METHODS[config.model](config)
        study = STUDIES[config.study](config)
    except ValueError as problem:
        return [*problems, str(problem)]
    return [
        *problems,
        *_k_winners(config, network),
        *_masks(config, network, method),
        *_study(config, network, method, study),
    ]


def _data_set(config: Config) -> Iterator[str]:
    source = DATASETS[config.dataset_name]
    for name, given, right in [
        ("input_size", config.input_size, source.input_size),
        ("num_classes", config.num_classes, source.num_classes),
    ]:
        if given != right:
            yield f"{name} is {right} for dataset_name={config.dataset_name!r}, got {given}; leave it out"


def _legacy_rules(config: Config) -> Iterator[str]:
    if config.rules == "legacy_2019" and config.model != "DSNNMixedHeb":
        yield f"rules='legacy_2019' is what the 2019 notebook ran, with model='DSNNMixedHeb'; got {config.model!r}"


def _k_winners(config: Config, network: Network) -> Iterator[str]:
    smallest = min(config.hidden_sizes, default=None)
    if network.kwinners is not None and smallest is not None and round(config.percent_on * smallest) < 1:
        yield f"percent_on={config.percent_on:g} leaves no winner among {smallest} units; raise it"


def _masks(config: Config, network: Network, method: Method) -> Iterator[str]:
    if method.surplus is not None and mask_updates(config, method) is None:
        yield (
            f"model={config.model!r} would stay dense: no mask update is due within epochs={config.epochs} "
            f"(pruning_interval={config.pruning_interval}, pruning_end={config.pruning_end}, "
            f"pruning_active={config.pruning_active})"
        )
    if method.density < 1:
        densities = layer_densities(config, network, float(method.density))
        for (n_out, n_in), density in zip(network.shapes, densities, strict=True):
            if round(density * n_out * n_in) < 1:
                yield f"a density of {density:.3g} leaves a layer of {n_out} x {n_in} without a weight"


def _study(config: Config, network: Network, method: Method, study: Study) -> Iterator[str]:
    if config.study == "sweep":
        iterative = config.retrain_epochs > 0 and config.prune_iteratively
        if iterative and list(config.sparsities) != sorted(config.sparsities):
            yield f"sparsities must rise where prune_iteratively is True, got {list(config.sparsities)}"
        if config.batch_norm and "unit" in config.prune_kinds:
            yield "prune_kinds: with batch_norm a unit without weights still gives its shift; take ['weight']"
    if study.owns_masks and mask_updates(config, method) is not None:
        yield (
            f"study={config.study!r} prunes by itself, and so does model={config.model!r}; choose model='Dense' or "
            f"'SparseModel', or pruning_active=False"
        )
    if study.relu_only and network.kwinners is not None:
        yield (
            "prune_kinds: under k-winners a pruned unit can win and is trained again; take ['weight'], or "
            "retrain_epochs=0, or kwinners=False"
        )
