"""Values drawn from Ray Tune's domains have their distributions, and depend on seed, number and key alone."""

import numpy as np
import pytest
from ray import tune
from scipy import stats

from dynsparse.sampling import SamplingError, check_domains, has_domain, samples

DOMAINS = {
    "uniform": lambda: tune.uniform(-2, 3),
    "quniform": lambda: tune.quniform(0, 1, 0.1),
    "loguniform": lambda: tune.loguniform(1e-4, 1e-1),
    "qloguniform": lambda: tune.qloguniform(1e-2, 1, 1e-2),
    "randn": lambda: tune.randn(5, 2),
    "qrandn": lambda: tune.qrandn(5, 2, 0.5),
    "randint": lambda: tune.randint(-3, 4),
    "lograndint": lambda: tune.lograndint(1, 1000),
    "qrandint": lambda: tune.qrandint(10, 100, 20),
    "qlograndint": lambda: tune.qlograndint(10, 1000, 10),
    "choice": lambda: tune.choice([1, 5, 7]),
}
N = 4000


def drawn(domain, n_samples=N, search_seed=0):
    return [sample["key"] for sample in samples({"key": domain}, search_seed, n_samples)]


@pytest.mark.parametrize("name", DOMAINS)
def test_values_have_the_distribution_that_tunes_own_have(name):
    domain = DOMAINS[name]()
    ours, tunes = drawn(domain), domain.sample(size=N, random_state=0)
    assert {type(each) for each in ours} == {type(domain.sample())}
    if name.startswith(("q", "choice", "randint")):
        # The same values, as often; chi-squared, because few values have many ties.
        values = sorted({*ours, *(round(each, 9) for each in tunes)})
        counts = [[np.isclose(series, value).sum() for value in values] for series in (ours, tunes)]
        common = [place for place in range(len(values)) if counts[0][place] + counts[1][place] >= 10]
        table = [[row[place] for place in common] for row in counts]
        assert stats.chi2_contingency(table).pvalue > 0.001
    else:
        assert stats.ks_2samp(ours, tunes).pvalue > 0.001


@pytest.mark.parametrize("bounds", [(1, 2), (1, 3), (7, 1000)])
def test_the_upper_bound_of_integers_is_no_value_and_the_lower_one_is(bounds):
    lower, upper = bounds
    for domain in (tune.randint(lower, upper), tune.lograndint(lower, upper)):
        values = drawn(domain)
        assert min(values) == lower
        assert max(values) < upper


def test_a_value_depends_on_seed_number_and_key_alone():
    domain = tune.uniform(0, 1)
    few = list(samples({"a": domain}, 0, 3))
    more = list(samples({"b": domain, "a": domain}, 0, 5))
    assert [each["a"] for each in more[:3]] == [each["a"] for each in few]
    assert all(each["a"] != each["b"] for each in more)
    assert drawn(domain, 3, search_seed=1) != drawn(domain, 3)


def test_keys_and_numbers_are_independent():
    columns = {name: tune.uniform(0, 1) for name in "abc"}
    table = np.array([list(each.values()) for each in samples(columns, 0, N)])
    correlations = np.corrcoef([*table.T, [*table[1:, 0], 0.5]])
    # The standard error of a correlation is 1 / sqrt(N).
    assert np.abs(correlations - np.eye(4)).max() < 4 / np.sqrt(N)


def test_domains_are_drawn_at_any_depth():
    space = {
        "sizes": [tune.randint(1, 10**6), tune.randint(1, 10**6)],
        "arm": tune.grid_search([{"x": tune.uniform(0, 1)}, {"x": tune.uniform(0, 2), "y": 1}]),
        "group": tune.choice([{"z": tune.uniform(0, 1)}]),
        "fixed": "text",
    }
    assert has_domain(space)
    [sample] = samples(space, 0, 1)
    assert not has_domain(sample)
    first, second = sample["sizes"]
    assert first != second
    one, two = sample["arm"]["grid_search"]
    # Arms of a grid have their random numbers in common.
    assert two["x"] == pytest.approx(2 * one["x"], rel=1e-5)
    assert (0 < sample["group"]["z"] < 1, sample["fixed"]) == (True, "text")


def test_what_cannot_be_drawn_is_refused_with_its_name():
    with pytest.raises(SamplingError, match=r"^rate must be a domain .*got Function\. tune\.sample_from is not among"):
        list(samples({"rate": tune.sample_from(lambda config: 1)}, 0, 1))


def test_domains_without_values_are_refused_together():
    space = {
        "empty": tune.choice([]),
        "reversed": tune.uniform(2, 1),
        "arm": tune.choice([{"none": tune.randint(3, 3)}, {"fine": tune.uniform(1, 1)}]),
        "coarse": [tune.qrandint(10, 15, 16)],
    }
    with pytest.raises(SamplingError) as caught:
        check_domains(space)
    assert str(caught.value).splitlines() == [
        "empty must have at least one value to choose from, got tune.choice([]).",
        "reversed must be drawn between a lower and a larger upper bound, got 2 and 1.",
        "none must be drawn between a lower and a larger upper bound, which is no value itself, got 3 and 3.",
        "coarse must have a multiple of the step within its bounds, got a step of 16 from 10 to 15.",
    ]
    check_domains({name: make() for name, make in DOMAINS.items()})
