"""Population-based training: which trials are replaced, by what, and how values are mutated."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray import tune

from dynsparse.config import Config, keys
from dynsparse.results.trial_folder import identity
from dynsparse.sampling import drawn_keys
from dynsparse.search import FIXED_KEYS, MUTABLE_KEYS, Pbt, mutate
from dynsparse.search.mutation import chance_of


def rule(factor=3.0, epochs=6, grace=2, domains=None):
    return Pbt(grace, factor, epochs, 0, domains or {"learning_rate": tune.loguniform(0.01, 1)})


def test_exchanges_are_multiples_of_grace_before_the_end():
    assert list(rule(epochs=6, grace=2).exchanges) == [2, 4]
    assert list(rule(epochs=7, grace=2).exchanges) == [2, 4, 6]
    assert not rule(epochs=2, grace=2).exchanges


@pytest.mark.parametrize(
    ("n", "factor", "n_replaced"),
    [(1, 3.0, 0), (2, 3.0, 1), (3, 3.0, 1), (5, 3.0, 1), (6, 3.0, 2), (9, 3.0, 3), (8, 1.5, 4), (3, 1.5, 1), (4, 9, 1)],
)
def test_about_one_in_factor_is_replaced_and_at_most_half(n, factor, n_replaced):
    values = {f"t{place}": place / 10 for place in range(n)}
    found = rule(factor).parents(values, 2)
    assert list(found) == [f"t{place}" for place in range(n_replaced)]
    assert set(found.values()) <= {f"t{place}" for place in range(n - n_replaced, n)}


def test_values_that_are_not_finite_are_worst_and_never_copied():
    values = {"a": math.nan, "b": 0.1, "c": 0.2, "d": math.inf, "e": -math.inf, "f": 0.3}
    assert set(rule(2.0).parents(values, 2)) == {"a", "d", "e"}
    assert set(rule(2.0).parents(values, 2).values()) <= {"b", "c", "f"}
    assert rule().parents({"a": math.nan, "b": math.nan}, 2) == {}
    # Equal values: the name decides.
    assert rule().parents({"b": 0.5, "a": 0.5, "c": 0.5}, 2) == {"c": "a"}


def population(n=4):
    base = Config(dataset_name="digits", model="SET", epochs=6)
    return [replace(base, learning_rate=round(0.1 * (1 + place), 1)) for place in range(n)]


def test_a_population_by_hand():
    """Four trials with two exchanges; the third trial fails between them."""
    first, second, third, fourth = population()
    values = {first: [0.1, 0.1], second: [0.1, 0.8], third: [0.1, 0.5], fourth: [0.1, 0.4]}
    failed = set()

    def now():
        taken = {identity(each) for each in population()}
        return rule().replay(population(), lambda each: values.get(each, ()), failed.__contains__, taken)

    values[second] = [0.1]
    assert (now().next_epoch, now().copies) == (2, [])
    values[second] = [0.1, 0.8]
    [copy] = now().copies
    assert (copy.replaced, copy.parent, copy.epoch) == (first, second, 2)
    assert copy.child.starts_from == f"{identity(second)}@2"
    assert copy.child.learning_rate != second.learning_rate
    assert replace(copy.child, learning_rate=0.2, starts_from=None) == second
    assert now().members == [copy.child, second, third, fourth] and now().next_epoch == 4
    values[copy.child] = [0.1, 0.8, 0.8, 0.9]
    values[second] = [0.1, 0.8, 0.7, 0.7]
    values[fourth] = [0.1, 0.4, 0.4, 0.2]
    assert now().next_epoch == 4
    failed.add(third)
    # The third has left: of three trials, the copy is best and the fourth is worst.
    assert [(each.replaced, each.parent, each.epoch) for each in now().copies[1:]] == [(fourth, copy.child, 4)]
    last = now().copies[1].child
    assert (now().members, now().next_epoch) == ([copy.child, second, last], 6)
    for each in (copy.child, second, last):
        values[each] = [*values.get(each, [0.1] * 4), 0.1, 0.1]
    assert (now().members, now().next_epoch) == ([copy.child, second, last], None)
    # What happens later changes no earlier decision: also if a trial has failed after an exchange.
    failed |= {second, copy.child}
    assert [each.child for each in now().copies] == [copy.child, last]


def test_copies_of_one_parent_differ_and_are_new():
    four = population(8)
    values = {each: [0.0, 0.9 if each is four[0] else 0.1] for each in four}
    domains = {"momentum": tune.choice([0.0, 0.5, 0.9])}
    taken = {identity(each) for each in four}
    copies = rule(2.0, domains=domains).replay(four, lambda each: values.get(each, ()), lambda each: False, taken)
    children = [copy.child for copy in copies.copies]
    assert len(children) == 4 and len(set(map(identity, children))) == 4
    assert all(copy.child.momentum != copy.parent.momentum for copy in copies.copies)
    # Of one parent, there are two other values: further trials go on as they are.
    few = rule(2.0, domains=domains)
    few.parents = lambda values, epoch: dict.fromkeys([identity(each) for each in four[1:5]], identity(four[0]))
    taken = {identity(each) for each in four}
    copies = few.replay(four, lambda each: values.get(each, ()), lambda each: False, taken)
    assert sorted(copy.child.momentum for copy in copies.copies) == [0.0, 0.5]
    assert [each for each in copies.members if each in four] == [four[0], *four[3:]]


DOMAINS = {
    "uniform": (tune.uniform(0.2, 0.5), lambda value: 0.2 <= value <= 0.5),
    "loguniform": (tune.loguniform(1e-3, 0.1), lambda value: 1e-3 <= value <= 0.1),
    "quniform": (tune.quniform(0.1, 0.9, 0.1), lambda value: 0.1 <= value <= 0.9 and value == round(value, 1)),
    "randint": (tune.randint(2, 9), lambda value: value in range(2, 9) and type(value) is int),
    "qrandint": (tune.qrandint(4, 12, 4), lambda value: value in (4, 8, 12) and type(value) is int),
    "lograndint": (tune.lograndint(1, 100), lambda value: value in range(1, 100)),
    "randn": (tune.randn(0, 1), lambda value: math.isfinite(value)),
    "choice": (tune.choice([0.1, None, 0.5]), lambda value: value in (0.1, None, 0.5)),
    "lists": (tune.choice([[1], [1, 2]]), lambda value: tuple(value) in ((1,), (1, 2))),
}


@pytest.mark.parametrize("name", DOMAINS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_a_mutated_value_is_in_its_domain(name, seed):
    domain, is_in = DOMAINS[name]
    value = domain.sample() if name != "lists" else (1, 2)
    for step in range(10):
        value = mutate(domain, name, value, chance_of(seed, step))
        assert is_in(value), value
        value = tuple(value) if isinstance(value, list) else value


def test_values_move_as_in_the_paper():
    domain = tune.uniform(0, 100)
    moved = [mutate(domain, "x", 10.0, chance_of(number)) for number in range(2000)]
    shares = {value: moved.count(value) / len(moved) for value in (8.0, 12.0)}
    # Three in four are multiplied by 0.8 or 1.2.
    assert all(abs(share - 0.375) < 0.04 for share in shares.values()), shares
    steps = [mutate(tune.choice([1, 2, 3, 4, 5]), "x", 3, chance_of(number)) for number in range(2000)]
    # And of a choice to a neighbour; one in four is one of the five.
    assert all(abs(steps.count(value) / 2000 - (0.375 + 0.05)) < 0.04 for value in (2, 4))
    assert mutate(domain, "x", 10.0, chance_of(1)) == mutate(domain, "x", 10.0, chance_of(1))


def test_each_key_in_which_a_pack_may_differ_is_fixed_or_mutable():
    per_trial = {name for name, each in keys().items() if each.metadata["per_trial"]}
    assert MUTABLE_KEYS | FIXED_KEYS.keys() == per_trial and not MUTABLE_KEYS & FIXED_KEYS.keys()


def test_drawn_keys_have_a_domain_if_they_are_drawn_alone():
    rate = tune.uniform(0, 1)
    space = {
        "model": "SET", "learning_rate": rate, "seed": tune.grid_search([0, 1]),
        "hidden_sizes": [tune.randint(10, 20), 10], "group": {"momentum": rate},
        "method": tune.choice([{"rules": "fixed", "on_perc": rate}, {"on_perc": 0.1}]),
        "arm": tune.grid_search([{"dropout": rate}, {"dropout": 0.1}]), "optim_alg": tune.choice(["SGD", "Adam"]),
    }  # fmt: skip
    assert drawn_keys(space) == {
        "learning_rate": rate, "hidden_sizes": None, "momentum": rate, "rules": None, "on_perc": None, "dropout": None,
        "optim_alg": space["optim_alg"],
    }  # fmt: skip
