"""The exports of `analysis.output`, and its messages if the packages for notebooks are missing."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import analysis.output

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("room", ["output", "plots"])
def test_no_module_is_shadowed_by_a_name_of_its_room(room: str) -> None:
    package = importlib.import_module(f"analysis.{room}")
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    assert len(modules) > 4 and not set(modules) & set(package.__all__)


def test_every_name_can_be_imported() -> None:
    pytest.importorskip("ipywidgets")
    assert all(callable(getattr(analysis.output, name)) for name in analysis.output.__all__)
    with pytest.raises(AttributeError, match="no attribute 'reports'"):
        analysis.output.reports  # noqa: B018


@pytest.mark.parametrize(
    ("name", "package"), [("browse", "ipywidgets"), ("browse_notebook", "nbformat"), ("report", "plotly")]
)
def test_a_missing_package_is_named(name: str, package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from analysis.output import save, {name}"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    message = f"ImportError: analysis.output.{name} needs {package}, which is not installed."
    assert f"{message} Run: pip install 'dynsparse[jupyter]'" in result.stderr


def test_analysis_imports_none_of_these_packages() -> None:
    heavy = {"plotly", "ipywidgets", "itables", "nbformat", "PIL"}
    code = f"import sys, analysis, analysis.output; assert not {heavy!r} & set(sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
