"""The command run: what it warns of, what it suggests, and how it exits."""

import subprocess
import sys
from pathlib import Path

import pytest
from ray.tune import grid_search
from ray.tune.schedulers import FIFOScheduler
from support.command_line import ARMS, GRID, invoke

import analysis
from dynsparse.cli import trials
from dynsparse.cli.outcome import learning_note
from dynsparse.experiment import Experiment
from dynsparse.tune import run


class StopsSlowTrials(FIFOScheduler):
    """Stops the trials that do not learn."""

    def on_trial_result(self, tune_controller, trial, result):
        return self.STOP if trial.config["learning_rate"] < 1e-6 else self.CONTINUE


def test_a_run_says_which_trials_have_not_learned(grid, tmp_path):
    Path(grid).write_text(
        GRID.replace("percent_on=", "model='SET', learning_rate=").replace("[0.2, 0.3]", "[1e-9, 0.1]")
    )
    result = invoke("run", grid, "--storage", str(tmp_path), "--in-process", "--set", "epochs=1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[-2].startswith("all 4 trials are complete; 2 of 4 complete trials never left chance level")
    assert "learning_rate=1e-09 (2 of 2)" in lines[-2] and lines[-1].startswith("next:  dynsparse table ")
    result = invoke(
        "run", grid, "--storage", str(tmp_path), "--in-process", "--set", "learning_rate=0.1", "--set", "epochs=1"
    )
    assert "chance" not in result.stdout and "2 trials complete" in result.stdout


def test_trials_that_were_stopped_at_chance_level_are_only_counted(tmp_path):
    space = {"dataset_name": "digits", "model": "SET", "learning_rate": grid_search([1e-9, 0.1])}
    experiment = Experiment("rates", "Which?", space, epochs=2)
    outcome = run(experiment, tmp_path, in_process=True, scheduler=StopsSlowTrials())
    assert (outcome.n_complete, outcome.n_stopped) == (1, 1)
    assert analysis.load(outcome.path)["at_chance"].tolist() == [True, False]
    assert learning_note(outcome.path, experiment.configs()) == ""


def test_ctrl_c_before_a_run_has_begun_ends_it_with_130(monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "read_experiment", interrupted)
    result = invoke("run", "experiments/quickstart.py")
    assert result.exit_code == 130 and result.output.endswith("stopped\n")


def test_an_experiment_file_runs_as_a_script_and_fails_with_exit_code_1(tmp_path):
    (tmp_path / "fails.py").write_text(
        "import sys\n"
        "from dynsparse.experiment import Experiment\n"
        "space = dict(dataset_name='digits', rules='legacy_2019', hidden_sizes=[3], on_perc=0.05)\n"
        "experiment = Experiment(name='fails', question='Does it?', space=space, epochs=5)\n"
        "if __name__ == '__main__':\n"
        "    from dynsparse.cli import main\n"
        "    main(['run', __file__, *sys.argv[1:]])\n"
    )
    result = subprocess.run(
        [sys.executable, "fails.py", "--storage", "here", "--in-process"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 1, result.stderr
    assert "1 trial failed:" in result.stdout
    assert "all of them:  dynsparse failures here/fails\n" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("key", "others"), [("batch_size", []), ("score_examples", ["--set", "model=SNIP", "--set", "on_perc=0.2"])]
)
def test_more_examples_than_the_training_set_has_are_refused(grid, tmp_path, key, others):
    words = ["--set", f"{key}=64,1438", *others, "--storage", str(tmp_path), "--in-process"]
    result = invoke("run", grid, *words)
    assert result.exit_code == 2
    assert f"{key} must be at most the number of training examples, 1437 with dataset_name" in result.stderr
    assert f"got 1438. Lower {key}.\n" in result.stderr


def test_a_run_names_keys_that_no_trial_reads(grid, tmp_path):
    words = ["--set", "overlap_limit=0.5", "--storage", str(tmp_path), "--in-process", "--limit", "1"]
    result = invoke("run", grid, *words)
    assert result.exit_code == 0, result.stderr
    assert "warning: these keys have no effect, because no trial reads them: overlap_limit\n" in result.stderr


def test_a_run_says_which_trials_have_no_mask_update(tmp_path):
    file = tmp_path / "arms.py"
    file.write_text(ARMS.replace("epochs=2", "epochs=1"))
    short = ["--set", "model=RigL,SparseModel", "--set", "warmup_epochs=0", "--set", "lr_schedule=constant"]
    few = ["--set", "pruning_interval_steps=100", "--storage", str(tmp_path), "--in-process"]
    result = invoke("run", file, *short, *few)
    assert result.exit_code == 0, result.stderr
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: model=")]
    assert warnings == [
        "warning: model='RigL' keeps its first masks: no update is due with pruning_interval_steps=100 and "
        "pruning_end=1 in 1 epoch of 23 steps. Lower the interval, or raise epochs or the end of the updates."
    ]
    result = invoke("run", file, *short, "--set", "pruning_interval_steps=20", *few[2:], "--fresh")
    assert result.exit_code == 0 and "keeps its first masks" not in result.stderr


@pytest.mark.usefixtures("blobs")
def test_the_table_that_is_suggested_names_no_key_that_follows_another(grid, tmp_path):
    words = ["--set", "dataset_name=digits,blobs", "--set", "kwinners=False", "--set", "percent_on=0.3"]
    result = invoke(
        "run",
        grid,
        *words,
        "--set",
        "epochs=1",
        "--set",
        "hidden_sizes=(10,)",
        "--storage",
        str(tmp_path),
        "--in-process",
    )
    assert result.exit_code == 0, result.stderr
    assert "--rows dataset_name --metric" in result.stdout
