"""The saved views of an experiment: the file `views.json` in its folder.

The file may come from anybody, with the folder: it is checked, never followed if it is a link, and a file that is
damaged is not overwritten.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from analysis.frame.values import hashable
from analysis.loading.atomic import write_file
from analysis.loading.parse import read_object
from analysis.output.views import View, is_plain

NAME = "views.json"
# Increase it whenever a view has other parts.
VERSION = 1
LARGEST_BYTES = 2**20
LONGEST_NAME = 60


class ViewsError(ValueError):
    """A problem with the file of the views, or with a name, as a sentence for the user."""


def read_views(folder: Path) -> dict[str, View]:
    """Return the saved views of an experiment by name, none if there is no file.

    Raises:
        ViewsError: if the file cannot be read or is not one that `save_view` writes.
    """
    path = folder / NAME
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    if not stat.S_ISREG(mode):
        raise _unreadable(path, "it is a link" if stat.S_ISLNK(mode) else "it is not a file")
    content, problem = read_object(path, LARGEST_BYTES)
    if problem:
        raise _unreadable(path, problem)
    if content.get("version") != VERSION or not isinstance(content.get("views"), dict):
        raise _unreadable(path, f'it needs "version": {VERSION} and an object "views"')
    for name, parts in content["views"].items():
        problem = _problem_of_name(name) or _problem_of_parts(parts)
        if problem:
            raise _unreadable(path, f"the view {name[:LONGEST_NAME]!r} {problem}")
    return {name: _view(parts) for name, parts in content["views"].items()}


def save_view(folder: Path, name: str, view: View) -> dict[str, View]:
    """Save a view under a name, in the place of a view of that name, and return all views.

    Raises:
        ViewsError: if the name is not one, or the file cannot be read or written.
    """
    name = name.strip()
    problem = _problem_of_name(name)
    if problem:
        raise ViewsError(f"The name of a view {problem}, got {name[: 2 * LONGEST_NAME]!r}.")
    # Another notebook may have saved a view meanwhile.
    return _write(folder, {**read_views(folder), name: view})


def delete_view(folder: Path, name: str) -> dict[str, View]:
    """Delete a saved view, and return the others.

    Raises:
        ViewsError: if the file cannot be read or written.
    """
    return _write(folder, {other: view for other, view in read_views(folder).items() if other != name})


def _write(folder: Path, views: Mapping[str, View]) -> dict[str, View]:
    path = folder / NAME
    text = json.dumps({"version": VERSION, "views": {name: asdict(view) for name, view in views.items()}}, indent=1)
    if len(text) >= LARGEST_BYTES:
        raise ViewsError(f"{path} must be smaller than {LARGEST_BYTES >> 20} MiB. Delete views that you do not need.")
    try:
        write_file(path, f"{text}\n".encode())
    except OSError as error:
        raise ViewsError(f"{path} cannot be written: {error.strerror}. Check the folder.") from error
    return dict(views)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_filters(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(values, list) and all(is_plain(hashable(each)) for each in values) for values in value.values()
    )


PARTS: dict[str, tuple[Callable[[object], bool], str]] = {
    **{each.name: (_is_text, "a text") for each in fields(View)},
    "filters": (_is_filters, "an object of lists"),
    "columns": (_is_list_of_texts, "a list of texts"),
    "descending": (lambda value: isinstance(value, bool), "true or false"),
}


def _problem_of_name(name: str) -> str | None:
    """Return what is wrong with the name of a view, None if nothing is."""
    is_right = 0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()
    return None if is_right else f"must have 1 to {LONGEST_NAME} printable characters"


def _problem_of_parts(parts: object) -> str | None:
    """Return what is wrong with the JSON of a view, None if nothing is."""
    if not isinstance(parts, dict) or parts.keys() != PARTS.keys():
        return f"must have the parts {', '.join(PARTS)}"
    wrong = [f"must have {kind} as {name}" for name, (is_right, kind) in PARTS.items() if not is_right(parts[name])]
    return wrong[0] if wrong else None


def _view(parts: dict[str, Any]) -> View:
    filters = {name: tuple(map(hashable, values)) for name, values in parts["filters"].items()}
    return View(**{**parts, "filters": filters, "columns": tuple(parts["columns"])})


def _unreadable(path: Path, problem: str) -> ViewsError:
    return ViewsError(
        f"{path} cannot be read: {problem}. It is not changed. Correct, rename or delete it to save views."
    )
