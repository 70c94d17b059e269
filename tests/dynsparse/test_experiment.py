"""What a user's file defines, and the message where it defines no experiment."""

import doctest
import os
import sys

import pytest

from dynsparse import experiment as experiment_module
from dynsparse.experiment import Experiment, ExperimentError, load_experiment


def test_the_example_of_the_docstring_runs():
    results = doctest.testmod(experiment_module)
    assert results.attempted == 3 and results.failed == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a/b"}, "name must be a valid folder name (no / or \\, no leading dot), got 'a/b'."),
        ({"name": ".a"}, "name must be a valid folder name (no / or \\, no leading dot), got '.a'."),
        ({"name": " "}, "name must be a valid folder name (no / or \\, no leading dot), got ' '."),
        ({"name": 3}, "name must be a valid folder name (no / or \\, no leading dot), got 3."),
        ({"space": 3}, "space must be a dict of keys and values, got 3."),
        ({"cpus_per_trial": -1}, "cpus_per_trial must be a number of at least 0, got -1."),
        ({"gpus_per_trial": "all"}, "gpus_per_trial must be a number of at least 0, got 'all'."),
    ],
)
def test_values_that_are_not_allowed(values, message):
    with pytest.raises(ExperimentError) as error:
        Experiment(**{"name": "name", "question": "question?", "space": {}, **values})
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("e.py", "x = 1\n1 / 0\n", r"e\.py cannot be imported: ZeroDivisionError: division by zero \(line 2\)"),
        ("e.py", "import nowhere_to_be_found", r"e\.py cannot be imported: ModuleNotFoundError: .* \(line 1\)"),
        ("e.py", "x = (\n", r"e\.py cannot be imported: SyntaxError: .* \(e.py, line 1\)"),
        ("e.py", "x = 1\n", r"e\.py defines no `experiment`\. Add experiment = Experiment\("),
        ("e.py", "experiment = 3\n", r"e\.py has an `experiment` that is 3\. Add"),
        ("e.txt", "experiment = 3\n", r"e\.txt' is not a Python file\. The name of an experiment file ends in \.py\.$"),
    ],
)
def test_a_file_that_is_no_experiment(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ExperimentError, match=message):
        load_experiment(tmp_path / name)


def test_a_file_that_does_not_exist(tmp_path):
    (tmp_path / "other.py").touch()
    with pytest.raises(
        ExperimentError, match=r"^The experiment file '.*e\.py' does not exist\. Files in .*: other\.py\.$"
    ):
        load_experiment(tmp_path / "e.py")


def test_a_file_that_is_edited_within_the_second_is_loaded_as_it_is_now(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "e.py"
    for seed in (1, 2):
        path.write_text(
            "from dynsparse.experiment import Experiment\n"
            f"experiment = Experiment(name='e', question='?', space=dict(seed={seed}), epochs=1)\n"
        )
        os.utime(path, (1_000_000_000, 1_000_000_000))
        assert load_experiment(path).space["seed"] == seed
    assert list(tmp_path.iterdir()) == [path]
