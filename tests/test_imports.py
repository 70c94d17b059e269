"""Who may import what, seen in a fresh interpreter."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after some code."""
    shown = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    result = subprocess.run([sys.executable, "-c", f"{code}\n{shown}"], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_core_never_imports_ray_or_the_analysis():
    rooms = ("config", "training.trainer", "experiment", "planning.packs", "results.progress")
    core = "import " + ", ".join(f"dynsparse.{room}" for room in rooms)
    assert not modules_after(core) & {"ray", "analysis", "pandas"}


def test_training_runs_without_ray():
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from dynsparse.config import Config\n"
        "from dynsparse.training.trainer import Trainer\n"
        "Trainer([Config(dataset_name='digits', epochs=1)]).step()"
    )
    modules_after(code)


def test_analysis_never_imports_torch_ray_or_dynsparse():
    assert not modules_after("import analysis") & {"torch", "ray", "dynsparse"}


def test_help_imports_neither_torch_nor_ray():
    assert not modules_after("import dynsparse.cli") & {"torch", "ray", "pandas"}


def test_a_config_loads_neither_torchvision_nor_scikit_learn():
    assert not modules_after("from dynsparse.config import Config; Config()") & {"torchvision", "sklearn"}


def test_the_keys_can_be_listed_without_torch():
    assert "torch" not in modules_after("import dynsparse.config")


def test_importing_an_experiment_does_nothing(tmp_path):
    names = [f"experiments.{path.stem}" for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__"]
    loaded = modules_after(f"import os; os.chdir({str(tmp_path)!r}); import {', '.join(names)}")
    assert not list(tmp_path.iterdir())
    assert {"experiments", "dynsparse"} <= loaded


def test_nothing_imports_experiments_or_tests():
    for package in ("dynsparse", "analysis"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            assert "import experiments" not in text and "from experiments" not in text, path
            assert "import tests" not in text and "from tests" not in text, path
