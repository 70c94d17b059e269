"""Commands for a space with drawn values: they count samples, and resume and extend them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import analysis
from dynsparse.cli import main

FILE = """
from ray import tune
from dynsparse import Experiment

space = dict(dataset_name="digits", model="SET", hidden_sizes=[8], on_perc=tune.uniform(0.1, 0.5),
             seed=tune.grid_search([0, 1]))
experiment = Experiment("drawn", "Which density?", space, epochs=1, num_samples=2)
"""


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drawn.py").write_text(FILE)


def output_of(*words, code=0):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("drawn")
def test_show_counts_samples_and_shows_some_values():
    assert "\n4 trials of 1 epoch\n" in output_of("show", "drawn.py")
    output = output_of("show", "drawn.py", "--num-samples", "30")
    assert "\n60 trials of 1 epoch\n" in output
    [line] = [each for each in output.splitlines() if each.startswith("  on_perc")]
    assert line.count(", ") == 20 and line.endswith(", ... (30 values)")


@pytest.mark.usefixtures("drawn")
def test_the_same_command_resumes_and_more_samples_extend_the_run():
    output_of("run", "drawn.py", "--in-process")
    before = analysis.load("results/drawn").set_index("trial_id")["on_perc"]
    assert "2 trials" not in output_of("run", "drawn.py", "--in-process")
    output_of("run", "drawn.py", "--in-process", "--num-samples", "3")
    after = analysis.load("results/drawn").set_index("trial_id")["on_perc"]
    assert len(after) == 6
    assert after.loc[before.index].equals(before)
    assert sorted(after.groupby(after).size()) == [2, 2, 2], "each value has both seeds"


@pytest.mark.usefixtures("drawn")
def test_the_next_command_has_the_axes_of_the_grid_and_drawn_keys_only_without_any():
    one_drawn = output_of("run", "drawn.py", "--in-process").splitlines()[-1]
    assert one_drawn == "next:  dynsparse table results/drawn --rows on_perc --metric val_acc_max"
    more = "learning_rate=tune.uniform(0.1, 0.2), batch_size=tune.grid_search([32, 64])"
    Path("drawn.py").write_text(FILE.replace("seed=tune.grid_search([0, 1])", more))
    words = ("run", "drawn.py", "--in-process", "--name", "axis")
    assert " --rows batch_size --metric " in output_of(*words).splitlines()[-1]
    # A drawn key that is set to values is an axis.
    both = output_of(*words, "--set", "on_perc=0.1,0.2").splitlines()[-1]
    assert " --rows on_perc --columns batch_size --metric " in both


@pytest.mark.usefixtures("drawn")
def test_a_job_gets_the_number_of_samples():
    words = ["cluster-file", "slurm", "drawn.py", "--storage", "/shared/results", "--shared", "--num-samples", "3"]
    assert "--num-samples 3" in output_of(*words)
