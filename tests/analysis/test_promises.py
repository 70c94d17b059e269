"""What importing and loading must not do."""

import importlib
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from support.import_graph import modules
from support.trial_folders import write_trial

import analysis
from analysis.loading.cache import NAME
from analysis.loading.trial_dir import OUR_FILES, TRIAL_FILES

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys, warnings
import pandas
filters, display = list(warnings.filters), pandas.describe_option(_print_desc=False)
import analysis
analysis.load(sys.argv[1])
unwanted = {"torch", "ray", "dynsparse", "matplotlib", "scipy"} & set(sys.modules)
assert not unwanted, unwanted
assert warnings.filters == filters
assert pandas.describe_option(_print_desc=False) == display
"""


def test_a_fresh_interpreter_loads_neither_torch_nor_ray_nor_dynsparse(notebook_run: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(notebook_run)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


class Payload:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


OF_TRIAL = (*TRIAL_FILES, *OUR_FILES, "checkpoint_000001.pt")
OF_EXPERIMENT = ("experiment_state-1.json", NAME, "tuner.pkl")


@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("name", [*OF_TRIAL, *OF_EXPERIMENT])
def test_nothing_is_unpickled(tmp_path: Path, name: str, protocol: int) -> None:
    trap, experiment = tmp_path / "trap", tmp_path / "run"
    payload = pickle.dumps(Payload(trap), protocol)
    pickle.loads(payload)
    assert trap.exists(), "the payload works"
    trap.unlink()
    trial = write_trial(experiment / "T_0", {"on_perc": 0.1}, {"val_acc": [0.5]})
    write_trial(experiment / "T_1", {"on_perc": 0.2}, {"val_acc": [0.6]})
    (experiment / name if name in OF_EXPERIMENT else trial / name).write_bytes(payload)
    assert len(analysis.load(experiment)) == 2
    assert 0.2 in set(analysis.load_history(experiment)["on_perc"])
    assert not trap.exists()


def test_no_module_is_shadowed_by_a_function_of_the_same_name() -> None:
    """Otherwise `analysis.x` would be the function, while `import analysis.x.y` needs the module."""
    shadowed = []
    for module in modules(ROOT, "analysis"):
        parent, _, name = module.rpartition(".")
        if parent:
            importlib.import_module(module)
            if not inspect.ismodule(getattr(importlib.import_module(parent), name)):
                shadowed.append(module)
    assert not shadowed
