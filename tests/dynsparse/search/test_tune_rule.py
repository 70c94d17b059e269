"""Schedulers of Ray Tune as rules: they decide as they do in Tune, and what cannot be followed is refused."""

import json
import random
import re
from dataclasses import replace

import pytest
from ray import tune as ray_tune
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    ResourceChangingScheduler,
    TrialScheduler,
)
from support.schedulers import Results, our_decisions, tune_decisions

import analysis
from dynsparse.config import Config
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.io.storage import open_folder
from dynsparse.results.trial_folder import folder_name, identity
from dynsparse.search import Judge, Measurement, StoppingOptions, TuneRule, check_scheduler
from dynsparse.tune import run
from dynsparse.tune.preflight import with_absolute_data_dir

CONFIG = Config.of({"dataset_name": "digits", "model": "SET"})


def asha(**options):
    return ASHAScheduler(**{"metric": "value", "mode": "max", "max_t": 1000, "reduction_factor": 3, **options})


def median(**options):
    return MedianStoppingRule(**{"time_attr": "training_iteration", "metric": "value", "mode": "max", "grace_period": 2,
                                 **options})  # fmt: skip


def rule(scheduler, n=30):
    return TuneRule(scheduler, {f"trial{number}": CONFIG for number in range(n)}, "value")


@pytest.mark.parametrize("make", [asha, median])
@pytest.mark.parametrize("seed", range(3))
def test_the_rule_decides_as_the_scheduler_that_tune_asks(make, seed):
    ours, theirs = Results(seed), Results(seed)
    assert our_decisions(rule(make()), ours) == tune_decisions(make(), theirs)
    assert 5 < len(ours.stopped) < 30


def test_low_values_of_a_loss_are_better():
    lowest = rule(asha(mode="min"))
    lowest.learn("trial0", 1, 0.5)
    assert lowest.reason_to_stop("trial1", 1, 0.4) is None
    assert lowest.reason_to_stop("trial2", 1, 0.6) == (
        "AsyncHyperBandScheduler stops it at epoch 1, where value is 0.6"
    )


def test_the_same_values_lead_to_the_same_decisions_and_a_question_may_be_repeated():
    # ASHA draws the bracket of each trial from numpy's global generator.
    scheduler = asha(brackets=3)
    draw = random.Random(0)
    values = [(f"trial{number}", epoch, draw.random()) for epoch in range(1, 6) for number in range(30)]
    first, again = rule(scheduler), rule(scheduler)
    reasons = [first.reason_to_stop(*each) for each in values]
    assert any(reasons)
    for each in values:
        again.learn(*each)
    assert [again.reason_to_stop(*each) for each in values] == reasons


@pytest.mark.parametrize(
    ("scheduler", "problem"),
    [
        (HyperBandScheduler(metric="value", mode="max"), r"HyperBandScheduler pauses trials\. Give scheduler='hyperb"),
        (HyperBandForBOHB(metric="value", mode="max"), r"HyperBandForBOHB pauses trials\. Give scheduler='hyperband'"),
        (
            PopulationBasedTraining(metric="value", mode="max", hyperparam_mutations={"learning_rate": [0.1, 0.2]}),
            r"PopulationBasedTraining changes settings while trials train",
        ),
        (ResourceChangingScheduler(), r"ResourceChangingScheduler changes the resources of trials"),
    ],
)
def test_schedulers_that_do_more_than_stop_trials_are_refused(scheduler, problem):
    with pytest.raises(ValueError, match=rf"^A scheduler of Ray Tune must only stop trials, and {problem}"):
        StoppingOptions(scheduler)


def test_other_options_belong_to_the_scheduler():
    with pytest.raises(ValueError, match=r"got grace=5 and reduction_factor=3\.0\. Give them to AsyncHyperBandSched"):
        StoppingOptions(asha(), grace=5)


class Pauses(FIFOScheduler):
    """A scheduler that pauses a trial after its second epoch."""

    def on_trial_result(self, tune_controller, trial, result):
        return TrialScheduler.PAUSE if result["training_iteration"] == 2 else TrialScheduler.CONTINUE


class StopsRates(FIFOScheduler):
    """A scheduler that reads the configuration, and has no metric."""

    def on_trial_result(self, tune_controller, trial, result):
        return TrialScheduler.STOP if trial.config["learning_rate"] < 0.1 else TrialScheduler.CONTINUE


def experiment(epochs=3):
    space = {"dataset_name": "digits", "model": "SET", "hidden_sizes": [8], "batch_size": 64, "val_fraction": 0.2,
             "test_noise": False, "learning_rate": ray_tune.grid_search([0.2, 0.001, 1e-6])}  # fmt: skip
    return Experiment("scheduled", "Which?", space, epochs=epochs)


def statuses(storage):
    return analysis.load(storage / "scheduled").sort_values("learning_rate")["status"].tolist()


