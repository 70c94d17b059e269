"""Functions of the user's own: the texts that name them, how they are loaded, and the hash of their source."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from json import dumps
from pathlib import Path

import pytest
from support.doctests import run_examples

from dynsparse.config.functions import (
    function_text,
    in_folder,
    load_function,
    source_hash,
    with_functions_in_folder,
    without_folder,
)

NETS = """
import math

WIDTH = 3
OTHER = 4


def helper(x):
    return x * WIDTH


class Net:
    def __init__(self):
        self.size = helper(2)


def net():
    return Net()


def unused():
    return OTHER
"""


@pytest.fixture(autouse=True)
def own_modules() -> Iterator[None]:
    """Forget the files that a test has imported."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.modules.clear()
    sys.modules.update(modules)
    sys.path[:] = path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


@pytest.mark.parametrize("function", [function_text, in_folder, without_folder])
def test_the_examples_run(function: object) -> None:
    run_examples(function)


def test_a_function_of_a_file_is_named_by_its_path_and_loaded_from_there(tmp_path: Path) -> None:
    path = write(tmp_path / "nets.py", NETS)
    function = load_function(f"{path}:net")
    assert function().size == 6
    assert function_text(function) == f"{path}:net"
    assert load_function(f"{path}:net") is function
    assert function_text(load_function(f"{path}:Net")) == f"{path}:Net"


def test_a_changed_file_is_loaded_again(tmp_path: Path) -> None:
    path = write(tmp_path / "nets.py", NETS)
    assert load_function(f"{path}:net")().size == 6
    write(path, NETS.replace("WIDTH = 3", "WIDTH = 5"))
    assert load_function(f"{path}:net")().size == 10


def test_a_file_of_a_package_may_import_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "mine" / "__init__.py", "")
    write(tmp_path / "mine" / "parts.py", "SIZE = 7")
    path = write(tmp_path / "mine" / "nets.py", "from .parts import SIZE\n\n\ndef net():\n    return SIZE")
    function = load_function(f"{path}:net")
    assert function() == 7 and function.__module__ == "mine.nets"
    assert function_text(function) == f"{path}:net"


def test_a_file_does_not_replace_a_module_of_the_same_name(tmp_path: Path) -> None:
    path = write(tmp_path / "json.py", "def net():\n    return 'mine'")
    assert load_function(f"{path}:net")() == "mine"
    assert sys.modules["json"].dumps is dumps


@pytest.mark.parametrize("function", [lambda: 1, print, dict(a=1).get], ids=["lambda", "built-in", "method"])
def test_a_function_that_other_processes_cannot_import_is_refused(function: object) -> None:
    with pytest.raises(ValueError, match=r"must be defined at the top level of a Python file, .* Write it to a file"):
        function_text(function)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nets.net", r"^A function must be given as \"package.module:name\" or .*, got 'nets.net'\. Write a colon"),
        ("nets.py:my net", "^A function must be given as"),
        ("{folder}/none.py:net", r"cannot be imported: there is no file .*none\.py\. Correct the file or the text\.$"),
        ("nowhere.nets:net", "cannot be imported: No module named 'nowhere'"),
        ("{folder}/bad.py:net", r"bad\.py cannot be imported: ZeroDivisionError: division by zero \(line 1\)"),
        ("{folder}/nets.py:nett", "must name a function, but .* has no such name"),
        ("{folder}/nets.py:WIDTH", "must name a function, but .* has int WIDTH"),
    ],
)
def test_a_text_that_names_no_function(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "nets.py", NETS)
    write(tmp_path / "bad.py", "1 / 0")
    with pytest.raises(ValueError, match=message):
        load_function(text.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("helper(2)", "helper(3)", True),
        ("x * WIDTH", "x + WIDTH", True),
        ("WIDTH = 3", "WIDTH = 4", True),
        ("return Net()", "return Net()  # as it is", True),
        ("OTHER = 4", "OTHER = 5", False),
        ("import math", "import math\nimport json", False),
        ("return OTHER", "return None", False),
    ],
)
def test_the_hash_changes_with_what_a_function_uses_of_its_file(
    tmp_path: Path, before: str, after: str, changes: bool
) -> None:
    path = write(tmp_path / "nets.py", NETS)
    hash_before = source_hash(f"{path}:net")
    assert len(hash_before) == 12
    write(path, NETS.replace(before, after))
    assert (source_hash(f"{path}:net") != hash_before) == changes


def test_the_hash_does_not_depend_on_the_folder_and_includes_decorators(tmp_path: Path) -> None:
    paths = [write(tmp_path / name / "nets.py", NETS) for name in ("a", "b")]
    assert source_hash(f"{paths[0]}:net") == source_hash(f"{paths[1]}:net")
    write(paths[1], NETS.replace("def net", "@helper\ndef net"))
    write(paths[1], NETS.replace("def net", "@staticmethod\ndef net"))
    assert source_hash(f"{paths[0]}:net") != source_hash(f"{paths[1]}:net")


def test_the_hash_of_an_imported_function_is_that_of_its_own_file(tmp_path: Path) -> None:
    write(tmp_path / "mine" / "__init__.py", "from .nets import net")
    path = write(tmp_path / "mine" / "nets.py", NETS)
    sys.path.insert(0, str(tmp_path))
    assert source_hash("mine:net") == source_hash("mine.nets:net") == source_hash(f"{path}:net")


def test_texts_in_a_space_get_the_folder_of_the_experiment(tmp_path: Path) -> None:
    write(tmp_path / "nets.py", NETS)
    space = {
        "network": {"grid_search": ["nets.py:net", "LeNet5", "else.py:net", "mine.nets:net"]},
        "arm": {"grid_search": [{"network": "nets.py:net", "seed": (0, 1)}]},
    }
    there = f"{tmp_path}/nets.py:net"
    assert with_functions_in_folder(space, tmp_path) == {
        "network": {"grid_search": [there, "LeNet5", "else.py:net", "mine.nets:net"]},
        "arm": {"grid_search": [{"network": there, "seed": (0, 1)}]},
    }
