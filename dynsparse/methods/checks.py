"""Checks of methods of the user's own: of their fields, before training, and of their rules, at each mask update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from dynsparse.config import unknown
from dynsparse.methods.base import Grow, Method, Prune, at_random
from dynsparse.ops import masks
from dynsparse.ops.patterns import UNSTRUCTURED
from dynsparse.ops.scores import STATISTICS, Layer, StatisticError

GROW_FIX = (
    "Build the rule by `highest(score)`, or select the positions by `layer.pattern.highest(score, kept, n_grow, "
    "layer.grow_noise, ~kept)`"
)
PRUNE_FIX = (
    "Build the rule by `lowest(score, fraction)`, or select the positions by `layer.pattern.lowest(score, n_drop, "
    "layer.prune_noise, layer.mask)`"
)


class MethodError(ValueError):
    """A rule of the user's own returns a wrong result, or reads a statistic that its method does not list."""


def with_checks(method: Method, name: str) -> Method:
    """Return the method with rules that raise MethodError if they would break a mask or its density.

    Args:
        method: A method of the user's own.
        name: The name of its function, for messages.

    Raises:
        ValueError: If a field of the method is wrong.
    """
    _check_fields(method, name)
    found = replace(method, needs=frozenset(method.needs))
    if method.prune is not None:
        found = replace(found, prune=_prune_with_checks(method, method.prune, f"The prune rule of {name!r}"))
    # The sparse engine recognises `at_random`, which needs no check.
    if method.grow is not None and method.grow is not at_random:
        found = replace(found, grow=_grow_with_checks(method, method.grow, f"The grow rule of {name!r}"))
    return found


def _check_fields(method: Method, name: str) -> None:
    """Check the fields of a method. Raises: ValueError."""
    densities = ["density", "initial_density", *(["backward_density"] if method.backward_density is not None else [])]
    for field in densities:
        value = getattr(method, field)
        if not _is_density(value):
            raise ValueError(
                f"The {field} of the method {name!r} must be in (0, 1], got {value!r}. Pass a share, such as "
                "config.on_perc."
            )
    for rule in ("prune", "grow", "ablate", "surplus"):
        value = getattr(method, rule)
        if value is not None and not callable(value):
            raise ValueError(f"`{rule}` of the method {name!r} must be a function or None, got {value!r}. Pass a rule.")
    if not isinstance(method.needs, set | frozenset):
        given = [method.needs] if isinstance(method.needs, str) else method.needs
        names = given if isinstance(given, list | tuple) and given else ["gradient"]
        raise ValueError(
            f"The needs of the method {name!r} must be a set of names, got {method.needs!r}. Write "
            f"needs=frozenset({{{', '.join(map(repr, names))}}})."
        )
    wrong = sorted(method.needs - set(STATISTICS), key=str)
    if wrong:
        problem = unknown("statistic", wrong[0], STATISTICS)
        raise ValueError(f"The needs of the method {name!r} must be names of statistics. {problem}")
    if method.prune is not None and method.grow is None:
        _check_falls_by_schedule(method, name)


def _is_density(value: object) -> bool:
    if not isinstance(value, int | float | Tensor):
        return False
    share = torch.as_tensor(value)
    return bool(((share > 0) & (share <= 1)).all())


def _check_falls_by_schedule(method: Method, name: str) -> None:
    """Check that a method without a grow rule loses weights by its schedule alone. Raises: ValueError."""
    others = [field for field in ("ablate", "drops_cut_off") if getattr(method, field)]
    if method.surplus is None:
        why = "it prunes and has no `surplus`, so the density would fall below `density`"
    elif others:
        why = f"`{others[0]}` drops weights that the schedule of the density does not count"
    else:
        return
    raise ValueError(
        f"The method {name!r} must have a grow rule: {why}. Set grow=at_random or grow=highest(score). Or let the "
        "density fall: set surplus=cubic, of dynsparse.ops.schedules, and drop the weights that exceed `layer.target`, "
        "as dynsparse/methods/gmp.py does."
    )


def _prune_with_checks(method: Method, rule: Prune, name: str) -> Prune:
    def prune(layer: Layer) -> Tensor:
        dropped = _call(lambda: rule(layer), method, name, layer)
        _check_is_mask(dropped, name, layer, f"True where a weight is dropped. {PRUNE_FIX}.")
        n_inactive = masks.count(dropped & ~layer.mask)
        if n_inactive.any():
            (found,) = _of_first_trial(n_inactive > 0, n_inactive)
            raise MethodError(
                f"{name} must return active positions only, those to drop, but {found} of those that it returned in "
                f"layer {layer.number} are inactive. Return `dropped & layer.mask`."
            )
        if method.surplus is not None:
            _check_number_dropped(method, name, layer, masks.count(dropped))
        if layer.pattern != UNSTRUCTURED:
            _check_can_have_pattern(method, name, layer, layer.mask & ~dropped)
        return dropped

    return prune


