"""Samples of a space: values drawn from the domains of Ray Tune, such as `tune.uniform`, in place of the domains."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any

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
        yield {key: _drawn(value, key, (search_seed, number)) for key, value in space.items()}


def _drawn(value: Any, name: str, sample: tuple[int, int]) -> Any:
    """Return a part of a space with drawn values in place of domains. Raises: SamplingError."""
    if (
        isinstance(value, Mapping)
        and value.keys() == {"grid_search"}
        and isinstance(value["grid_search"], list | tuple)
    ):
        # Arms of a grid have the values of their sample in common.
        return {"grid_search": [_drawn(each, name, sample) for each in value["grid_search"]]}
    if isinstance(value, Mapping):
        return {key: _drawn(each, key, sample) for key, each in value.items()}
    if isinstance(value, list | tuple):
        # Such as the sizes of several layers.
        return [_drawn(each, f"{name}[{place}]", sample) for place, each in enumerate(value)]
    if not is_domain(value):
        return value
    # The value may be a group of keys, with domains of its own.
    return _drawn(_draw(value, name, _uniform(name, sample)), name, sample)


def _uniform(name: str, sample: tuple[int, int]) -> float:
    """Return the random number of a key in a sample, in (0, 1)."""
    seed, number = sample
    digest = hashlib.sha256(f"{seed}/{number}/{name}".encode()).digest()
    return (int.from_bytes(digest[:6]) + 0.5) / 2**48


def _draw(domain: Any, name: str, uniform: float) -> Any:
    """Return the value of a domain at a share of its distribution, in (0, 1): the inverse of its cumulative one."""
    if hasattr(domain, "categories"):
        return domain.categories[int(uniform * len(domain.categories))]
    sampler = domain.get_sampler()
    step = getattr(sampler, "q", None)
    scale = type(sampler if step is None else sampler.get_sampler()).__name__.strip("_")
    is_whole = type(domain).__name__ == "Integer"
    if scale == "Normal":
        base = sampler if step is None else sampler.get_sampler()
        value = NormalDist(base.mean, base.sd).inv_cdf(uniform)
    elif scale in ("Uniform", "LogUniform") and hasattr(domain, "lower"):
        lower, upper = domain.lower, domain.upper
        if is_whole and step is not None:
            # Steps are drawn, and the last one may be.
            lower, upper = math.ceil(lower / step), math.floor(upper / step) + 1
        value = _between(lower, upper, uniform, scale == "LogUniform")
    else:
        raise SamplingError(
            f"{name} must be a domain whose values follow from its bounds, such as tune.uniform, tune.randint or "
            f"tune.choice, got {type(domain).__name__}. tune.sample_from is not among them: its values would depend on "
            "code that no trial records. Name the values with tune.choice or tune.grid_search."
        )
    if is_whole:
        # Rounding of a logarithm may reach the upper bound, which is none of the values.
        return min(math.floor(value), upper - 1) * (1 if step is None else step)
    # The product of a step has more digits than the step: 3 * 0.1 is 0.30000000000000004.
    return float(f"{value if step is None else round(value / step) * step:.{DIGITS}g}")


def _between(lower: float, upper: float, uniform: float, is_log: bool) -> float:
    if is_log:
        return min(math.exp(math.log(lower) + uniform * math.log(upper / lower)), upper)
    return lower + uniform * (upper - lower)
