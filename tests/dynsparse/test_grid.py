"""A space becomes a list of trials; what cannot be run is refused by name."""

import itertools

import numpy as np
import pytest
from ray import tune

from dynsparse.config import ConfigError
from dynsparse.experiment import (
    Experiment,
    ExperimentError,
    axes,
    expand,
)
from dynsparse.grid import independent_axes
from dynsparse.planning.packs import one_of_each_kind
from dynsparse.planning.plan import keys_read


def experiment(inert=(), **space):
    return Experiment("name", "question?", {"dataset_name": "digits", **space}, epochs=2, inert=inert)


def test_a_grid_is_the_product_of_its_axes_the_last_varying_fastest():
    configs = experiment(on_perc=tune.grid_search([0.1, 0.2]), seed=tune.grid_search([0, 1, 2])).configs()
    assert [(c.on_perc, c.seed) for c in configs] == [
        (0.1, 0),
        (0.1, 1),
        (0.1, 2),
        (0.2, 0),
        (0.2, 1),
        (0.2, 2),
    ]
    assert all(c.epochs == 2 for c in configs)
    assert axes(configs) == {"seed": [0, 1, 2], "on_perc": [0.1, 0.2]}


def test_expansion_agrees_with_tunes_own():
    from ray.tune.search.variant_generator import generate_variants

    space = {"a": tune.grid_search([1, 2]), "b": 3, "c": tune.grid_search(["x", "y", "z"])}
    key = lambda trial: sorted(trial.items(), key=str)  # noqa: E731
    tunes = sorted((spec for _, spec in generate_variants(space)), key=str)
    assert sorted((key(t) for t in expand(space)), key=str) == sorted((key(t) for t in tunes), key=str)


def test_a_dict_is_a_group_of_keys_and_grids_may_stand_at_any_depth():
    arms = tune.grid_search([{"model": "SET", "weight_prune_perc": tune.grid_search([0.1, 0.2])}, {"model": "Dense"}])
    assert list(expand({"seed": 7, "arm": arms, "more": {"on_perc": 0.5}})) == [
        {"seed": 7, "model": "SET", "weight_prune_perc": 0.1, "on_perc": 0.5},
        {"seed": 7, "model": "SET", "weight_prune_perc": 0.2, "on_perc": 0.5},
        {"seed": 7, "model": "Dense", "on_perc": 0.5},
    ]


def test_a_grid_may_stand_inside_a_list():
    trials = list(expand({"hidden_sizes": [tune.grid_search([300, 100]), 50]}))
    assert trials == [{"hidden_sizes": [300, 50]}, {"hidden_sizes": [100, 50]}]


def test_a_key_given_twice_is_refused():
    with pytest.raises(ExperimentError, match=r"^seed is given twice in the space\. Keep one of them\.$"):
        list(expand({"seed": 1, "arm": {"seed": 2}}))


def test_an_empty_axis_is_refused():
    with pytest.raises(
        ExperimentError, match=r"^on_perc: tune.grid_search\(\[\]\) has no values\. Give it at least one\.$"
    ):
        experiment(on_perc=tune.grid_search([])).configs()


def test_a_function_that_draws_is_refused():
    with pytest.raises(ExperimentError, match=r"^on_perc must be a domain .*, got Function\. tune\.sample_from is"):
        experiment(on_perc=tune.sample_from(lambda config: 0.1)).configs()


def test_samples_of_a_space_without_domains_are_refused():
    some = Experiment("name", "question?", {"dataset_name": "digits", "on_perc": 0.1}, num_samples=3)
    with pytest.raises(ExperimentError, match=r"^num_samples must be 1 if no value of the space is drawn, got 3\. To"):
        some.configs()


@pytest.mark.parametrize("values", [{"num_samples": 0}, {"num_samples": 1.5}, {"search_seed": -1}])
def test_numbers_of_samples_are_checked(values):
    [name] = values
    with pytest.raises(ExperimentError, match=f"^{name} must be a whole number of at least"):
        Experiment("name", "question?", {}, **values)


