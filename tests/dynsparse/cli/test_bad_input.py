"""Bad input to `dynsparse run`: the message names the thing and the fix, the exit code is 2, and nothing is written."""

import pytest
from click.testing import CliRunner

from dynsparse.cli import main

FILE = """
from ray import tune
from dynsparse.experiment import Experiment

experiment = Experiment(name="bad", question="Is it refused?", space=dict({space}), epochs=1)
"""
SMALL = "dataset_name='digits', hidden_sizes=[10]"

# What the file says, the arguments, and what is answered.
CASES = {
    "does not exist": (None, [], ["The experiment file 'no_such.py' does not exist."]),
    "does not import": ("import a_module_of_nobody", [], ["cannot be imported: ModuleNotFoundError", "(line 1)"]),
    "is no Python": ("experiment = = 1", [], ["cannot be imported: SyntaxError", "(bad.py, line 1)"]),
    "has no experiment": ("other = 1", [], ["defines no `experiment`. Add experiment = Experiment("]),
    "an empty grid": (
        FILE.format(space=f"{SMALL}, seed=tune.grid_search([])"),
        [],
        ["seed: tune.grid_search([]) has no values"],
    ),
    "an unknown key": (
        FILE.format(space=f"{SMALL}, on_prec=0.1"),
        [],
        ["Unknown key 'on_prec'. Did you mean 'on_perc'?"],
    ),
    "an axis that nobody reads": (
        FILE.format(space=f"{SMALL}, network='MLP', kwinners=tune.grid_search([True, False])"),
        [],
        ["The axis kwinners has no effect", "Give kwinners a single value, or list it in the experiment's `inert`"],
    ),
    "values out of range, all at once": (
        FILE.format(space=f"{SMALL}, on_perc=2, weight_prune_perc=tune.grid_search([-1, 0.3, 7]), learning_rate='x'"),
        [],
        [
            "on_perc must be in (0, 1], got 2",
            "weight_prune_perc must be in [0, 1], got -1",
            "weight_prune_perc must be in [0, 1], got 7",
            "learning_rate must be",
        ],
    ),
    "a storage in a file": (
        FILE.format(space=SMALL),
        ["--storage", "{tmp}/bad.py"],
        ["bad.py/bad cannot be", "--storage"],
    ),
    "a storage that cannot be written": (
        FILE.format(space=SMALL),
        ["--storage", "/proc/here", "--in-process"],
        ["The storage /proc/here/bad cannot be written", "Pass another --storage"],
    ),
    "a store that Ray does not know": (
        FILE.format(space=SMALL),
        ["--storage", "nfs://here"],
        ["nfs://here", "--storage"],
    ),
    "more CPUs than there are": (
        FILE.format(space=SMALL),
        ["--cpus-per-trial", "1000"],
        ["A trial asks for 1000 CPUs, and no node has more than", "Lower --cpus-per-trial"],
    ),
    "more GPUs than there are": (
        FILE.format(space=f"{SMALL}, device='cuda'"),
        ["--gpus-per-trial", "1000"],
        ["A trial asks for 1000 GPUs, and no node has more than", "Lower --gpus-per-trial"],
    ),
    "a cluster that is not there": (
        FILE.format(space=SMALL),
        ["--address", "127.0.0.1:1"],
        ["No Ray cluster answers at '127.0.0.1:1'", "or leave out --address"],
    ),
}
MARKS = {
    "a cluster that is not there": pytest.mark.ray,
    "more CPUs than there are": [pytest.mark.ray, pytest.mark.faults],
    "more GPUs than there are": [pytest.mark.ray, pytest.mark.faults],
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=MARKS.get(case, ())) for case in CASES],
)
def test_bad_input(case, tmp_path, monkeypatch):
    content, arguments, messages = CASES[case]
    monkeypatch.chdir(tmp_path)
    name = "bad.py" if content is not None else "no_such.py"
    if content is not None:
        (tmp_path / name).write_text(content)
    result = CliRunner().invoke(main, ["run", name, *(each.format(tmp=tmp_path) for each in arguments)])
    print(result.output)
    assert result.exit_code == 2, (result.output, result.exception)
    assert all(message in result.output for message in messages), result.output
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == ({name} if content is not None else set())


def test_a_data_set_that_is_missing_without_a_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Whatever a machine has: here no server answers.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "bad.py").write_text(FILE.format(space="dataset_name='KMNIST'"))
    result = CliRunner().invoke(main, ["run", "bad.py"])
    print(result.output)
    assert result.exit_code == 2, (result.output, result.exception)
    assert "KMNIST" in result.output and str(tmp_path / "data") in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"bad.py"}
