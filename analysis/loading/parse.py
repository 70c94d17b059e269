"""Readers of the files of a trial. They never raise: each returns the undamaged part, and the problem or None."""

import codecs
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import orjson

# Tune writes these in every row; a CSV without any of them is damaged or not from Tune.
ROW_MARKS = {"training_iteration", "trial_id", "time_this_iter_s", "done"}
# Ray colours the text of an error for the terminal.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Windows programs mark the encoding of a text at its beginning.
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# The cells of a CSV file without a value.
NO_VALUE = ("", "None")
EMPTY = "empty"
MISSING = "missing"


def read_object(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return the JSON object of a file, or {}; and the file's problem or None."""
    content, problem = _read_bytes(path)
    if problem:
        return {}, problem
    found = _parse_object(content)
    return (found, None) if found is not None else ({}, "not one whole JSON object")


def read_json_rows(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """Return every line that is a whole JSON object, in order; and the number of damaged lines as text, or None."""
    content, problem = _read_bytes(path)
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), start=1) if line.strip()]
    if not lines:
        return [], problem or EMPTY
    parsed = [(number, _parse_object(line)) for number, line in lines]
    damaged = [number for number, row in parsed if row is None]
    return [row for _, row in parsed if row is not None], _describe(damaged, len(lines), "a whole JSON object")


def read_csv_rows(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """Return every whole row of a CSV file with a header, values as text or None; and the file's problem or None."""
    content, problem = _read_bytes(path)
    if problem:
        return [], problem
    text = content.decode(errors="replace")
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        return [], f"not CSV: {error}"
    if not lines or not ROW_MARKS & set(lines[0]):
        return [], "without the header of Tune's rows"
    header, *rows = lines
    # Of two columns with one name none may hide the other: the second gets the name that pandas.read_csv gives it.
    if len(set(header)) < len(header):
        seen = [header[:place].count(name) for place, name in enumerate(header)]
        header = [f"{name}.{n}" if n else name for name, n in zip(header, seen, strict=True)]
    # A last line without a line end may have lost digits of its last value, which would give another number.
    is_torn = [len(row) != len(header) for row in rows]
    if rows and not text.endswith("\n"):
        is_torn[-1] = True
    damaged = [number for number, torn in enumerate(is_torn, start=2) if torn]
    values = [[None if cell in NO_VALUE else cell for cell in row] for row in rows]
    whole = [dict(zip(header, row, strict=True)) for row, torn in zip(values, is_torn, strict=True) if not torn]
    return whole, _describe(damaged, len(rows), "a whole row")


def read_last_line(path: Path) -> tuple[str | None, str | None]:
    """Return the last line of a text that is not blank, or None; and the file's problem or None."""
    content, problem = _read_bytes(path)
    if problem:
        return None, problem
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text, problem = content.decode(errors="replace"), "not UTF-8 text"
    lines = [line.strip() for line in COLOUR.sub("", text).splitlines()]
    return next((line for line in reversed(lines) if line), None), problem


def _read_bytes(path: Path) -> tuple[bytes, str | None]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b"", MISSING
    except IsADirectoryError:
        return b"", "a folder, not a file"
    except OSError as error:
        return b"", f"unreadable: {error.strerror}"
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            # The mark is no part of the text.
            content = content.decode(encoding, errors="replace").encode()
    return content, None if content.strip() else EMPTY


def _parse_object(text: bytes) -> dict[str, Any] | None:
    try:
        found = parsed(text)
    except (ValueError, RecursionError):  # ValueError covers torn JSON and bytes that are no text
        return None
    return found if isinstance(found, dict) else None


def parsed(text: bytes) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: if it is not JSON.
        RecursionError: if it is nested too deeply.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Tune writes NaN and Infinity, which JSON does not have but Python reads.
        return json.loads(text)


def _describe(damaged: list[int], total: int, whole: str) -> str | None:
    if not damaged:
        return None
    numbers = ", ".join(map(str, damaged[:5])) + (", ..." if len(damaged) > 5 else "")
    return f"{len(damaged)} of {total} lines not {whole}: {numbers}"
