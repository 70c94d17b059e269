"""Python files of the user's own, which are not installed: loading them as modules."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

# The content of each file that was loaded, by its absolute path, and the module that it gave.
_loaded: dict[Path, tuple[bytes, ModuleType]] = {}


class FileImportError(ImportError):
    """A Python file that cannot be imported. The message says why, and in which line."""


def load_file(path: Path, name: str) -> ModuleType:
    """Run a Python file as a module of this name, and return it.

    Raises: FileImportError with what the file raises.
    """
    spec = importlib.util.spec_from_file_location(name, path, loader=_ScriptLoader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As for a script: a dataclass in the file looks up its module, and files in the same folder can be imported.
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    content = path.read_bytes()
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise FileImportError(
            f"{path} cannot be imported: {type(error).__name__}: {error}{_line_of(error, path)}"
        ) from error
    _loaded[path.resolve()] = content, module
    return module


def load_file_once(path: Path) -> ModuleType:
    """Return the module of a Python file, which runs only if it has not run before or has changed since.

    Raises: FileImportError with what the file raises; OSError if it cannot be read.
    """
    path = path.resolve()
    content, module = _loaded.get(path, (None, None))
    if module is None or content != path.read_bytes():
        # Under its own name, a file that is sent with a job is found; another module of this name must stay.
        other = sys.modules.get(path.stem)
        is_free = other is None or getattr(other, "__file__", None) == str(path)
        module = load_file(path, path.stem if is_free else f"python_file_{path.stem}")
    return module


def loaded_files() -> list[Path]:
    """Return the files that this process has loaded by their paths."""
    return list(_loaded)


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
