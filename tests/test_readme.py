"""The README as a user types it: its files, its commands, its Python, the table it shows."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.M | re.S)
COMMANDS = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]
# What sets up an environment is done by whoever runs the tests.
SET_UP = ("make demo", "make test", "python3 -m venv", ".venv/bin/python -m pip")
# tests/dynsparse/cluster/test_jobs.py types these: they take a cluster.
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
    assert len(cells) == 3
    ran = subprocess.run([sys.executable, "-c", "\n".join(cells)], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "val_acc_max" in ran.stdout, "the conclusions"

    [shown] = re.findall(r"<!-- demo -->\n```text\n(.*?)```", README, flags=re.S)
    [command] = re.findall(r"dynsparse.cli (table .*)", (ROOT / "Makefile").read_text())
    printed = typed(f"dynsparse {command}", folder)
    # Another processor rounds otherwise, and trainings come apart: the figures are compared as figures.
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
    [recipe] = re.findall(r"^   ```python\n(.*?)^   ```", README, flags=re.M | re.S)
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


def test_links_and_named_files_exist():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    files = re.findall(r"`((?:dynsparse|analysis|experiments|tests|benchmarks)/[\w/]+\.\w+)`", README)
    assert links and files
    to_be_written = {"dynsparse/methods/mine.py", "tests/dynsparse/methods/test_mine.py"}
    for name in {*links, *files} - to_be_written:
        assert (ROOT / name).exists(), name


def test_experiments_are_listed_with_their_number_of_trials():
    from dynsparse.experiment import load_experiment

    listed = dict(re.findall(r"^\| `(\w+\.py)` \| (\d+) \|", README, flags=re.M))
    files = {path.name: path for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__"}
    assert {name: int(n) for name, n in listed.items()} == {
        name: len(load_experiment(path).configs()) for name, path in files.items()
    }


def test_methods_are_listed():
    from dynsparse.methods import METHODS

    [paragraph] = re.findall(r"^Methods \(`model`\): (.*?)\n\n", README, flags=re.M | re.S)
    assert set(re.findall(r"`(\w+)`", paragraph.split(". ")[0])) == set(METHODS)
