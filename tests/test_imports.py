"""The import rules: what a fresh interpreter has loaded, and every import of every file."""

import ast
import json
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from support.import_graph import imports, modules

import analysis
import dynsparse
from dynsparse import tune
from dynsparse.config import Config
from dynsparse.experiment import Experiment

ROOT = Path(__file__).parents[1]
# The rooms of each package from top to bottom: a room imports only rooms that come after it.
ROOMS = {
    "dynsparse": (
        "cli", "cluster", "export", "tune", "search", "results", "training", "engines", "experiment",
        "grid", "sampling", "planning", "studies", "pruning", "methods", "nn", "data", "ops", "io", "config", "random",
    ),
    "analysis": ("output", "plots", "pruning", "statistics", "loading", "frame"),
}  # fmt: skip


def room_of(module: str) -> str:
    """The room of a module; empty for the package itself, which re-exports names and stands outside the order."""
    return module.partition(".")[2].partition(".")[0]


def upward_imports(root: Path, package: str, rooms: tuple[str, ...]) -> set[tuple[str, str]]:
    """Pairs of importer and imported module that break the order of the rooms. Raises: ValueError for another room."""
    place = {room: number for number, room in enumerate(rooms)}
    unknown = {room_of(module) for module in modules(root, package)} - place.keys() - {""}
    if unknown:
        raise ValueError(f"add the new rooms of {package} to ROOMS and to the design: {sorted(unknown)}")
    pairs = {(each.importer, each.imported) for each in imports(root, package)}
    return {(a, b) for a, b in pairs if room_of(a) and room_of(b) and place[room_of(b)] < place[room_of(a)]}


def cycle(root: Path, package: str) -> list[str]:
    """The modules of one import cycle; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for each in imports(root, package):
        graph.setdefault(each.importer, set()).add(each.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_only_rooms_below_it(package):
    assert upward_imports(ROOT, package, ROOMS[package]) == set()


@pytest.mark.parametrize("package", ROOMS)
def test_no_files_import_each_other_in_a_cycle(package):
    assert cycle(ROOT, package) == []


def test_only_config_names_objects_of_other_rooms_as_text():
    named = set()
    for module, path in modules(ROOT, "dynsparse").items():
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        if any(isinstance(text, str) and re.fullmatch(r"dynsparse(\.\w+)+:\w+", text) for text in texts):
            named.add(module)
    assert named == {"dynsparse.config.config"}


@pytest.mark.parametrize(
    ("importer", "line", "imported"),
    [
        ("low/a.py", "import package.high.b", "package.high.b"),
        ("low/a.py", "from package.high import b", "package.high.b"),
        ("low/a.py", "from package.high.b import name", "package.high.b"),
        ("low/a.py", "from package import high", "package.high"),
        ("low/a.py", "from ..high import b", "package.high.b"),
        ("low/__init__.py", "from ..high.b import name", "package.high.b"),
        ("low/a.py", "def f():\n    import package.high.b", "package.high.b"),
        ("low/a.py", "if TYPE_CHECKING:\n    from package.high.b import name", "package.high.b"),
    ],
)
def test_the_checks_see_every_kind_of_import(tmp_path, importer, line, imported):
    for file in ("__init__.py", "low/__init__.py", "low/a.py", "high/__init__.py", "high/b.py"):
        (tmp_path / "package" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / file).touch()
    (tmp_path / "package" / "high" / "b.py").write_text("from package.low import a\n")
    assert upward_imports(tmp_path, "package", ("high", "low")) == set()
    assert cycle(tmp_path, "package") == []
    (tmp_path / "package" / importer).write_text(line + "\n")
    module = "package.low" if "__init__" in importer else "package.low.a"
    assert upward_imports(tmp_path, "package", ("high", "low")) == {(module, imported)}
    assert bool(cycle(tmp_path, "package")) == (module == "package.low.a" and imported == "package.high.b")
    with pytest.raises(ValueError, match=r"add the new rooms of package to ROOMS and to the design: \['low'\]"):
        upward_imports(tmp_path, "package", ("high",))


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after some code."""
    shown = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    result = subprocess.run([sys.executable, "-c", f"{code}\n{shown}"], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_core_never_imports_ray_or_the_analysis():
    rooms = ("config", "training.trainer", "experiment", "grid", "planning.packs", "results.progress")
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


def test_the_rooms_that_import_ray_are_those_of_the_design():
    found = {
        room_of(module)
        for module, path in modules(ROOT, "dynsparse").items()
        if re.search(r"^\s*(import|from) ray\b", path.read_text(), re.MULTILINE)
    }
    assert found == {"cli", "cluster", "search", "tune"}


def test_analysis_never_imports_torch_ray_or_dynsparse():
    assert not modules_after("import analysis") & {"torch", "ray", "dynsparse"}


def test_help_imports_neither_torch_nor_ray():
    assert not modules_after("import dynsparse.cli") & {"torch", "ray", "pandas"}


def test_a_config_loads_neither_torchvision_nor_scikit_learn():
    assert not modules_after("from dynsparse.config import Config; Config()") & {"torchvision", "sklearn"}


def test_the_keys_can_be_listed_without_torch():
    assert "torch" not in modules_after("import dynsparse.config")


def test_the_public_names_are_imported_when_they_are_used():
    assert modules_after("import dynsparse; dynsparse.__version__") & {"torch", "ray", "pandas", "numpy"} == set()
    assert "ray" not in modules_after("from dynsparse import Config, Experiment")
    assert dynsparse.Config is Config and dynsparse.Experiment is Experiment
    assert dynsparse.run is tune.run and dynsparse.load is analysis.load
    assert set(dynsparse.__all__) <= set(dir(dynsparse))
    with pytest.raises(AttributeError, match="module 'dynsparse' has no attribute 'Experiments'"):
        _ = dynsparse.Experiments


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
