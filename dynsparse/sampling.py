"""Samples of a space: values drawn from the domains of Ray Tune, such as `tune.uniform`, in place of the domains."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import NormalDist
from typing import Any, NamedTuple

# Digits of a drawn number: enough for any search, and readable in tables and conditions.
DIGITS = 6


class SamplingError(ValueError):
    """A domain from which nothing can be drawn here. The message says what to use instead."""


def is_domain(value: Any) -> bool:
    """Return True for a domain of Ray Tune: tune.uniform, loguniform, randn, randint, lograndint, choice and others."""
    # Not by isinstance, because spaces are read without Ray.
    return type(value).__module__.startswith("ray.") and hasattr(value, "get_sampler")


def has_domain(value: Any) -> bool:
    """Return True if a part of a space contains a domain, at any depth."""
    if isinstance(value, Mapping):
        return any(map(has_domain, value.values()))
    return is_domain(value) or (isinstance(value, list | tuple) and any(map(has_domain, value)))


def samples(space: Mapping[str, Any], search_seed: int, n_samples: int) -> Iterator[dict[str, Any]]:
    """Yield copies of a space, in each of which every domain is replaced by a value drawn from it.

    A value depends on the domain, the seed, the number of the sample, and the key alone. So more samples extend those
    that there are, another key in the space leaves the values of all others as they are, and all points of a grid have
    the values of their sample.

    Args:
        space: key to value, as `Experiment` takes it.
        search_seed: other seeds give other samples.
        n_samples: number of copies.

    Raises: SamplingError.

    Example:
        >>> from dynsparse.sampling import samples
        >>> from ray import tune
        >>> space = {"learning_rate": tune.loguniform(1e-3, 1), "model": "SET"}
        >>> for sample in samples(space, search_seed=0, n_samples=2):
        ...     print(sample)
        {'learning_rate': 0.130213, 'model': 'SET'}
        {'learning_rate': 0.132422, 'model': 'SET'}
    """
    for number in range(n_samples):
        draw = partial(_draw_sample, (search_seed, number))
        yield with_values(space, draw)


# Returns a value of a domain, given its name: the key and, within a list, the place.
Draw = Callable[[Any, str], Any]


def with_values(space: Mapping[str, Any], draw: Draw) -> dict[str, Any]:
    """Return a copy of a space with a value in place of each domain, at any depth."""
    return {key: _with_values(value, key, draw) for key, value in space.items()}


def _with_values(value: Any, name: str, draw: Draw) -> Any:
    if isinstance(value, Mapping):
        listed = value["grid_search"] if value.keys() == {"grid_search"} else None
        if isinstance(listed, list | tuple):
            # Arms of a grid have the values of their sample in common.
            return {"grid_search": [_with_values(each, name, draw) for each in listed]}
        return with_values(value, draw)
    if isinstance(value, list | tuple):
        # Such as the sizes of several layers.
        return [_with_values(each, f"{name}[{place}]", draw) for place, each in enumerate(value)]
    # The value that is drawn may be a group of keys, with domains of its own.
    return _with_values(draw(value, name), name, draw) if is_domain(value) else value


def all_domains(space: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the domains of a space at any depth, also those in the options of a choice, each with its name.

    Example:
        >>> from dynsparse.sampling import all_domains
        >>> from ray import tune
        >>> space = {"method": tune.choice([{"model": "SET"}, {"initial_density": tune.uniform(0.5, 1)}])}
        >>> [name for name, _ in all_domains(space)]
        ['method', 'initial_density']
    """
    if isinstance(space, Mapping):
        for key, value in space.items():
            yield from all_domains(value, name if key == "grid_search" else key)
    elif isinstance(space, list | tuple):
        for each in space:
            yield from all_domains(each, name)
    elif is_domain(space):
        yield name, space
        yield from all_domains(list(getattr(space, "categories", ())), name)


def check_domains(space: Mapping[str, Any]) -> None:
    """Check that each domain has values. Raises: SamplingError with all problems."""
    problems = {name: problem for name, domain in all_domains(space) if (problem := _problem_of(domain, name))}
    if problems:
        raise SamplingError("\n".join(f"{name} {problem}" for name, problem in problems.items()))


def _problem_of(domain: Any, name: str) -> str | None:
    """Return what a domain must be; None if it has values."""
    if hasattr(domain, "categories"):
        return None if len(domain.categories) else "must have at least one value to choose from, got tune.choice([])."
    kind, lower, upper, step, is_whole = distribution_of(domain, name)
    if kind == "Normal":
        return None
    is_open = is_whole and step is None
    if not (lower < upper or (lower == upper and not is_open)):
        excluded = ", which is no value itself" if is_open else ""
        return f"must be drawn between a lower and a larger upper bound{excluded}, got {lower} and {upper}."
    if step is not None and math.ceil(lower / step) > math.floor(upper / step):
        return f"must have a multiple of the step within its bounds, got a step of {step} from {lower} to {upper}."
    return None


