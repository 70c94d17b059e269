"""Searches with Optuna: proposals, objectives, resume and bad input, with the real library and real trials."""

import math
import subprocess
import sys
from dataclasses import replace

import optuna
import pytest
from click.testing import CliRunner
from ray import tune as ray_tune

import analysis
from analysis.statistics.ranking import is_better_low
from dynsparse.cli import main
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.io.storage import open_folder
from dynsparse.search.objectives import direction, has_diverged, value_of
from dynsparse.search.optuna_study import JOURNAL, OptunaStudy
from dynsparse.tune import RunOptions, run, search

FIXED = {"dataset_name": "digits", "model": "SET", "hidden_sizes": [12], "batch_size": 64, "val_fraction": 0.2,
         "test_noise": False}  # fmt: skip


def experiment(n, name="searched", epochs=1, **space):
    drawn = {"learning_rate": ray_tune.loguniform(1e-3, 0.5), "on_perc": ray_tune.uniform(0.05, 0.5)}
    return Experiment(name, "Which?", {**FIXED, **(space or drawn)}, epochs=epochs, num_samples=n)


def run_search(storage, n, repeats=1, objectives=("val_acc_max",), experiment_values=None, **options):
    of_search = {"searcher": "optuna", "repeats": repeats, "objectives": objectives}
    options = RunOptions(storage=storage, in_process=True, **of_search, **options)
    return search(experiment(n, **(experiment_values or {})), options)


def settings(found):
    return [(config.learning_rate, config.on_perc, config.seed) for config in found.configs]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    storage = tmp_path_factory.mktemp("whole")
    return run_search(storage, 13, repeats=2), storage / "searched"


def test_each_setting_has_its_seeds_and_the_best_is_the_best_mean(whole):
    found, folder = whole
    df = analysis.load(folder)
    assert (len(df), sorted(df["seed"].unique()), found.outcome.n_complete) == (26, [0, 1], 26)
    means = df.groupby("learning_rate")["val_acc_max"].mean()
    [(values, reached)] = found.outcome.best
    assert reached["val_acc_max"] == pytest.approx(means.max())
    assert values["learning_rate"] == means.idxmax()


def test_the_journal_is_one_that_optuna_reads(whole):
    _, folder = whole
    backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(backend))
    assert [each.state.name for each in study.trials] == ["COMPLETE"] * 13
    means = analysis.load(folder).groupby("learning_rate")["val_acc_max"].mean()
    assert sorted(each.value for each in study.trials) == pytest.approx(sorted(means))


def test_a_search_in_parts_proposes_what_a_whole_one_does(whole, tmp_path):
    found, _ = whole
    run_search(tmp_path, 4, repeats=2)
    # Beyond the ten random proposals with which Optuna's sampler begins.
    assert settings(run_search(tmp_path, 13, repeats=2)) == settings(found)


def test_a_proposal_whose_trials_were_interrupted_is_finished_first(whole, tmp_path):
    found, _ = whole
    space = experiment(1).space
    run_search(tmp_path, 3, repeats=2)
    # As if the process had been killed after the fourth proposal, and in the middle of the fifth.
    study = OptunaStudy(space, ["val_acc_max"], 0, open_folder(str(tmp_path / "searched")))
    study.propose()
    assert study.waiting() == [3]
    resumed = run_search(tmp_path, 13, repeats=2)
    assert settings(resumed) == settings(found)
    assert resumed.outcome.n_complete == 26


def test_proposals_learn(tmp_path):
    # One key decides: at 1e-7 nothing is learned. After six random proposals, most are in the good half.
    wide = {"learning_rate": ray_tune.loguniform(1e-7, 0.5)}
    found = run_search(tmp_path, 22, experiment_values=wide)
    rates = [config.learning_rate for config in found.configs]
    assert sum(rate > 0.01 for rate in rates[10:]) > sum(rate > 0.01 for rate in rates[:10]) + 2


def test_every_domain_is_proposed_within_its_bounds(tmp_path):
    space = {
        "hidden_sizes": [ray_tune.randint(2, 6), ray_tune.qrandint(4, 12, 4)],
        "learning_rate": ray_tune.quniform(0.1, 0.5, 0.1),
        "momentum": ray_tune.uniform(0, 0.9),
        "batch_size": ray_tune.lograndint(16, 65),
        "weight_decay": ray_tune.qloguniform(1e-4, 1e-2, 1e-4),
        "arm": ray_tune.choice([{"model": "RigL", "weight_prune_perc": ray_tune.uniform(0.1, 0.3)}, {"model": "SET"}]),
    }
    folder = tmp_path / "study"
    study = OptunaStudy(space, ["val_acc_max"], 0, open_folder(str(folder)))
    for number in range(30):
        study.propose()
        study.tell(number, [number / 30])
    drawn = list(study.settings().values())
    assert {tuple(each["hidden_sizes"]) for each in drawn} <= {(a, b) for a in range(2, 6) for b in (4, 8, 12)}
    assert {each["learning_rate"] for each in drawn} == {0.1, 0.2, 0.3, 0.4, 0.5}
    assert all(16 <= each["batch_size"] <= 64 and isinstance(each["batch_size"], int) for each in drawn)
    assert all(round(each["weight_decay"] * 1e4, 6).is_integer() for each in drawn)
    arms = [each["arm"] for each in drawn]
    assert {each["model"] for each in arms} == {"RigL", "SET"}
    assert all(0.1 <= each["weight_prune_perc"] <= 0.3 for each in arms if each["model"] == "RigL")


