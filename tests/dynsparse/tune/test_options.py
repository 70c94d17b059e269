"""Options of a run are checked in one place, and the command has the same ones."""

import dataclasses

import numpy as np
import pytest

from dynsparse.cli.cluster.requested_run import typed_words
from dynsparse.cli.parsing import given_options
from dynsparse.cli.trials import run as run_command
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.tune import RunOptions, run


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("limit", 0, "limit must be a whole number of at least 1, got 0."),
        ("limit", 2.5, "limit must be a whole number of at least 1, got 2.5."),
        ("max_failures", -1, "max_failures must be a whole number of at least 0, got -1."),
        ("checkpoint_epochs", 0, "checkpoint_epochs must be a whole number of at least 1, got 0."),
        ("cpus_per_trial", 0, "cpus_per_trial must be a number larger than 0 and at most 1e+06, got 0."),
        ("gpus_per_trial", -0.5, "gpus_per_trial must be a number from 0 to 1e+06, got -0.5."),
        ("epoch_seconds", "10", "epoch_seconds must be a number larger than 0 and at most 1e+09, got '10'."),
        ("trial_seconds", float("nan"), "trial_seconds must be a number larger than 0 and at most 1e+09, got nan."),
        ("epoch_seconds", 1e300, "epoch_seconds must be a number larger than 0 and at most 1e+09, got 1e+300."),
        ("max_failures", None, "max_failures must be a whole number of at least 0, got None."),
        ("checkpoint_epochs", None, "checkpoint_epochs must be a whole number of at least 1, got None."),
        ("limit", True, "limit must be a whole number of at least 1, got True."),
        ("fresh", "no", "fresh must be True or False, got 'no'."),
        ("callbacks", ["x"], "callbacks must be a list of ray.tune.Callback objects, got ['x']."),
        ("callbacks", None, "callbacks must be a list of ray.tune.Callback objects, got None."),
        ("wandb", "", "wandb must be the name of a project of Weights & Biases, got ''."),
        ("mlflow", 5, "mlflow must be the URI of a tracking server or database, such as sqlite:///mlflow.db, got 5."),
        ("name", "a/b", "name must be a valid folder name (no / or \\, no leading dot), got 'a/b'."),
        ("pack", "many", "pack must be 'auto', 'off' or a number of trials from 1 to 512, got many."),
    ],
)
def test_a_value_that_is_not_allowed_is_named(tmp_path, name, value, message):
    with pytest.raises(ExperimentError) as caught:
        RunOptions(**{name: value})
    assert str(caught.value) == message
    with pytest.raises(ExperimentError) as caught:
        run(of_file(), tmp_path, **{name: value})
    assert str(caught.value) == message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("storage", ["", None, b"results", "a\0b"])
def test_a_storage_that_is_no_folder_is_refused(storage):
    with pytest.raises(ExperimentError, match=r"^storage must be a folder or a URI such as s3://bucket/folder, got "):
        RunOptions(storage=storage)


def test_numbers_of_numpy_are_numbers():
    options = RunOptions(limit=np.int64(3), cpus_per_trial=np.float32(0.5), gpus_per_trial=0, epoch_seconds=1)
    assert options.limit == 3 and options.cpus_per_trial == 0.5
    search = RunOptions(
        scheduler="asha", grace=np.int64(2), reduction_factor=np.float32(2), searcher="optuna", repeats=np.int64(2)
    )
    assert search.stopping is not None and search.searching is not None


def test_an_unknown_option_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match=r"^Unknown option 'cpu_per_trial'\. Did you mean 'cpus_per_trial'"):
        run(of_file(), tmp_path, cpu_per_trial=1)
    assert not list(tmp_path.iterdir())


def test_an_option_that_belongs_to_the_experiment_is_refused_with_the_fix() -> None:
    problem = r"^num_samples belongs to the experiment, .* got num_samples=8\. .*replace\(experiment, num_samples=8\)"
    with pytest.raises(ExperimentError, match=problem):
        RunOptions.of(Experiment("few", "Which?", {"dataset_name": "digits"}), num_samples=8)


