"""Conflicts of `mask_pattern` with other keys."""

from __future__ import annotations

from collections.abc import Iterator

from dynsparse.methods import Method
from dynsparse.nn.mlp import Network
from dynsparse.nn.module_network import ModuleNetwork
from dynsparse.ops.patterns import UNSTRUCTURED, Groups, pattern_of
from dynsparse.planning.packs import RecordingConfig
from dynsparse.planning.plan import layer_patterns
from dynsparse.studies import Study


def pattern_conflicts(config: RecordingConfig, network: Network, method: Method, study: Study) -> Iterator[str]:
    """Yield one message for each conflict between `mask_pattern` and other keys."""
    if config.mask_pattern is None:
        return
    # A method such as Dense does not use the pattern. With on_perc=1, the density is the mistake, and is named below.
    if method.density == 1 and config.on_perc < 1:
        return
    reason = _reason_against(config, method, study)
    if reason is not None:
        yield f"mask_pattern must be None {reason}, got {config.mask_pattern!r}. Leave out mask_pattern."
        return
    pattern = pattern_of(config.mask_pattern)
    if isinstance(pattern, Groups):
        yield from _densities_of_groups(config, method, pattern)
    for layer, (each, shape) in enumerate(zip(layer_patterns(config, network, method), network.shapes, strict=True)):
        problem = each.problem(shape)
        if each != UNSTRUCTURED and problem is not None:
            yield (
                f"mask_pattern={config.mask_pattern!r} does not fit {_name(network, layer)}: {problem}. Set "
                f"{dense_key(network, layer)}, or another mask_pattern."
            )


def _reason_against(config: RecordingConfig, method: Method, study: Study) -> str | None:
    """Return the setting that rules out a pattern, such as "with model='SRigL', ..."; None if there is none."""
    model = f"with model={config.model!r}"
    reasons = {
        "with rules='legacy_2019'": config.rules == "legacy_2019",
        f"{model}, which ablates units": method.ablate is not None,
        f"{model}, which prunes all layers together": method.initial_pruning is not None,
        f"with redistribution={config.redistribution!r}": method.redistribution is not None,
        "with global_floor, which lets the layers differ in density": method.global_floor is not None,
        f"with study={config.study!r}, which prunes single weights": study.owns_masks,
        f"with sparse_type={config.sparse_type!r}": (method.sparse_type or config.sparse_type) != "exact",
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _densities_of_groups(config: RecordingConfig, method: Method, pattern: Groups) -> Iterator[str]:
    """Yield messages if a group would not have a whole number of active weights at the start and at the end."""
    wanted = pattern.n_active / pattern.size
    if abs(float(method.density) - wanted) > 1e-6:
        yield (
            f"on_perc must be {wanted:.6g} with mask_pattern={config.mask_pattern!r}, got {float(method.density):g}. "
            f"Set on_perc={wanted:.6g} or another mask_pattern."
        )
    if config.layer_densities != "uniform":
        yield (
            f"layer_densities must be 'uniform' with mask_pattern={config.mask_pattern!r}, got "
            f"{config.layer_densities!r}. Leave out layer_densities, or set a pattern of blocks, such as '4x4'."
        )
    n_at_start = float(method.initial_density) * pattern.size
    if method.surplus is not None and abs(n_at_start - round(n_at_start)) > 1e-6 * pattern.size:
        yield (
            f"initial_density must be a multiple of 1/{pattern.size} with mask_pattern={config.mask_pattern!r}, got "
            f"{float(method.initial_density):g}. Set it to a multiple, such as 1."
        )


def _name(network: Network, layer: int) -> str:
    n_out, n_in = network.shapes[layer]
    name = network.layers[layer].name if isinstance(network, ModuleNetwork) else str(layer)
    return f"layer {name} ({n_out} x {n_in})"


def dense_key(network: Network, layer: int) -> str:
    """Return what to set for a layer that does not fit: a key that leaves it dense or, without one, other sizes."""
    if layer == len(network.shapes) - 1:
        return "last_layer_dense=True"
    if layer == 0:
        return "first_layer_dense=True"
    if isinstance(network, ModuleNetwork):
        return f"dense_layers=[{network.layers[layer].name!r}]"
    return "other hidden_sizes"
