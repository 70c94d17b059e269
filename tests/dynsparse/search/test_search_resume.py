"""Searches that are resumed after a change or a crash, and settings that cannot be trained."""

import math
import subprocess
import sys

import pytest
from ray import tune as ray_tune
from support.s3 import BUCKET, s3  # noqa: F401  # a fixture

from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.io.storage import open_folder
from dynsparse.results.lock import FILE, LockedError, LockLostError
from dynsparse.search.objectives import direction, value_of
from dynsparse.search.optuna_study import JOURNAL, OptunaStudy
from dynsparse.tune import RunOptions, search
from dynsparse.tune.search_run import LOCK_FOLDER

FIXED = {"dataset_name": "digits", "model": "SparseModel", "hidden_sizes": [8], "batch_size": 64, "val_fraction": 0.2,
         "test_noise": False}  # fmt: skip
RATES = {"learning_rate": ray_tune.loguniform(1e-3, 0.5)}


def run_search(storage, n, space=RATES, epochs=1, overrides=None, **options):
    experiment = Experiment("searched", "Which?", {**FIXED, **space}, epochs=epochs, num_samples=n)
    return search(experiment, RunOptions(storage=storage, in_process=True, searcher="optuna", **options), overrides)


def arms(*names):
    return {**RATES, "model": ray_tune.choice(list(names))}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"epochs": 2}),
        ({}, {"repeats": 2}),
        ({}, {"overrides": {"on_perc": 0.3}}),
        ({"space": arms("Dense", "SparseModel")}, {"space": arms("SparseModel", "Dense")}),
    ],
)
def test_results_of_other_trials_are_not_taken_for_those_of_a_changed_search(tmp_path, first, then):
    run_search(tmp_path, 2, **first)
    with pytest.raises(ExperimentError, match=r"setting 1 has others: the space, --set, --repeats"):
        run_search(tmp_path, 3, **{**first, **then})
    assert run_search(tmp_path, 3, **first).outcome.n_complete == 3


def test_a_longer_list_of_choices_is_refused(tmp_path):
    run_search(tmp_path, 2, space=arms("Dense", "SparseModel"))
    with pytest.raises(ExperimentError, match=r"another space: .*or give another --name"):
        run_search(tmp_path, 3, space=arms("Dense", "SparseModel", "SET"))


def test_fewer_samples_than_there_are_keep_all_results(tmp_path):
    first = run_search(tmp_path, 3)
    again = run_search(tmp_path, 1)
    assert (again.configs, again.outcome.best) == (first.configs, first.outcome.best)


def test_settings_that_are_not_allowed_have_failed_and_the_search_goes_on(tmp_path, capsys):
    # The density is above 1 in about three of four settings.
    space = {"on_perc": ray_tune.uniform(0.5, 2.5)}
    found = run_search(tmp_path, 6, space=space)
    assert capsys.readouterr().err.count("not allowed: on_perc must be in (0, 1], got") == 6 - len(found.configs)
    assert 1 <= len(found.configs) < 6
    assert all(config.on_perc <= 1 for config in found.configs)
    again = run_search(tmp_path, 6, space=space)
    assert (again.configs, again.outcome.best) == (found.configs, found.outcome.best)


def test_a_space_without_any_allowed_setting_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^on_perc must be in \(0, 1\]"):
        run_search(tmp_path, 2, space={"on_perc": ray_tune.uniform(2, 3)})


def test_a_search_whose_proposals_are_not_allowed_says_so_and_can_be_extended_with_other_objectives(tmp_path):
    # The first proposal is above 1.
    space = {"on_perc": ray_tune.uniform(0.5, 2.5)}
    with pytest.raises(ExperimentError, match=r"^No setting of the search is allowed: see above\."):
        run_search(tmp_path, 1, space=space, objectives=("val_acc_last",))
    found = run_search(tmp_path, 6, space=space)
    assert found.outcome.n_complete == len(found.configs) < 6 and found.outcome.best