def test_the_command_has_the_same_options_with_the_same_defaults():
    ours = {each.name: each.default for each in dataclasses.fields(RunOptions)}
    typed = run_command.make_context("run", ["file.py"]).params
    # These are about the grid; callbacks cannot be typed, and a search sets quiet.
    of_grid = ("file", "settings", "yes", "num_samples")
    assert {name: value for name, value in typed.items() if name not in of_grid} == {
        name: value for name, value in ours.items() if name not in ("callbacks", "quiet")
    }


def of_file(**run_options):
    return Experiment("few", "Which?", {"dataset_name": "digits"}, run_options=run_options)


def test_options_of_a_command_replace_those_of_an_experiment():
    experiment = of_file(scheduler="asha", grace=3, group_by="seed", pack=8)
    options = RunOptions.of(experiment, grace=2)
    assert (options.scheduler, options.grace, options.group_by, options.pack) == ("asha", 2, "seed", 8)
    assert RunOptions.of(experiment, scheduler="median").grace == 3
    without = RunOptions.of(experiment, scheduler=None)
    assert (without.stopping, without.grace, without.pack) == (None, 1, 8)


def test_flags_and_groups_of_a_file_can_be_turned_off():
    words = ["file.py", "--no-in-process", "--no-tensorboard", "--group-by", "none"]
    context = run_command.make_context("run", words)
    typed = given_options(context, {name: context.params[name] for name in ("in_process", "tensorboard", "group_by")})
    options = RunOptions.of(of_file(in_process=True, tensorboard=True, scheduler="asha", group_by="seed"), **typed)
    assert (options.in_process, options.tensorboard, options.group_by) == (False, False, None)
    flag = next(each for each in run_command.params if each.name == "tensorboard")
    assert typed_words(context, flag) == ["--no-tensorboard"]


def test_none_leaves_a_scheduler_out_but_is_also_a_name():
    context = run_command.make_context("run", ["file.py", "--scheduler", "none", "--name", "none", "--wandb", "none"])
    options = {name: value for name, value in context.params.items() if name not in ("file", "settings")}
    assert given_options(context, options) == {"scheduler": None, "name": "none", "wandb": "none"}


@pytest.mark.parametrize(
    ("run_options", "problem"),
    [
        ({"schedule": "asha"}, r"^Unknown option of run_options 'schedule'\. Did you mean 'scheduler'"),
        (
            {"fresh": True},
            r"^run_options must not give storage, .* one command or call, got 'fresh'",
        ),
        ({"grace": 2}, r"^grace needs a rule of early stopping\. Give scheduler='asha'"),
        ({"searcher": "grid"}, r"^Unknown searcher 'grid'\. "),
        ({"searcher": "optuna", "repeats": 0}, r"^repeats must be a whole number of at least 1, got 0"),
        ({"searcher": "optuna", "objectives": ["val_acc", "val_acc"]}, r"^objectives must be different columns"),
        ({"searcher": "optuna", "objectives": None}, r"^objectives must be names of columns, .* got None\.$"),
        ({"searcher": "optuna", "objectives": 1}, r"^objectives must be names of columns, .* got 1\.$"),
        ({"searcher": "optuna", "objectives": [""]}, r"^objectives must be names of columns, .* got \[''\]\.$"),
        ({"graze": 2, "packs": 8, "limit": 3}, r"^Unknown .* 'graze'.*\nUnknown .* 'packs'.*\nrun_options must not"),
        ({"pack": "x", "max_failures": -1, "repeats": 2}, r"(?s)^max_failures must .*\npack must .*\nrepeats needs "),
    ],
)
def test_wrong_options_of_an_experiment_are_refused(run_options, problem):
    with pytest.raises(ExperimentError, match=problem):
        RunOptions.of(of_file(**run_options))


def test_run_options_must_be_a_dict():
    with pytest.raises(ExperimentError, match=r"^run_options must be a dict of options and values, got 'asha'"):
        Experiment("few", "Which?", {"dataset_name": "digits"}, run_options="asha")


def test_one_objective_may_be_a_text():
    assert RunOptions(searcher="optuna", objectives="val_loss_min").searching.objectives == ("val_loss_min",)