def test_two_objectives_give_a_front(tmp_path):
    found = run_search(tmp_path, 6, objectives=("val_acc_max", "flops_inference"))
    values = [reached for _, reached in found.outcome.best]
    assert len(values) >= 1
    for accuracy, flops in map(dict.values, values):
        assert not any(
            a >= accuracy and f <= flops and (a, f) != (accuracy, flops) for a, f in map(dict.values, values)
        )
    df = analysis.load(tmp_path / "searched")
    assert df["flops_inference"].min() in [reached["flops_inference"] for reached in values]
    problem = r"^The objectives must be those of the search in .* \(val_acc_max, flops_inference\), got val_acc_max\."
    with pytest.raises(ExperimentError, match=problem):
        run_search(tmp_path, 6)
    # Of the same directions, but another quantity.
    with pytest.raises(ExperimentError, match=r"got test_acc_max, flops_inference\."):
        run_search(tmp_path, 6, objectives=("test_acc_max", "flops_inference"))


def test_an_objective_that_no_trial_logs_is_refused_and_the_command_can_be_corrected(tmp_path):
    with pytest.raises(ExperimentError, match=r"^The objective 'val_accuracy_max' .* Unknown column 'val_accuracy'\."):
        run_search(tmp_path, 2, objectives=("val_accuracy_max",))
    assert not list(tmp_path.iterdir())
    found = run_search(tmp_path, 2)
    assert found.outcome.n_complete == 2 and len(found.outcome.best) == 1


def test_a_limit_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match=r"^limit must not be given with searcher='optuna', got 1: "):
        run_search(tmp_path, 2, limit=1)


def test_options_that_a_search_cannot_follow_are_refused(tmp_path):
    with pytest.raises(ExperimentError, match=r"^retry_failed must not be given with searcher='optuna': it has been"):
        run_search(tmp_path, 2, retry_failed=True)
    with pytest.raises(ExperimentError, match=r"^scheduler='asha' must not be given with 2 objectives: trials that"):
        run_search(tmp_path, 2, objectives=("val_acc_max", "flops_inference"), scheduler="asha")
    assert not list(tmp_path.glob("*/trial_*"))


def test_the_directions_of_objectives_are_those_of_the_analysis():
    names = ("val_acc_max", "val_loss", "test_r2_last", "val_rmse_min", "val_ece", "dead_units_l0", "flops_inference")
    lows = {name for name in names if is_better_low(name)}
    assert {name for name in names if direction(name) == "minimize"} == lows


def test_a_storage_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "searched").mkdir()
    (tmp_path / "searched" / ".search").write_text("a file in place of the folder")
    with pytest.raises(ExperimentError, match=r"^The storage .*/searched cannot be written: .*Pass another --storage"):
        run_search(tmp_path, 2)


def test_a_seed_cannot_be_set_beside_repeats(tmp_path):
    options = RunOptions(storage=tmp_path, in_process=True, searcher="optuna")
    with pytest.raises(ExperimentError, match="sets the seeds itself"):
        search(experiment(1), replace(options, repeats=2), {"seed": [7]})
    found = search(experiment(1), options, {"seed": [7]})
    assert [config.seed for config in found.configs] == [7]


def test_with_a_scheduler_settings_stop_early_and_are_counted(tmp_path):
    found = run_search(
        tmp_path, 6, repeats=2, scheduler="asha", group_by="seed", reduction_factor=2, experiment_values={"epochs": 3}
    )
    df = analysis.load(tmp_path / "searched")
    counts = df["status"].value_counts()
    assert (counts["complete"], counts["stopped"]) == (found.outcome.n_complete, found.outcome.n_stopped)
    assert counts["stopped"] >= 2 and (df.groupby("learning_rate")["status"].nunique() == 1).all()
    again = run_search(
        tmp_path, 6, repeats=2, scheduler="asha", group_by="seed", reduction_factor=2, experiment_values={"epochs": 3}
    )
    assert settings(again) == settings(found) and again.outcome.best == found.outcome.best


