"""The README and the pages of docs/ as a user types them: their files, commands, Python, the tables they show."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# In the order in which a reader types them: a page may use what an earlier one has made.
TYPED = (
    "README.md",
    "docs/tutorials/first_grid.md",
    "docs/tutorials/browse.md",
    "docs/how_to/resume.md",
    "docs/how_to/packs.md",
    "docs/tutorials/prune_and_export.md",
    "docs/how_to/clusters.md",
)
PAGES = {name: (ROOT / name).read_text() for name in (*TYPED, "docs/how_to/extend.md")}
README = PAGES["README.md"]
BLOCKS = [block for name in TYPED for block in re.findall(r"^```(\w+)\n(.*?)^```", PAGES[name], flags=re.M | re.S)]
COMMANDS = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]
# The environment is set up by whoever runs the tests.
SET_UP = ("make demo", "make test", "python3 -m venv", ".venv/bin/python -m pip")
# tests/dynsparse/cluster/test_jobs.py types these: they need a cluster.
ON_A_CLUSTER = ("export RAY_", "ray ", "dynsparse submit first.py --storage", "dynsparse jobs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with experiments/, and first.py as the README has it."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    [first] = [text for language, text in BLOCKS if language == "python" and 'name="first"' in text]
    (folder / "first.py").write_text(first)
    return folder


def _of_a_trial(argument: str, folder: Path) -> str:
    """A folder whose name the README makes up, as one that is there."""
    experiment, made_up, _ = argument.partition("/trial_0123456789ab")
    return str(min((folder / experiment).glob("trial_*"))) if made_up else argument


def typed(command: str, folder: Path) -> str:
    """What a command prints. Raises: AssertionError if it fails."""
    command, _, _ = command.partition(" > ")
    program, *arguments = shlex.split(command)
    arguments = [_of_a_trial(each, folder) for each in arguments]
    assert program.endswith("dynsparse"), f"a command that this test does not know: {command}"
    result = subprocess.run(
        [sys.executable, "-m", "dynsparse.cli", *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.mark.ray
def test_every_command_runs_in_the_order_of_the_page(folder):
    commands = [command for command in COMMANDS if not command.startswith(SET_UP + ON_A_CLUSTER)]
    assert len(commands) >= 8
    for command in commands:
        assert typed(command, folder).strip(), command

    cells = [text for language, text in BLOCKS if language == "python" and "from analysis import" in text]
    assert len(cells) == 4
    ran = subprocess.run([sys.executable, "-c", "\n".join(cells)], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "val_acc_max" in ran.stdout, "the conclusions"

    [shown] = re.findall(r"<!-- demo -->\n```text\n(.*?)```", README, flags=re.S)
    [command] = re.findall(r"dynsparse.cli (table .*)", (ROOT / "Makefile").read_text())
    printed = typed(f"dynsparse {command}", folder)
    # The last digits vary between CPU types, so figures are compared with a tolerance.
    number = r"\d\.\d{3}"
    assert re.sub(rf"{number}|\s", "", printed) == re.sub(rf"{number}|\s", "", shown)
    figures = [[float(each) for each in re.findall(number, text)] for text in (printed, shown)]
    assert figures[0] == pytest.approx(figures[1], abs=0.05)


def test_commands_of_ray_are_as_ray_has_them():
    """To run them would open a port to the network."""
    commands = [shlex.split(line) for line in COMMANDS if line.startswith("ray ")]
    assert len(commands) == 3
    for _, name, *options in commands:
        ray = Path(sys.executable).with_name("ray")
        told = subprocess.run([ray, name, "--help"], capture_output=True, text=True, check=True).stdout
        assert all(option.partition("=")[0] in told.split() for option in options), told


def test_the_method_of_the_recipe_is_one(folder):
    [recipe] = re.findall(r"^   ```python\n(.*?)^   ```", PAGES["docs/how_to/extend.md"], flags=re.M | re.S)
    (folder / "mine.py").write_text(re.sub(r"^   ", "", recipe, flags=re.M))
    code = (
        "from mine import mine\n"
        "from dynsparse.config import Config\n"
        "from dynsparse.methods import METHODS\n"
        "from dynsparse.training.trainer import Trainer\n"
        "METHODS['Mine'] = mine\n"
        "assert Trainer([Config(model='Mine', dataset_name='digits', epochs=2)]).step()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def test_every_page_is_typed_or_has_nothing_to_type():
    for path in (ROOT / "docs").rglob("*.md"):
        name = str(path.relative_to(ROOT))
        if name not in PAGES and "_build" not in name:
            assert "```bash" not in path.read_text() and "```python" not in path.read_text(), name


def test_links_and_named_files_exist():
    # By the reader, and by `make docs`.
    written_later = {"dynsparse/methods/mine.py", "tests/dynsparse/methods/test_mine.py", "docs/_build/html/index.html"}
    n_links = 0
    for page in (ROOT / name for name in (*PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")):
        text = page.read_text()
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
        files = re.findall(r"`((?:dynsparse|analysis|experiments|tests|benchmarks|docs)/[\w/]+\.\w+)`", text)
        n_links += len(links)
        for name in filter(None, links):
            assert (page.parent / name).exists(), (page, name)
        for name in set(files) - written_later:
            assert (ROOT / name).exists(), (page, name)
    assert n_links > 10


def test_the_readme_fits_on_three_screens():
    assert len(README.splitlines()) <= 150


def test_experiments_are_listed_with_their_number_of_trials():
    from dynsparse.experiment import load_experiment

    listed = dict(re.findall(r"^\| `(\w+\.py)` \| (\d+) \|", PAGES["docs/tutorials/first_grid.md"], flags=re.M))
    files = {path.name: path for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__"}
    assert {name: int(n) for name, n in listed.items()} == {
        name: len(load_experiment(path).configs()) for name, path in files.items()
    }


def test_methods_are_listed():
    from dynsparse.methods import METHODS

    text = (ROOT / "docs" / "reference" / "words.md").read_text() + "\n"
    [paragraph] = re.findall(r"^Methods \(`model`\): (.*?)\n\n", text, flags=re.M | re.S)
    assert set(re.findall(r"`(\w+)`", paragraph.split(". ")[0])) == set(METHODS)
