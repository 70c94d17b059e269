"""Readers of the files of a trial. They never raise: each returns the undamaged part, and the problem or None."""

import codecs
import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from analysis.frame.words import printable
from analysis.loading.json_text import parse_json
from analysis.loading.regular_files import IrregularFileError, open_regular, read_up_to

# The largest JSON object that is read, as a file or as a row.
LARGEST_OBJECT = 16 * 2**20
# Of an error's text only the end is read.
LAST_BYTES = 2**20
# Tune writes these in every row; a CSV without any of them is damaged or not from Tune.
ROW_MARKS = {"training_iteration", "trial_id", "time_this_iter_s", "done"}
# Windows programs mark the encoding of a text at its beginning.
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# The cells of a CSV file without a value.
NO_VALUE = ("", "None")
EMPTY = "empty"
MISSING = "missing"


def read_object(path: Path, limit: int = LARGEST_OBJECT) -> tuple[dict[str, Any], str | None]:
    """Return the JSON object of a file, or {}; and the file's problem or None. A file above the limit is not read."""
    content, problem = _read_bytes(path, limit)
    if problem:
        return {}, problem
    found = _parse_object(content)
    return (found, None) if found is not None else ({}, "not one whole JSON object")


def read_json_rows(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """Return every line that is a whole JSON object, in order; and the number of damaged lines as text, or None.

    The file is read as far as it is worth it: to a line that is longer than any row, or until much of it is damaged.
    """
    rows: list[dict[str, Any]] = []
    damaged, n_bad_bytes = list[int](), 0
    try:
        with open_regular(path) as file:
            for number, line in enumerate(_lines(file), start=1):
                row = _parse_object(line)
                if row is not None:
                    rows.append(row)
                elif line and not line.isspace():
                    damaged.append(number)
                    n_bad_bytes += len(line)
                    if n_bad_bytes >= LARGEST_OBJECT:
                        break
    except OSError as error:
        return rows, _problem_of(error)
    if not rows and not damaged:
        return [], EMPTY
    problem = _describe(damaged, len(rows) + len(damaged), "a whole JSON object")
    return rows, f"{problem}; what follows is not read" if n_bad_bytes >= LARGEST_OBJECT else problem


def read_csv_rows(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """Return every whole row of a CSV file with a header, values as text or None; and the file's problem or None."""
    try:
        with open_regular(path) as file:
            text = [line.decode(errors="replace") for line in _lines(file)]
    except OSError as error:
        return [], _problem_of(error)
    if not any(line.strip() for line in text):
        return [], EMPTY
    try:
        # A line ends in any way that Python knows.
        lines = [line for line in csv.reader(io.StringIO("\n".join(text), newline="")) if line]
    except csv.Error as error:
        return [], f"not CSV: {error}"
    if not lines or not ROW_MARKS & set(lines[0]):
        return [], "without the header of Tune's rows"
    header, *rows = lines
    # Of two columns with one name none may hide the other: the second gets the name that pandas.read_csv gives it.
    if len(set(header)) < len(header):
        header = _distinct(header)
    # A last line without a line end may have lost digits of its last value, which would give another number.
    is_torn = [len(row) != len(header) for row in rows]
    if rows and text[-1]:
        is_torn[-1] = True
    damaged = [number for number, torn in enumerate(is_torn, start=2) if torn]
    values = [[None if cell in NO_VALUE else cell for cell in row] for row in rows]
    whole = [dict(zip(header, row, strict=True)) for row, torn in zip(values, is_torn, strict=True) if not torn]
    return whole, _describe(damaged, len(rows), "a whole row")


def _distinct(names: list[str]) -> list[str]:
    counts: Counter[str] = Counter()
    distinct = []
    for name in names:
        distinct.append(f"{name}.{counts[name]}" if counts[name] else name)
        counts[name] += 1
    return distinct


def read_last_line(path: Path) -> tuple[str | None, str | None]:
    """Return the last line of a text that is not blank, or None; and the file's problem or None."""
    text, problem = read_end(path)
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), None), problem


def read_end(path: Path) -> tuple[str, str | None]:
    """Return the end of a text, at most 1 MiB, as printable lines; and the file's problem or None."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - LAST_BYTES, 0))
            content = file.read(LAST_BYTES)
    except OSError as error:
        return "", _problem_of(error)
    if size > LAST_BYTES:
        # The rest of the line, or of the character, that was cut.
        content = content.partition(b"\n")[2] or content.lstrip(bytes(range(0x80, 0xC0)))
    content = _without_mark(content)
    if not content.strip():
        return "", EMPTY
    problem = None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text, problem = content.decode(errors="replace"), "not UTF-8 text"
    return printable(text.replace("\r", "\n")), problem


def _read_bytes(path: Path, limit: int) -> tuple[bytes, str | None]:
    try:
        with open_regular(path) as file:
            content = read_up_to(file, limit + 1)
    except OSError as error:
        return b"", _problem_of(error)
    if len(content) > limit:
        return b"", f"larger than {limit >> 20} MiB, so it is not read"
    content = _without_mark(content)
    return content, None if content.strip() else EMPTY


def _problem_of(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return MISSING
    return str(error.strerror) if isinstance(error, IrregularFileError) else f"unreadable: {error.strerror}"


def _without_mark(content: bytes) -> bytes:
    """Return a text in UTF-8, without the mark of its encoding."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace").encode()
    return content


def _lines(file: BinaryIO) -> Iterable[bytes]:
    """Return the lines of a text in UTF-8, without the mark of its encoding.

    After a last line end there is an empty line. A line that is too long is cut and the last: a file of holes is one
    line, which may be longer than the memory.
    """
    content = read_up_to(file, LARGEST_OBJECT)
    if len(content) < LARGEST_OBJECT:
        # Nearly every file.
        return _without_mark(content).split(b"\n")
    file.seek(3 if content.startswith(codecs.BOM_UTF8) else 0)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = io.TextIOWrapper(file, "utf-16", errors="replace", newline="\n")
        return _up_to_a_long_line(line.encode() for line in iter(lambda: text.readline(LARGEST_OBJECT), ""))
    return _up_to_a_long_line(iter(lambda: file.readline(LARGEST_OBJECT), b""))


def _up_to_a_long_line(lines: Iterable[bytes]) -> Iterator[bytes]:
    line = b""
    for line in lines:
        yield line.removesuffix(b"\n")
        if len(line) >= LARGEST_OBJECT:
            return
    if line.endswith(b"\n"):
        yield b""


def _parse_object(text: bytes) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        found = parse_json(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _describe(damaged: list[int], total: int, whole: str) -> str | None:
    if not damaged:
        return None
    numbers = ", ".join(map(str, damaged[:5])) + (", ..." if len(damaged) > 5 else "")
    return f"{len(damaged)} of {total} lines not {whole}: {numbers}"
