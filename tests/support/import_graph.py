"""Every import statement of a package: also those in functions and under TYPE_CHECKING."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Import(NamedTuple):
    """One import of a module of the same package."""

    importer: str  # a module, for example "dynsparse.cli.trials"
    imported: str
    line: int


def modules(root: Path, package: str) -> dict[str, Path]:
    """Return the file of each module of a package, the package itself included."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path, package: str) -> Iterator[Import]:
    """Yield each import of the package's own modules; `from package import name` imports the module of that name."""
    files = modules(root, package)
    for importer, path in files.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                source = _absolute(node, importer, is_package=path.stem == "__init__")
                names = [f"{source}.{each.name}" if f"{source}.{each.name}" in files else source for each in node.names]
            else:
                continue
            for name in dict.fromkeys(names):
                if name.split(".")[0] == package:
                    yield Import(importer, name, node.lineno)


def _absolute(node: ast.ImportFrom, importer: str, *, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parents = importer.split(".")
    parents = parents[: len(parents) - node.level + is_package]
    return ".".join([*parents, node.module] if node.module else parents)
