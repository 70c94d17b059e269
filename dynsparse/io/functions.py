"""A function of a user's file as text, "mydata.py:make" or "mypackage.data:make", and back.

A configuration is written as JSON and read by other processes, so it holds the text. The text names the file relative
to the folder of the experiment file, so that it stays the same when the folder is moved or sent to a cluster.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

# Forms of the text. Python's own names of modules and functions may contain other letters than ASCII's.
IN_FILE = re.compile(r"(?P<file>[^:]+\.py):(?P<name>[^\W\d]\w*)")
IN_MODULE = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")

# The files that this process has run, with size and time: an edited file runs again.
_modules: dict[Path, tuple[tuple[int, int], ModuleType]] = {}


class FunctionError(ValueError):
    """A function that has no text, or a text that names no function. The message says what to do."""


def function_text(function: Callable[..., Any], folder: Path) -> str:
    """Return the text that names a function.

    Args:
        function: a function at the top level of a file.
        folder: the folder from which the file is named.

    Raises:
        FunctionError: For a lambda, a method, a function within another one, and one that was typed into a session.
    """
    name, module = getattr(function, "__qualname__", ""), sys.modules.get(getattr(function, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if not inspect.isfunction(function) or getattr(module, name, None) is not function or file is None:
        raise FunctionError(
            "A function in a configuration must be defined with def at the top level of a Python file, because other "
            f"processes import it, got {function!r}. Move it to a file."
        )
    assert module is not None
    path, folder = Path(file).resolve(), folder.resolve()
    in_folder = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None
    if _is_importable(module) and (in_folder is None or _is_of_package(module, in_folder)):
        return f"{module.__name__}:{name}"
    return f"{in_folder or path}:{name}"


def _is_of_package(module: ModuleType, in_folder: str) -> bool:
    """Return True for a module of a package in the folder, which imports its neighbours by the package's name."""
    as_named = module.__name__.replace(".", "/")
    return in_folder == f"{as_named}/__init__.py" or ("/" in as_named and in_folder == f"{as_named}.py")


def _is_importable(module: ModuleType) -> bool:
    """Return True if another process finds the module by its name."""
    name = module.__name__
    return name != "__main__" and name not in {each.__name__ for _, each in _modules.values()}


def functions_as_text(value: Any, folder: Path) -> Any:
    """Return a copy of a space in which each function is replaced by its text. Raises: FunctionError."""
    if isinstance(value, dict):
        return {name: functions_as_text(each, folder) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [functions_as_text(each, folder) for each in value]
    return function_text(value, folder) if inspect.isroutine(value) else value


def is_function_text(text: str) -> bool:
    """Return True if a text has the form of one that names a function."""
    return bool(IN_FILE.fullmatch(text) or IN_MODULE.fullmatch(text))


def file_of(text: str, folder: Path) -> Path | None:
    """Return the file that the text of a function names; None if it names a module."""
    match = IN_FILE.fullmatch(text)
    return folder / Path(match["file"]).expanduser() if match else None


def load_function(text: str, folder: Path) -> Callable[..., Any]:
    """Return the function that a text names. It runs the code of its file.

    Args:
        text: "mydata.py:make" or "mypackage.data:make".
        folder: the folder in which the file, or the package, is looked for.

    Raises:
        FunctionError: If the file or module does not exist or cannot be imported, or has no such function.
    """
    path, name = file_of(text, folder), text.rpartition(":")[2]
    module = _import_module(text, folder) if path is None else import_file(path, reuse=True)
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        names = [each for each, value in vars(module).items() if inspect.isfunction(value) and each[0] != "_"]
        raise FunctionError(
            f"{text!r} names no function: {module.__name__ if path is None else path} has no function {name!r}. "
            f"It has: {', '.join(names) or 'none'}."
        )
    return function


def _import_module(text: str, folder: Path) -> ModuleType:
    module = text.rpartition(":")[0]
    _search(folder)
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise FunctionError(
            f"{text!r} names no function: the module {module} cannot be imported ({type(error).__name__}: {error}). "
            f"Install it, or put its package into {folder}."
        ) from error


def import_file(path: Path, *, reuse: bool = False) -> ModuleType:
    """Run a Python file as a module, as for a script, and return the module.

    Args:
        path: the file.
        reuse: return the module that the file gave before if the file has not changed since, or the running script.

    Raises:
        FunctionError: If the file does not exist or raises an error.
    """
    given, path = path, path.resolve()
    if not path.is_file():
        raise FunctionError(f"The Python file {str(given)!r} does not exist.")
    status = path.stat()
    stamp, script = (status.st_size, status.st_mtime_ns), sys.modules.get("__main__")
    if reuse and path in _modules and _modules[path][0] == stamp:
        return _modules[path][1]
    if reuse and script is not None and getattr(script, "__file__", None) and Path(script.__file__).resolve() == path:  # type: ignore[arg-type]
        return script
    name = f"experiment_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_ScriptLoader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As for a script: a dataclass in the file looks up its module, and files in the same folder can be imported.
    sys.modules[name] = module
    _search(path.parent)
    _modules[path] = stamp, module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del _modules[path]
        raise FunctionError(
            f"{given} cannot be imported: {type(error).__name__}: {error}{_line_of(error, path)}"
        ) from error
    return module


def _search(folder: Path) -> None:
    """Let Python look for modules in a folder, before it looks elsewhere."""
    text = str(folder.resolve())
    if sys.path[:1] != [text]:
        sys.path.insert(0, text)


class _ScriptLoader(SourceFileLoader):
    """A loader that always compiles the source, as Python does for a script.

    Python takes the bytecode that it has kept if the file has the same size and the same time in whole seconds. It
    would miss an edit within the same second.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _line_of(error: BaseException, path: Path) -> str:
    """Return the line of the file in which an error was raised, or "" if it is unknown or part of the message."""
    if isinstance(error, SyntaxError):
        return ""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""