def sampled_experiment(**values):
    space = {
        "dataset_name": "digits",
        "on_perc": tune.loguniform(0.01, 0.5),
        "weight_prune_perc": tune.uniform(0.1, 0.5),
        "model": "SET",
        "seed": tune.grid_search([0, 1]),
    }
    return Experiment("name", "question?", space, **values)


def test_each_sample_is_combined_with_each_point_of_the_grid():
    some = sampled_experiment(num_samples=3)
    configs = some.configs()
    assert len(configs) == some.count() == 6
    assert [config.seed for config in configs] == [0, 1] * 3
    pairs = [(config.on_perc, config.weight_prune_perc) for config in configs]
    assert pairs[::2] == pairs[1::2]
    assert len(set(pairs)) == 3


def test_more_samples_extend_the_trials_and_a_seed_changes_them():
    few, many = sampled_experiment(num_samples=3).configs(), sampled_experiment(num_samples=10).configs()
    assert many[:6] == few
    assert not set(sampled_experiment(num_samples=10, search_seed=1).configs()) & set(many)
    assert sampled_experiment(num_samples=10).configs(limit=7) == many[:7]


def test_a_key_that_is_set_is_not_drawn_and_the_others_keep_their_values():
    drawn = sampled_experiment(num_samples=4).configs()
    fixed = sampled_experiment(num_samples=4).configs({"on_perc": [0.2]})
    assert [config.on_perc for config in fixed] == [0.2] * 8
    assert [config.weight_prune_perc for config in fixed] == [config.weight_prune_perc for config in drawn]


def test_samples_that_are_equal_are_one_trial():
    space = {"dataset_name": "digits", "model": tune.choice(["SET", "RigL"])}
    configs = Experiment("name", "question?", space, num_samples=50).configs()
    assert sorted(config.model for config in configs) == ["RigL", "SET"]


def test_overrides_replace_what_the_space_says_wherever_it_says_it():
    arms = tune.grid_search([{"kwinners": True, "seed": 0}, {"kwinners": False, "seed": 1}])
    some = experiment(arm=arms, on_perc=tune.grid_search([0.1, 0.2]))
    configs = some.configs({"seed": [5], "on_perc": [0.3, 0.4]})
    assert [(c.kwinners, c.seed, c.on_perc) for c in configs] == [
        (True, 5, 0.3),
        (True, 5, 0.4),
        (False, 5, 0.3),
        (False, 5, 0.4),
    ]
    assert [c.epochs for c in some.configs({"epochs": [9]})] == [9] * 4


def test_all_problems_of_all_trials_are_reported_once():
    with pytest.raises(ConfigError) as raised:
        experiment(on_prec=0.1, on_perc=tune.grid_search([0.1, 1.5, 2]), seed=tune.grid_search([0, 1])).configs()
    assert str(raised.value).splitlines() == [
        "Unknown key 'on_prec'. Did you mean 'on_perc'?",
        "on_perc must be in (0, 1], got 1.5.",
        "on_perc must be in (0, 1], got 2.",
    ]


def test_an_axis_that_nobody_reads_is_refused():
    with pytest.raises(ExperimentError) as raised:
        experiment(network="MLP", kwinners=tune.grid_search([True, False])).configs()
    assert str(raised.value) == (
        "The axis kwinners has no effect: no trial reads it (model='DSNNMixedHeb', network='MLP', "
        "study='train', rules='fixed', optim_alg='SGD', lr_schedule='constant', test_noise=True). "
        "Give kwinners a single value, or list it in the experiment's `inert`."
    )


def test_a_key_that_nobody_reads_may_stay_in_the_base():
    assert len(experiment(network="MLP", kwinners=True).configs()) == 1


def test_an_axis_that_some_trials_read_is_no_mistake():
    grid = dict(model=tune.grid_search(["SET", "DSNNMixedHeb"]), hebbian_prune_perc=tune.grid_search([0.1, 0.2]))
    assert len(experiment(**grid).configs()) == 4