def _check_number_dropped(method: Method, name: str, layer: Layer, n_dropped: Tensor) -> None:
    """Check the number of dropped weights where the density falls. Raises: MethodError."""
    n_surplus = (masks.count(layer.mask) - layer.target).clamp_min(0)
    wrong = n_dropped < n_surplus if method.grow is not None else n_dropped != n_surplus
    if wrong.any():
        wanted, found = _of_first_trial(wrong, n_surplus, n_dropped)
        how_many = "exactly" if method.grow is None else "at least"
        raise MethodError(
            f"{name} must drop {how_many} the weights that exceed `layer.target`, {wanted} in layer {layer.number}, "
            f"but dropped {found}. Drop `(masks.count(layer.mask) - layer.target).clamp_min(0)`, as in "
            "dynsparse/methods/gmp.py, or leave out `surplus`."
        )


def _check_can_have_pattern(method: Method, name: str, layer: Layer, kept: Tensor) -> None:
    """Check that the mask can have its pattern after the layer has grown back to its target. Raises: MethodError."""
    pattern, when, left = layer.pattern, "", kept
    # A block must be dropped as a whole. A group may lose any weights, but must not be left with too many.
    if method.grow is not None and torch.equal(pattern.whole(kept), kept):
        n_grow = (layer.target - masks.count(kept)).clamp_min(0)
        nothing = torch.zeros(kept.shape, device=kept.device)
        when, left = "wherever weights grow, ", kept | pattern.highest(nothing, kept, n_grow, layer.grow_noise, ~kept)
    fix = PRUNE_FIX if method.surplus is None else f"{PRUNE_FIX}, with `lowest_for_good` in place of its `lowest`"
    _check_pattern(layer, left, name, fix, when)


def _grow_with_checks(method: Method, rule: Grow, name: str) -> Grow:
    def grow(layer: Layer, kept: Tensor, n_grow: Tensor) -> Tensor:
        grown = _call(lambda: rule(layer, kept, n_grow), method, name, layer)
        _check_is_mask(grown, name, layer, f"True where a weight grows. {GROW_FIX}.")
        n_kept = masks.count(grown & kept)
        if n_kept.any():
            (found,) = _of_first_trial(n_kept > 0, n_kept)
            raise MethodError(
                f"{name} must return only the positions that grow, none of `kept`, but {found} of those that it "
                f"returned in layer {layer.number} are kept ones. Return `grown & ~kept`, or select among `~kept`."
            )
        n_grown = masks.count(grown)
        wrong = n_grown != n_grow
        if wrong.any():
            wanted, found = _of_first_trial(wrong, n_grow, n_grown)
            raise MethodError(
                f"{name} must return exactly the number of positions that it is asked for, {wanted} in layer "
                f"{layer.number}, but returned {found}. {GROW_FIX}. In a nearly dense layer, positions that have just "
                "been dropped must grow again."
            )
        _check_pattern(layer, kept | grown, name, GROW_FIX)
        return grown

    return grow


def _check_pattern(layer: Layer, mask: Tensor, name: str, fix: str, when: str = "") -> None:
    misfit = layer.pattern.misfit(mask)
    if misfit is not None:
        raise MethodError(
            f"{name} must keep mask_pattern={str(layer.pattern)!r}, but {when}{misfit} in layer {layer.number} "
            f"({mask.shape[-2]} x {mask.shape[-1]}). {fix}; or set mask_pattern=None."
        )


def _call(rule: Callable[[], Tensor], method: Method, name: str, layer: Layer) -> Tensor:
    """Return the result of a rule. Raises: MethodError if it reads a statistic that the method does not list."""
    try:
        return rule()
    except StatisticError as error:
        raise MethodError(
            f"{name} must read only statistics that its method lists in `needs`, got needs={sorted(method.needs)}, but "
            f"reads another one in layer {layer.number}. Add it to `needs`. Available: {', '.join(STATISTICS)}."
        ) from error


def _check_is_mask(result: object, name: str, layer: Layer, meaning: str) -> None:
    found = f"{result.dtype} of shape {tuple(result.shape)}" if torch.is_tensor(result) else type(result).__name__
    wanted = f"{torch.bool} of shape {tuple(layer.mask.shape)}"
    if found != wanted:
        raise MethodError(
            f"{name} must return a tensor of the shape and type of `layer.mask`, {wanted} in layer {layer.number}, but "
            f"returned {found}. Return {meaning}"
        )


def _of_first_trial(wrong: Tensor, *numbers: Tensor) -> list[int]:
    """Return the numbers of the first trial for which `wrong` is True. Shapes: all (...)."""
    trial = int(wrong.reshape(-1).int().argmax())
    return [int(each.reshape(-1)[trial]) for each in numbers]