def drawn_keys(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys whose values are drawn, each with its domain.

    There is no domain (None) where a value is drawn together with others, as part of a list or of a group of keys, or
    where the points of a grid have different domains.

    Example:
        >>> from dynsparse.sampling import drawn_keys
        >>> from ray import tune
        >>> space = {"learning_rate": tune.uniform(0, 1), "method": tune.choice([{"model": "SET"}, {"model": "RigL"}])}
        >>> {key: domain is not None for key, domain in drawn_keys(space).items()}
        {'learning_rate': True, 'model': False}
    """
    found: dict[str, Any] = {}
    for name, value in space.items():
        found.update(_drawn_in(value, name))
    return found


def _drawn_in(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        listed = value["grid_search"] if value.keys() == {"grid_search"} else None
        if isinstance(listed, list | tuple):
            return {key: None for each in listed for key in _drawn_in(each, name)}
        return drawn_keys(value)
    if not is_domain(value):
        return {name: None} if has_domain(value) else {}
    categories = getattr(value, "categories", ())
    if any(isinstance(each, Mapping) or has_domain(each) for each in categories):
        return {key: None for each in categories for key in _keys_of_group(each, name)}
    return {name: value}


def _keys_of_group(value: Any, name: str) -> list[str]:
    """Return the keys that an option of a choice sets."""
    if isinstance(value, Mapping) and "grid_search" not in value:
        return [key for inner, each in value.items() for key in _keys_of_group(each, inner)]
    return [name]


def _draw_sample(sample: tuple[int, int], domain: Any, name: str) -> Any:
    """Return the value of a domain in a sample. Raises: SamplingError."""
    return value_at(domain, name, _uniform(name, sample))


def _uniform(name: str, sample: tuple[int, int]) -> float:
    """Return the random number of a key in a sample, in (0, 1)."""
    seed, number = sample
    digest = hashlib.sha256(f"{seed}/{number}/{name}".encode()).digest()
    return (int.from_bytes(digest[:6]) + 0.5) / 2**48


class Distribution(NamedTuple):
    """The distribution of a numeric domain."""

    kind: str  # "Uniform", "LogUniform" or "Normal"
    lower: float  # of a normal distribution, its mean
    upper: float  # inclusive if there is a step, exclusive otherwise; of a normal distribution, its standard deviation
    step: float | None
    is_whole: bool


def distribution_of(domain: Any, name: str) -> Distribution:
    """Return the distribution of a numeric domain. Raises: SamplingError for other domains."""
    sampler = domain.get_sampler()
    step = getattr(sampler, "q", None)
    base = sampler if step is None else sampler.get_sampler()
    kind = type(base).__name__.strip("_")
    is_whole = type(domain).__name__ == "Integer"
    if kind == "Normal":
        return Distribution(kind, base.mean, base.sd, step, is_whole)
    if kind in ("Uniform", "LogUniform") and hasattr(domain, "lower"):
        return Distribution(kind, domain.lower, domain.upper, step, is_whole)
    raise SamplingError(
        f"{name} must be a domain whose values follow from its bounds, such as tune.uniform, tune.randint or "
        f"tune.choice, got {type(domain).__name__}. tune.sample_from is not among them: its values would depend on "
        "code that no trial records. Name the values with tune.choice or tune.grid_search."
    )


def describe(domain: Any, name: str) -> str:
    """Return a domain as text. Raises: SamplingError.

    Example:
        >>> from dynsparse.sampling import describe
        >>> from ray import tune
        >>> describe(tune.loguniform(0.01, 0.5), "on_perc"), describe(tune.choice(["SET", "RigL"]), "model")
        ('loguniform from 0.01 to 0.5', 'choice of SET, RigL')
    """
    if hasattr(domain, "categories"):
        return f"choice of {', '.join(map(str, domain.categories))}"
    kind, lower, upper, step, is_whole = distribution_of(domain, name)
    if kind == "Normal":
        text = f"normal, mean {lower:g}, standard deviation {upper:g}"
    else:
        last = upper - 1 if is_whole and step is None else upper
        text = f"{'whole numbers, ' if is_whole else ''}{kind.lower()} from {lower:g} to {last:g}"
    return text if step is None else f"{text}, multiples of {step:g}"


def value_at(domain: Any, name: str, uniform: float) -> Any:
    """Return the value of a domain at a share of its distribution, in (0, 1): the inverse of its cumulative one.

    Raises: SamplingError.
    """
    if hasattr(domain, "categories"):
        return domain.categories[int(uniform * len(domain.categories))]
    kind, lower, upper, step, is_whole = distribution_of(domain, name)
    if kind == "Normal":
        return round_value(NormalDist(lower, upper).inv_cdf(uniform), step)
    if not is_whole:
        return round_value(_between(lower, upper, uniform, kind == "LogUniform"), step)
    if step is not None:
        # Steps are drawn, and the last one may be.
        lower, upper = math.ceil(lower / step), math.floor(upper / step) + 1
    value = _between(lower, upper, uniform, kind == "LogUniform")
    # Rounding of a logarithm may reach the upper bound, which is none of the values.
    return int(min(math.floor(value), upper - 1) * (1 if step is None else step))


def round_value(value: float, step: float | None) -> float:
    """Return a number with few digits, and a multiple of the step if there is one."""
    # The product of a step has more digits than the step: 3 * 0.1 is 0.30000000000000004.
    return float(f"{value if step is None else round(value / step) * step:.{DIGITS}g}")


def _between(lower: float, upper: float, uniform: float, is_log: bool) -> float:
    if is_log:
        return min(math.exp(math.log(lower) + uniform * math.log(upper / lower)), upper)
    return lower + uniform * (upper - lower)