def test_a_scheduler_that_stops_all_trials_is_warned_of():
    configs = experiment(epochs=9).configs()
    warning = r"warning: AsyncHyperBandScheduler stops all trials at epoch 5 at the latest, .* max_t of at least 9,"
    for mode in ("max", "min"):
        short, long = (ASHAScheduler(metric="val_loss", mode=mode, max_t=max_t) for max_t in (5, 9))
        assert re.match(warning, check_scheduler(configs, StoppingOptions(short)))
        assert check_scheduler(configs, StoppingOptions(long)) is None
    assert check_scheduler(configs, StoppingOptions(StopsRates())) is None


@pytest.mark.parametrize(
    ("scheduler", "problem"),
    [
        (MedianStoppingRule(metric="val_acc", mode="max"), r"asks for 'time_total_s'\. .* time_attr='training_"),
        (ASHAScheduler(mode="min"), r"both a metric and a mode, or neither, which means metric='val_acc'"),
        (ASHAScheduler(metric="val_acc"), r"^The scheduler AsyncHyperBandScheduler raised ValueError: "),
    ],
)  # fmt: skip
def test_problems_are_found_before_the_run(scheduler, problem, tmp_path):
    with pytest.raises(ExperimentError, match=problem):
        run(experiment(), tmp_path, in_process=True, scheduler=scheduler)
    assert not list(tmp_path.iterdir())


def test_a_problem_that_shows_later_ends_the_run_and_fails_no_trial(tmp_path, capsys):
    outcome = run(experiment(), tmp_path, in_process=True, scheduler=Pauses())
    assert "Pauses answered PAUSE: trials cannot be paused" in capsys.readouterr().err
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (0, 3, [])
    assert run(experiment(), tmp_path, in_process=True).n_complete == 3


class Raises(FIFOScheduler):
    """A scheduler that raises at the second epoch, also when it is shown the rows of an earlier run."""

    def on_trial_result(self, tune_controller, trial, result):
        if result["training_iteration"] == 2:
            raise ArithmeticError("mine")
        return TrialScheduler.CONTINUE


def test_a_scheduler_that_raises_for_the_rows_of_an_earlier_run_ends_the_run_too(tmp_path, capsys):
    for _ in range(2):
        outcome = run(experiment(), tmp_path, in_process=True, scheduler=Raises())
        assert "The scheduler Raises raised ArithmeticError: mine" in capsys.readouterr().err
        assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (0, 3, [])


def test_a_run_asks_the_scheduler_and_leaves_the_object_as_it_was(tmp_path):
    scheduler = ASHAScheduler(metric="val_loss", mode="min", reduction_factor=2)
    before = str(vars(scheduler))
    outcome = run(experiment(), tmp_path, in_process=True, scheduler=scheduler)
    assert statuses(tmp_path) == ["stopped", "stopped", "complete"]
    assert (outcome.n_stopped, str(vars(scheduler))) == (2, before)
    reason = analysis.load(tmp_path / "scheduled").sort_values("learning_rate")["error"].iloc[0]
    assert reason.startswith("AsyncHyperBandScheduler stops it at epoch 1, where val_loss is 2.")
    again = run(experiment(), tmp_path, in_process=True, scheduler=scheduler)
    assert (again.n_complete, again.n_stopped) == (1, 2)


def test_a_killed_run_asks_again_after_all_trials_that_have_trained_longer(tmp_path):
    # As after a kill between the first row of the worst trial, which is the first of the grid, and its mark.
    grid = replace(experiment(), space={**experiment().space, "learning_rate": ray_tune.grid_search([1e-6, 0.2, 0.1])})
    run(grid, tmp_path, in_process=True)
    configs = [with_absolute_data_dir(each) for each in grid.configs()]
    [worst] = [each for each in configs if each.learning_rate == 1e-6]
    folder = tmp_path / "scheduled" / folder_name(worst)
    [row, *_] = (folder / "result.json").read_text().splitlines(keepends=True)
    (folder / "result.json").write_text(row)
    for name in ("complete.json", "progress.csv"):
        (folder / name).unlink()
    options = StoppingOptions(ASHAScheduler(metric="val_loss", mode="min", reduction_factor=2))
    judge = Judge(options, configs, open_folder(str(tmp_path / "scheduled")))
    assert judge.judge({identity(worst): Measurement(1, json.loads(row)["val_loss"])}).keys() == {identity(worst)}


@pytest.mark.faults
def test_a_scheduler_of_the_users_own_with_ray(tmp_path):
    outcome = run(experiment(epochs=2), tmp_path, cpus_per_trial=1, scheduler=StopsRates())
    assert (outcome.n_complete, outcome.n_stopped, outcome.n_unfinished) == (1, 2, 0)
    assert statuses(tmp_path) == ["stopped", "stopped", "complete"]
