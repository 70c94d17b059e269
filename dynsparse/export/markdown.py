"""Texts in Markdown, shown as they are: a name or a value never becomes a heading, a link, HTML or code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from dynsparse.io.terminal import printable

# Characters that begin something in Markdown; a "_" does so only at the edge of a word.
SPECIAL = re.compile(r"[\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_])")


def escaped(text: object) -> str:
    """Return a text in one line, shown as it is."""
    line = _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\g<0>", line)


def code(text: object) -> str:
    """Return a text as code within a line or a table cell."""
    return "`" + _line(text).replace("`", "'").replace("|", "\\|") + "`"


def literal(text: str) -> str:
    """Return the Python literal of a text in double quotes."""
    return json.dumps(text)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; numbers have four digits. Texts must be escaped already."""
    return tabulate(rows, headers, tablefmt="pipe", floatfmt=".4g", disable_numparse=[0])


def _line(text: object) -> str:
    """Return a text in one line. A line break would end the row of a table."""
    return " ".join(printable(str(text)).split())