@pytest.mark.faults
def test_with_ray_settings_are_trained_in_batches(tmp_path):
    found = run(experiment(4), tmp_path, searcher="optuna", cpus_per_trial=1)
    assert found.n_complete == 4 and len(found.best) == 1
    assert analysis.load(tmp_path / "searched")["learning_rate"].nunique() == 4


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ({"learning_rate": 0.1}, r"proposes values of domains, and the space has none\. Give some"),
        ({"learning_rate": ray_tune.uniform(0, 1), "seed": ray_tune.grid_search([0, 1])}, r"sets the seeds itself"),
        (
            {"learning_rate": ray_tune.uniform(0, 1), "on_perc": ray_tune.grid_search([0.1, 1])},
            r"the grid of on_perc\.",
        ),
        (
            {"arm": ray_tune.choice([{"learning_rate": ray_tune.randn(0, 1)}, {"learning_rate": 0.1}])},
            r"^learning_rate must have bounds for searcher='optuna'",
        ),
        ({"learning_rate": ray_tune.uniform(0.5, 0.1)}, r"^learning_rate must be drawn between .* got 0\.5 and 0\.1"),
        (
            {"learning_rate": ray_tune.uniform(0, 1), "hebbian_prune_perc": ray_tune.uniform(0.1, 0.5)},
            r"^The axis hebbian_prune_perc has no effect",
        ),
    ],
)
def test_spaces_that_cannot_be_searched_are_refused(tmp_path, space, problem):
    with pytest.raises(ExperimentError, match=problem):
        run_search(tmp_path, 2, experiment_values=space)
    assert not list(tmp_path.iterdir())


def test_a_setting_that_is_proposed_twice_is_the_best_once(tmp_path):
    outcome = run_search(tmp_path, 3, experiment_values={"learning_rate": ray_tune.choice([0.1])}).outcome
    assert [setting for setting, _ in outcome.best] == [{"learning_rate": 0.1}]


@pytest.mark.parametrize("objectives", [("val_acc_max",), ("val_acc_max", "flops_train_last")])
def test_a_setting_that_diverges_is_never_the_best(tmp_path, objectives, capsys):
    # The accuracy of a diverged trial is that of a class, and finite.
    space = {"learning_rate": ray_tune.choice([1e8, 1e9])}
    found = run_search(tmp_path, 3, objectives=objectives, experiment_values=space)
    assert found.outcome.best == []
    assert capsys.readouterr().err.count(": diverged\n") == 3
    df = analysis.load(tmp_path / "searched")
    assert df["diverged"].all() and df["val_acc_max"].notna().all()
    space = {"learning_rate": ray_tune.choice([0.1, 1e9])}
    mixed = run_search(tmp_path, 6, objectives=objectives, name="mixed", experiment_values=space)
    assert {values["learning_rate"] for values, _ in mixed.outcome.best} == {0.1}


def test_a_space_that_has_changed_is_refused(tmp_path):
    run_search(tmp_path, 2)
    more = {"learning_rate": ray_tune.loguniform(1e-3, 0.5), "momentum": ray_tune.uniform(0, 0.9)}
    with pytest.raises(ExperimentError, match=r"has no value of momentum: the space has changed since"):
        run_search(tmp_path, 3, experiment_values=more)


def test_a_choice_that_has_changed_is_refused(tmp_path):
    def choice(*models):
        return {"model": ray_tune.choice([{"model": each, "on_perc": ray_tune.uniform(0.1, 0.3)} for each in models])}

    first = run_search(tmp_path, 3, experiment_values=choice("SET", "RigL"))
    again = run_search(tmp_path, 3, experiment_values=choice("SET", "RigL"))
    assert [config.model for config in again.configs] == [config.model for config in first.configs]
    for models, problem in (
        (("MEST", "SNFS"), "setting 1 has others: the space"),
        (("SNFS",), "has no value of model: "),
    ):
        with pytest.raises(ExperimentError, match=problem):
            run_search(tmp_path, 3, experiment_values=choice(*models))


def test_a_missing_library_is_named_with_its_extra(tmp_path):
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from dynsparse.search.optuna_study import OptunaStudy\n"
        "from dynsparse.io.storage import open_folder\n"
        "OptunaStudy({}, ['val_acc_max'], 0, open_folder(sys.argv[1]))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "ExperimentError: searcher='optuna' needs the package optuna" in result.stderr
    assert "pip install 'dynsparse[search]'" in result.stderr


