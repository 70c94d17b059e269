"""`analysis` where only the packages of requirements-analysis.txt are installed: neither torch nor Ray."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LISTED = [line for line in (ROOT / "requirements-analysis.txt").read_text().splitlines() if line and line[0] != "#"]

CODE = """
import importlib.util, pandas as pd
import analysis
assert not any(importlib.util.find_spec(name) for name in ("torch", "ray", "dynsparse"))
df = analysis.load({folder!r})
assert len(df) == 72
print(analysis.compare(df, ["kwinners"], "val_acc_max")["conclusion"].iloc[0])
print(analysis.format_table(analysis.importance(df, "val_acc_max")))
"""


def test_its_requirements_are_some_of_those_of_all() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert set(LISTED) < set(setup["options"]["install_requires"].split("\n"))


def test_its_requirements_are_all_that_it_needs(notebook_run: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for name in needed(LISTED):
        link_distribution(name, site)
    (site / "analysis").symlink_to(ROOT / "analysis")
    # -I: neither the folder nor PYTHONPATH; -S: no site-packages.
    code = f"import sys; sys.path.append({str(site)!r})\n{CODE.format(folder=str(notebook_run))}"
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "kwinners" in ran.stdout


def needed(requirements: list[str]) -> set[str]:
    """Return the distributions that some requirements bring, with all that these require themselves."""
    found: set[str] = set()
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        each = waiting.pop()
        name = re.sub(r"[-_.]+", "-", each.name).lower()
        if name not in found and (each.marker is None or each.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += [Requirement(text) for text in distribution(name).requires or []]
    return found


def link_distribution(name: str, site: Path) -> None:
    """Link what a distribution has installed, and its metadata, into a folder."""
    files = distribution(name).files or []
    for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))
