"""The wheel and the source distribution: what is in them, and that a wheel works where nothing else of ours is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import dynsparse

ROOT = Path(__file__).parents[2]
PACKAGES = ("dynsparse", "analysis", "experiments")
# Files that are no Python, and that the packages read.
DATA = {f"{package}/py.typed" for package in PACKAGES[:2]} | {
    str(path.relative_to(ROOT))
    for files in (
        "dynsparse/cluster/templates/*",
        "analysis/examples/*",
        "analysis/output/**/*.js",
        "analysis/output/**/*.css",
    )
    for path in ROOT.glob(files)
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source distribution of the tracked files."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("a checkout without git: the tracked files are not known")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "notebooks/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    # Without isolation: the environment of the tests has setuptools, and a machine may have no network.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return output


def test_the_version_stands_in_one_place(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    assert wheel.name.split("-")[1] == dynsparse.__version__


def test_the_wheel_holds_every_module_and_every_data_file(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert modules | DATA <= names
    assert {name.split("/")[0] for name in names} == set(PACKAGES), "tests and benchmarks are not installed"


def test_the_source_distribution_holds_the_same(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert DATA | {"LICENSE", "README.md", "setup.cfg", "pyproject.toml"} <= names


@pytest.mark.ray
@pytest.mark.faults
def test_an_installed_wheel_runs_the_demo(built: Path, tmp_path: Path) -> None:
    """In a fresh environment that has the same libraries, and of ours only the wheel."""
    [wheel] = built.glob("*.whl")
    venv.create(tmp_path / "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    [site] = (tmp_path / "fresh" / "lib").glob("python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # A path in a .pth file comes after the environment's own packages, and no .pth file in it is followed.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def typed(*words: str) -> str:
        command = [str(python), "-m", "dynsparse.cli", *words]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    where = subprocess.run(
        [python, "-c", "import dynsparse; print(dynsparse.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)
    typed("run", str(site / "experiments" / "quickstart.py"), "--limit", "4")
    table = typed("table", "results/quickstart", "--rows", "model", "--columns", "on_perc", "--metric", "val_acc_max")
    assert "SparseModel" in table
