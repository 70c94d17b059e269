"""Functions of a user's file: their text, and the function that a text names."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dynsparse.io.functions import (
    FunctionError,
    function_text,
    functions_as_text,
    import_file,
    is_function_text,
    load_function,
)


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    """What a test imports is forgotten after it."""
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def from_folder(folder: Path, module: str) -> ModuleType:
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return importlib.import_module(module)


def test_a_function_of_the_experiment_file(tmp_path: Path) -> None:
    module = import_file(write(tmp_path, "trial of 1.py", "def make():\n    return 3\n"))
    text = function_text(module.make, tmp_path)
    assert text == "trial of 1.py:make" and is_function_text(text)
    assert load_function(text, tmp_path) is module.make, "the file does not run twice"


def test_a_function_that_the_file_imports_from_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "beside.py", "def make():\n    return 4\n")
    module = import_file(write(tmp_path, "e.py", "from beside import make\n"))
    assert function_text(module.make, tmp_path) == "beside.py:make"
    assert load_function("beside.py:make", tmp_path)() == 4


@pytest.mark.parametrize("file", ["rooms/data.py", "rooms/__init__.py"])
def test_a_function_of_a_package_keeps_the_name_of_the_package(tmp_path: Path, file: str) -> None:
    write(tmp_path, "rooms/size.py", "SIZE = 5\n")
    write(tmp_path, "rooms/__init__.py", "")
    write(tmp_path, file, "from .size import SIZE\ndef make():\n    return SIZE\n")
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    text = function_text(from_folder(tmp_path, name).make, tmp_path)
    assert text == f"{name}:make" and is_function_text(text)
    # In a process of its own, which has imported nothing.
    code = (
        "from pathlib import Path; from dynsparse.io.functions import load_function; "
        f"print(load_function({text!r}, Path({str(tmp_path)!r}))())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "5\n"


def test_a_function_of_an_installed_package(tmp_path: Path) -> None:
    assert function_text(json.dumps, tmp_path) == "json:dumps"
    assert function_text(os.path.join, tmp_path) == f"{os.path.__name__}:join"
    assert load_function("json:dumps", tmp_path) is json.dumps


def test_a_file_outside_the_folder_is_named_by_its_path(tmp_path: Path) -> None:
    module = import_file(write(tmp_path, "a/e.py", "def make():\n    return 3\n"))
    text = function_text(module.make, tmp_path / "b")
    assert text == f"{tmp_path / 'a' / 'e.py'}:make"
    assert load_function(text, tmp_path / "b") is module.make


def local() -> object:
    def inner() -> None:
        pass

    return inner


@pytest.mark.parametrize("function", [lambda: 3, local(), "".join, math.sin, Path("a").exists])
def test_what_has_no_text(function, tmp_path: Path) -> None:
    with pytest.raises(FunctionError, match=r"must be defined with def at the top level of a Python file.* Move it"):
        function_text(function, tmp_path)


def test_functions_anywhere_in_a_space_become_texts(tmp_path: Path) -> None:
    module = import_file(write(tmp_path, "e.py", "def make():\n    return 3\n"))
    space = {"a": {"grid_search": [module.make, "MNIST", {"b": module.make}]}, "c": (1, module.make), "d": range(2)}
    assert functions_as_text(space, tmp_path) == {
        "a": {"grid_search": ["e.py:make", "MNIST", {"b": "e.py:make"}]},
        "c": [1, "e.py:make"],
        "d": range(2),
    }
    assert space["a"]["grid_search"][0] is module.make, "the space itself is not changed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none.py:make", r"The Python file '.*none\.py' does not exist\.$"),
        ("e.py:mkae", r"'e\.py:mkae' names no function: .*e\.py has no function 'mkae'\. It has: make\.$"),
        ("e.py:SIZE", r"has no function 'SIZE'"),
        ("broken.py:make", r"broken\.py cannot be imported: ZeroDivisionError: division by zero \(line 2\)$"),
        ("nowhere_1.data:make", r"the module nowhere_1\.data cannot be imported \(ModuleNotFoundError: .*Install it"),
        ("json:mkae", r"'json:mkae' names no function: json has no function 'mkae'"),
    ],
)
def test_a_text_that_names_no_function(text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, "e.py", "SIZE = 3\ndef make():\n    return 3\n")
    write(tmp_path, "broken.py", "x = 1\n1 / 0\n")
    for _ in range(2):
        with pytest.raises(FunctionError, match=message):
            load_function(text, tmp_path)


def test_an_edited_file_runs_again_and_an_unchanged_one_does_not(tmp_path: Path) -> None:
    path = write(tmp_path, "e.py", "def make():\n    return 3\n")
    first = load_function("e.py:make", tmp_path)
    assert load_function("e.py:make", tmp_path) is first
    write(tmp_path, "e.py", "def make():\n    return 4\n")
    os.utime(path, ns=(1, 1))
    assert load_function("e.py:make", tmp_path)() == 4


def test_a_function_of_a_running_script_is_that_of_the_script(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        "script.py",
        "from pathlib import Path\n"
        "from dynsparse.io.functions import function_text, load_function\n"
        "print('runs')\n"
        "def make():\n    return 3\n"
        "folder = Path(__file__).parent\n"
        "text = function_text(make, folder)\n"
        "print(text, load_function(text, folder) is make)\n",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "runs\nscript.py:make True\n"


@pytest.mark.parametrize("text", ["MNIST", "a.csv", "sklearn:iris:x", "openml:3", "e.py", ":make", "e.py:", "3a:b"])
def test_other_texts(text: str) -> None:
    assert not is_function_text(text)
