"""Functions of the user's own, named by texts: "package.module:name" or "path/of/file.py:name".

A configuration is written as JSON and read by other processes, so it has the text in place of the function.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import sys
import sysconfig
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from dynsparse.config.python_files import load_file_once

FORMS = '"package.module:name" or "path/of/file.py:name"'
# Regular expressions of the two forms. Names in Python may have letters that are not ASCII.
IN_FILE = r"[^:]+\.py:[^\W\d]\w*"
IN_MODULE = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"


def function_text(function: Callable[..., Any]) -> str:
    """Return the text that names a function or class at the top level of a file.

    Raises: ValueError if it is not defined there.

    Example:
        >>> from json import dumps
        >>> from dynsparse.config.functions import function_text
        >>> function_text(dumps)
        'json:dumps'
    """
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", None)
    try:
        path = Path(inspect.getsourcefile(inspect.unwrap(function)) or "").resolve()
    except TypeError:
        path = Path()
    if not name.isidentifier() or not path.is_file() or module is None:
        raise ValueError(
            f"A function must be defined at the top level of a Python file, because other processes import it, got "
            f"{function!r}. Write it to a file."
        )
    # Files that are not installed have no name that each process can import.
    installed = [sysconfig.get_path(each) for each in ("stdlib", "platstdlib", "purelib", "platlib")]
    is_installed = any(path.is_relative_to(Path(each).resolve()) for each in installed)
    return f"{module if is_installed else path}:{name}"


def in_folder(text: str, folder: Path) -> str:
    """Return the text with the path of a relative file completed by its folder.

    Example:
        >>> from pathlib import Path
        >>> from dynsparse.config.functions import in_folder
        >>> in_folder("nets.py:lenet", Path("/home/me/project"))
        '/home/me/project/nets.py:lenet'
    """
    place, _, name = text.rpartition(":")
    return f"{folder / place}:{name}" if place.endswith(".py") else text


def without_folder(text: str) -> str:
    """Return the text with a file's name in place of its path, which differs between machines.

    Example:
        >>> from dynsparse.config.functions import without_folder
        >>> without_folder("/home/me/project/nets.py:lenet")
        'nets.py:lenet'
    """
    place, _, name = text.rpartition(":")
    return f"{Path(place).name}:{name}" if place.endswith(".py") else text


def load_function(text: str) -> Callable[..., Any]:
    """Return the function that a text names.

    Raises: ValueError if there is no such file, module or function, or if importing it fails.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise ValueError(f"A function must be given as {FORMS}, got {text!r}. Write a colon before its name.")
    try:
        function = getattr(_module(place), name, None)
    except Exception as error:
        # The file is the user's own: it may raise anything.
        raise ValueError(f"{text!r} cannot be imported: {_described(error)}. Correct the file or the text.") from error
    if not callable(function):
        problem = "has no such name" if function is None else f"has {type(function).__name__} {name}"
        raise ValueError(f"{text!r} must name a function, but {place} {problem}. Correct the name.")
    return function  # type: ignore[no-any-return]  # of a module


def _described(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no file {error.filename}"
    return str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"


def _module(place: str) -> ModuleType:
    """Return the module of a path or of a dotted name."""
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place).resolve()
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        names, folder = [folder.name, *names], folder.parent
    if len(names) == 1:
        return load_file_once(path)
    # A file of a package may import its neighbours, so it needs its full name.
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(".".join(names))


def source_hash(text: str) -> str:
    """Return a hash of the source of a function, 12 hexadecimal digits.

    It covers the functions, classes and constants of the same file that the function uses, directly or through others.
    Changes elsewhere in the file, or in files that it imports, do not change it.

    Raises: ValueError as `load_function`.
    """
    function, (place, _, name) = load_function(text), text.rpartition(":")
    module = _module(place)
    if place.endswith(".py"):
        path = Path(place)
    else:
        # It may be imported into the module that the text names.
        module = sys.modules.get(getattr(function, "__module__", ""), module)
        name = getattr(function, "__name__", name)
        path = Path(module.__file__ or "")
    return hashlib.sha256(_source(path.read_text(encoding="utf-8"), name).encode()).hexdigest()[:12]


@lru_cache(maxsize=100)
def _source(content: str, name: str) -> str:
    """Return the source of a name in a file and of what it uses of the file; all of it if it is not defined there."""
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in ast.parse(content).body:
        for each in _names(statement):
            definitions.setdefault(each, []).append(statement)
    used: set[ast.stmt] = set()
    to_do = [name]
    while to_do:
        for statement in definitions.get(to_do.pop(), []):
            if statement not in used:
                used.add(statement)
                to_do += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    lines = content.splitlines()
    parts = [lines[_first_line(each) - 1 : each.end_lineno] for each in sorted(used, key=lambda each: each.lineno)]
    return "\n".join(line for part in parts for line in part) if parts else content


def _names(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines, without imported ones."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [node.id for each in targets if each is not None for node in ast.walk(each) if isinstance(node, ast.Name)]


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def with_functions_in_folder(space: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a space in which texts that name a function in a file of the folder have the file's whole path."""
    return {name: _with_folder(value, folder) for name, value in space.items()}


def _with_folder(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        return with_functions_in_folder(value, folder)
    if isinstance(value, list | tuple):
        each_with = (_with_folder(each, folder) for each in value)
        return list(each_with) if isinstance(value, list) else tuple(each_with)
    if not isinstance(value, str):
        return value
    there = in_folder(value, folder)
    return there if there != value and Path(there.rpartition(":")[0]).is_file() else value
