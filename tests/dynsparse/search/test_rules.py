"""Rules of early stopping decide as Ray Tune's own schedulers do."""

import math

import pytest
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule
from support.schedulers import Results, our_decisions, tune_decisions

from dynsparse.search import Asha, MedianStopping, StoppingOptions, rule_of


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("grace", "factor"), [(1, 2), (1, 3), (2, 4), (5, 3)])
def test_asha_decides_as_tune_does(grace, factor, seed):
    tunes = ASHAScheduler(
        metric="value", mode="max", grace_period=grace, reduction_factor=factor, max_t=1000, brackets=1
    )
    ours, theirs = Results(seed), Results(seed)
    assert our_decisions(Asha(grace, factor), ours) == tune_decisions(tunes, theirs)
    assert 5 < len(ours.stopped) < 30


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("grace", [1, 4])
def test_the_median_rule_decides_as_tune_does(grace, seed):
    tunes = MedianStoppingRule("training_iteration", "value", "max", grace_period=grace, min_samples_required=3)
    ours, theirs = Results(seed), Results(seed)
    assert our_decisions(MedianStopping(grace), ours) == tune_decisions(tunes, theirs)
    assert 5 < len(ours.stopped) < 30


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_values_of_minus_infinity_do_not_stop_a_good_trial(scheduler):
    # R² of regressions that have diverged.
    rule = rule_of(StoppingOptions(scheduler), {})
    for name in "abcd":
        rule.learn(name, 1, -math.inf)
    assert rule.reason_to_stop("good", 1, 0.9) is None
    for name in "efg":
        rule.learn(name, 1, 0.5)
    assert rule.reason_to_stop("good", 1, 0.9) is None
    assert rule.reason_to_stop("bad", 1, -math.inf) is not None


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_a_value_that_is_no_number_is_worst_and_does_not_hide_others(scheduler):
    rule = rule_of(StoppingOptions(scheduler), {})
    for name, value in [("a", 0.1), ("b", 0.2), ("c", 0.3), ("lost", math.nan)]:
        rule.learn(name, 1, value)
    assert rule.reason_to_stop("d", 1, math.nan) is not None
    assert rule.reason_to_stop("d", 1, 0.9) is None
    assert rule.reason_to_stop("d", 1, 0.15) is not None


def test_a_question_may_be_repeated():
    rule = Asha(1, 2)
    rule.learn("a", 1, 0.5)
    rule.learn("b", 1, 0.9)
    assert rule.reason_to_stop("b", 1, 0.9) is None
    assert "0.5 at epoch 1 is below 0.9" in rule.reason_to_stop("a", 1, 0.5)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"scheduler": "ahsa"}, r"^Unknown scheduler 'ahsa'\. Did you mean 'asha'\?"),
        ({"scheduler": "pbt", "group_by": "seed"}, r"^group_by must not be given with scheduler='pbt', got 'seed': "),
        ({"scheduler": "asha", "grace": 0}, r"^grace must be a whole number of epochs, at least 1, got 0\.$"),
        ({"scheduler": "asha", "reduction_factor": 1}, r"^reduction_factor must be a number larger than 1 .*, got 1\."),
        ({"scheduler": "asha", "reduction_factor": math.inf}, r"^reduction_factor must be .* 1e\+06, got inf\."),
        ({"scheduler": "asha", "reduction_factor": 10**400}, r"^reduction_factor must be .* 1e\+06, got 1000"),
        ({"scheduler": ["asha"]}, r"^Unknown scheduler \['asha'\]\."),
        ({"scheduler": ASHAScheduler}, r" A scheduler object of Ray Tune is also allowed\.$"),
        ({"scheduler": "asha", "group_by": ["seed"]}, r"^Unknown key in group_by \['seed'\]\."),
        ({"scheduler": "ahsa", "grace": 0}, r"^Unknown scheduler 'ahsa'\..*\ngrace must be"),
        ({"scheduler": "asha", "group_by": "sed"}, r"^Unknown key in group_by 'sed'\. Did you mean 'seed'\?"),
        (
            {"scheduler": "asha", "group_by": "dataset_name"},
            r"^group_by must be a key in which the trials of",
        ),
    ],
)
def test_options_are_checked(values, problem):
    with pytest.raises(ValueError, match=problem):
        StoppingOptions(**values)
