"""The notebooks run from top to bottom on results of the commands in the README."""

import subprocess
import sys
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

# One process runs them all, and trains what they share once.
pytestmark = pytest.mark.xdist_group("notebooks")
ROOT = Path(__file__).parents[2]


def run(file: str, *options: str) -> None:
    # The trials are so short that processes of their own would take most of the time.
    command = [sys.executable, "-m", "dynsparse.cli", "run", str(ROOT / "experiments" / file), "--in-process", *options]
    subprocess.run(command, check=True, capture_output=True, timeout=600)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of `make demo`, or make them if they are missing."""
    made = ROOT / "results" / "quickstart"
    if len(list(made.glob("trial_*/complete.json"))) >= 36:
        return made
    storage = tmp_path_factory.mktemp("results")
    run("quickstart.py", "--storage", str(storage))
    return storage / "quickstart"


def executed(name: str, results: Path) -> list[str]:
    """Return the text output of each code cell of a notebook, run on results in another folder."""
    path = ROOT / "notebooks" / name
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        cell.source = cell.source.replace("../results/", f"{results.parent}/")
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            found = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
            texts.append("\n".join(found))
    return texts


def test_quickstart(quickstart: Path) -> None:
    texts = executed("quickstart.ipynb", quickstart)
    assert "all 36 trials are complete" in texts[0]
    sentences = next(text for text in texts if "val_acc_max" in text and "SparseModel" in text and "pairs" in text)
    assert len(sentences.splitlines()) == 6, "four methods, two at a time"


def test_browse(quickstart: Path) -> None:
    assert "Browser" in executed("browse.ipynb", quickstart)[-1]