def test_an_unknown_objective_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(ExperimentError, match=r"^The objective 'val_acx_max' .* 'val_acx'\. Did you mean 'val_acc'"):
        run_search(tmp_path, 3, objectives=("val_acx_max",))
    assert not list(tmp_path.iterdir())


def test_a_torn_line_of_a_killed_process_is_written_again(tmp_path):
    whole = run_search(tmp_path / "whole", 3)
    run_search(tmp_path, 2)
    journal = tmp_path / "searched" / JOURNAL
    # The last line is the result of the second setting.
    journal.write_bytes(journal.read_bytes()[:-20])
    assert OptunaStudy(RATES, ["val_acc_max"], 0, open_folder(str(journal.parent))).waiting() == [1]
    resumed = run_search(tmp_path, 3)
    assert (resumed.configs, resumed.outcome.best) == (whole.configs, whole.outcome.best)


def test_of_two_searches_in_a_folder_the_second_is_refused(tmp_path):
    code = (
        "import sys, time; from dynsparse.io.storage import open_folder; from dynsparse.results.lock import Lock\n"
        "from dynsparse.tune.search_run import LOCK_FOLDER\n"
        "with Lock(open_folder(sys.argv[1]).sub(LOCK_FOLDER)):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "searched")], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(
            LockedError, match=rf"searched/\.search is in use by process {other.pid} on .*\. Wait until it ends"
        ):
            run_search(tmp_path, 1)
        other.kill()
    assert run_search(tmp_path, 1).outcome.n_complete == 1


class TakesOver(ray_tune.Callback):
    """Takes the lock of a search over when its first trials have ended, as another process would."""

    def __init__(self, folder):
        self.lock = folder / LOCK_FOLDER / FILE

    def on_experiment_end(self, trials, **info):
        self.lock.write_text('{"token": "other"}')


def test_a_search_that_has_lost_its_lock_writes_no_result_into_the_journal(tmp_path):
    folder = tmp_path / "searched"
    with pytest.raises(LockLostError, match=r"was taken over by"):
        run_search(tmp_path, 2, callbacks=[TakesOver(folder)])
    assert OptunaStudy(RATES, ["val_acc_max"], 0, open_folder(str(folder))).waiting() == [0]


def test_a_search_in_an_object_store_goes_on(s3, tmp_path):  # noqa: F811
    store = f"s3://{BUCKET}/{tmp_path.name}"
    run_search(store, 2)
    assert run_search(store, 3).outcome.best == run_search(tmp_path, 3).outcome.best
    content = open_folder(f"{store}/searched").read(JOURNAL)
    assert content is not None
    assert len(content.splitlines()) > 10


@pytest.mark.parametrize("damage", [b"no JSON\n", b"\xff\xfe\n", b"[]\n", b'{"op_code": 99}\n'])
def test_a_damaged_journal_is_named(tmp_path, damage):
    run_search(tmp_path, 1)
    journal = tmp_path / "searched" / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], damage, *lines[1:]]))
    with pytest.raises(ExperimentError, match=rf"^The journal .*{JOURNAL} must be one that Optuna has written"):
        run_search(tmp_path, 2)


def test_the_last_value_of_a_loss_that_has_diverged_is_nan():
    rows = [{"val_loss": 0.5}, {"val_loss": math.nan}]
    assert math.isnan(value_of(rows, "val_loss")) and math.isnan(value_of(rows, "val_loss_last"))
    assert value_of(rows, "val_loss_min") == 0.5


@pytest.mark.parametrize(
    "name", ["val_loss", "val_rmse_min", "flops_train", "dead_units_l0", "train_seconds", "val_ece"]
)
def test_costs_are_minimized(name):
    assert direction(name) == "minimize"


@pytest.mark.parametrize("name", ["val_acc_max", "val_r2", "explored", "recent_acc"])
def test_scores_are_maximized(name):
    assert direction(name) == "maximize"