@pytest.mark.parametrize("schedules", list(itertools.permutations(["constant", "multistep", "cosine", "linear"], 2)))
def test_which_trial_reads_an_axis_does_not_depend_on_the_order_of_the_schedules(schedules):
    axes = dict(lr_schedule=tune.grid_search(schedules), lr_milestones=[1], lr_final=tune.grid_search([0, 0.1]))
    if set(schedules) & {"cosine", "linear"}:
        configs = experiment(**axes).configs()
        assert len(configs) == 4
        found = frozenset().union(*map(keys_read, one_of_each_kind(configs)))
        assert found == frozenset().union(*map(keys_read, configs))
    else:
        with pytest.raises(ExperimentError, match="The axis lr_final has no effect"):
            experiment(**axes).configs()


def test_axes_that_follow_from_others():
    arms = [dict(model="Dense", on_perc=1.0), dict(model="SET", on_perc=0.1), dict(model="RigL", on_perc=0.1)]
    space = dict(arm=tune.grid_search(arms), seed=tune.grid_search([0, 1]))
    assert independent_axes(experiment(**space).configs()) == ["seed", "model"]
    sizes = dict(dataset_name=tune.grid_search(["digits", "MNIST"]), batch_size=tune.grid_search([16, 32]))
    assert list(axes(experiment(**sizes).configs())) == ["dataset_name", "input_size", "batch_size"]
    assert independent_axes(experiment(**sizes).configs()) == ["dataset_name", "batch_size"]
    together = dict(arm=tune.grid_search([dict(batch_size=n, learning_rate=n / 100) for n in (16, 32)]))
    assert independent_axes(experiment(**together).configs()) == ["batch_size"]
    assert independent_axes([]) == independent_axes(experiment().configs()) == []


def test_an_axis_without_effect_can_be_meant():
    legacy = dict(rules="legacy_2019", kwinners=tune.grid_search([True, False]))
    assert len(experiment(inert=("kwinners",), **legacy).configs()) == 2
    with pytest.raises(ExperimentError, match=r"^Unknown key in inert 'kwiners'\. Did you mean 'kwinners'\?"):
        experiment(inert=("kwiners",), **legacy).configs()


@pytest.mark.parametrize(
    "space",
    [
        dict(seed=tune.grid_search([0, 1, 2]), on_perc=tune.grid_search([0.1, 0.2])),
        dict(arm=tune.grid_search([dict(model="SET", on_perc=tune.grid_search([0.1, 0.2])), dict(model="Dense")])),
        dict(hidden_sizes=[tune.grid_search([10, 20]), tune.grid_search([5, 6, 7])], seed=tune.grid_search([1, 2])),
        dict(both=dict(model=tune.grid_search(["SET", "RigL"]), seed=tune.grid_search([1, 2]))),
        dict(),
    ],
)
def test_trials_are_counted_without_expanding_them(space):
    grid = experiment(**space)
    assert grid.count() == len(list(expand(grid.space))) == len(grid.configs())
    assert grid.count({"epochs": [1, 2, 3]}) == 3 * grid.count()
    assert grid.configs(limit=2) == grid.configs()[:2]


def test_a_count_takes_no_longer_for_more_trials():
    values = tune.grid_search(list(range(1000)))
    assert experiment(a=values, b=values, c=values, d=values).count() == 10**12


@pytest.mark.parametrize("values", [range(3), np.arange(3), (0, 1, 2), {0: "", 1: "", 2: ""}.keys()])
def test_any_series_of_values_is_an_axis(values):
    assert [config.seed for config in experiment(seed=tune.grid_search(values)).configs()] == [0, 1, 2]


@pytest.mark.parametrize("value", ["012", 3, {"a": 1}])
def test_what_is_no_series_of_values_is_refused(value):
    with pytest.raises(ExperimentError, match=r"seed: tune.grid_search takes a list, got"):
        experiment(seed=tune.grid_search(value)).configs()


def test_a_repeated_value_is_found_in_a_large_grid_and_on_a_single_axis():
    space = dict(dataset_name="digits", hidden_sizes=[10], seed=tune.grid_search([*range(5000), 4999]))
    with pytest.raises(ExperimentError, match=r"contains the same trial twice \(seed=4999\)"):
        experiment(**space).configs()
    with pytest.raises(ExperimentError, match=r"contains the same trial twice\. Remove"):
        experiment(seed=tune.grid_search([1, 1])).configs()