def test_the_command_line_searches_and_prints_the_best(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.py").write_text(
        "from ray import tune\nfrom dynsparse import Experiment\n"
        "space = dict(dataset_name='digits', model='SET', hidden_sizes=[8], val_fraction=0.2,\n"
        "             learning_rate=tune.loguniform(0.01, 1))\n"
        "experiment = Experiment('few', 'Which?', space, epochs=1)\n"
    )
    words = ["run", "few.py", "--in-process", "--searcher", "optuna", "--num-samples", "3", "--repeats", "2"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert result.output.count("setting ") == 3
    assert "\nbest:\n  learning_rate=" in result.output
    assert "6 trials complete" in result.output
    refused = CliRunner().invoke(main, ["run", "few.py", "--repeats", "2"])
    assert refused.exit_code == 2 and "repeats needs a searcher. Give searcher='optuna'" in refused.output
    job = ["cluster-file", "slurm", "few.py", "--storage", "/shared/x", "--shared", "--searcher", "optuna"]
    refused = CliRunner().invoke(main, [*job, "--set", "seed=0,1"])
    assert refused.exit_code == 2 and "searcher='optuna' sets the seeds itself" in refused.output
    text = CliRunner().invoke(main, [*job, "--objective", "val_acc_max", "--objective", "flops_inference"]).output
    assert "--searcher optuna" in text and "--objective val_acc_max --objective flops_inference" in text


def test_a_trial_has_diverged_if_a_loss_is_not_finite_where_it_was_last_logged():
    assert has_diverged([{"train_loss": 1.0, "val_loss": math.inf}])
    assert has_diverged([{"train_loss": 1.0}, {"train_loss": math.nan}])
    assert not has_diverged([{"train_loss": math.nan}, {"train_loss": 1.0, "val_acc": math.nan}])
    # The second row has no val_loss, so that of the first one counts.
    assert has_diverged([{"val_loss": math.nan}, {"train_loss": 1.0}])


def test_objectives_are_summaries_of_rows():
    rows = [{"val_acc": 0.7, "flops_train": 1}, {"val_acc": float("nan")}, {"val_acc": 0.5, "flops_train": 2}]
    names = ("val_acc_max", "val_acc", "flops_train", "val_acc_last", "val_acc_min")
    assert [value_of(rows, name) for name in names] == [0.7, 0.5, 2, 0.5, 0.5]
    assert value_of([], "val_acc_max") != value_of([], "val_acc_max"), "NaN"
    low = (
        "train_loss_min",
        "flops_inference",
        "val_rmse_min",
        "test_ece",
        "density",
        "time_total_s",
        "cut_off_outputs",
    )
    assert {direction(name) for name in low} == {"minimize"}
    assert {direction(name) for name in ("val_acc_max", "val_r2_max", "is_connected")} == {"maximize"}


OF_FILE = """
from ray import tune
from dynsparse import Experiment

experiment = Experiment(
    name="few",
    question="Which?",
    space=dict(dataset_name="digits", model=tune.choice(["SET", "RigL"]), hidden_sizes=[8], val_fraction=0.2,
               learning_rate=tune.loguniform(0.01, 1)),
    epochs=2,
    num_samples=3,
    run_options=dict(searcher="optuna", repeats=2, scheduler="asha", group_by="seed", in_process=True),
)
"""


def test_an_experiment_file_may_ask_for_a_searcher(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.py").write_text(OF_FILE)
    shown = CliRunner().invoke(main, ["show", "few.py"]).output
    assert "3 settings proposed by optuna, each with 2 seeds: 6 trials of 2 epochs\n" in shown
    assert "  learning_rate            loguniform from 0.01 to 1\n" in shown
    assert "\nrun_options of the file\n  searcher                 optuna\n" in shown
    assert "  model                    choice of SET, RigL\n" in shown
    assert not [line for line in shown.partition("the same in all trials")[2].splitlines() if "model" in line]
    outcome = run("few.py")
    assert outcome.n_complete + outcome.n_stopped == 6
    [(values, reached)] = outcome.best
    assert set(values) == {"model", "learning_rate"} and set(reached) == {"val_acc_max"}
    typed = CliRunner().invoke(main, ["run", "few.py", "--num-samples", "4"])
    assert typed.exit_code == 0 and typed.output.count("setting ") == 1, "the three settings are known"


def test_options_that_are_typed_replace_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.py").write_text(OF_FILE)
    shown = CliRunner().invoke(main, ["show", "few.py", "--searcher", "none"])
    assert shown.output.splitlines()[2] == "3 trials of 2 epochs"
    result = CliRunner().invoke(main, ["run", "few.py", "--searcher", "none", "--scheduler", "none"])
    assert result.exit_code == 0 and "\n3 trials complete in " in result.output
    script = CliRunner().invoke(main, ["cluster-file", "slurm", "few.py", "--storage", "/shared/x", "--shared"])
    assert script.exit_code == 2 and "must not give in_process or address" in script.output
