"""The blocks of code in the README and in docs/, and a session that runs those of a page."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

import dynsparse.cli

ROOT = Path(__file__).parents[2]
NOTE = re.compile(r"<!-- (not run|save as): (.*?) -->")


class Block(NamedTuple):
    """A block of code.

    Two comments above a block, which a reader of the page does not see, say how it is treated:
    `<!-- not run: REASON -->` and `<!-- save as: FILE -->`.
    """

    place: str  # page:line
    language: str
    text: str
    not_run: str | None
    save_as: str | None


def pages() -> list[str]:
    """Return the README and the pages of docs/ in the order of the site: a page may use what an earlier one wrote."""
    return ["README.md", *_with_children("docs/index.md")]


def _with_children(page: str) -> list[str]:
    """Return a page and all pages below it."""
    trees = [block.text for block in blocks(page) if block.language.startswith("{toctree}")]
    names = [line for text in trees for line in text.splitlines() if line and not line.startswith(":")]
    folder = Path(page).parent
    return [page, *(each for name in names for each in _with_children(f"{folder / name}.md"))]


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    found: list[Block] = []
    notes: dict[str, str] = {}
    for token in MarkdownIt().parse((ROOT / page).read_text()):
        if token.type == "html_block":
            notes |= dict(NOTE.findall(token.content))
        elif token.type == "fence":
            line = token.map[0] + 1 if token.map else 0
            place = f"{page}:{line}"
            found.append(
                Block(place, token.info, token.content, notes.pop("not run", None), notes.pop("save as", None))
            )
    return found


class Session:
    """Runs the blocks of a page: Python in one namespace, commands in the current folder."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {"__name__": "page"}

    def run(self, block: Block) -> str:
        """Run a block and return what it printed. Raises: whatever the block raises; AssertionError if it fails."""
        if block.save_as is not None:
            path = Path(block.save_as)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        if block.language == "bash":
            return "".join(dynsparse_command(line) for line in block.text.splitlines())
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text, block.place, "exec"), self._names)
        return printed.getvalue()


def dynsparse_command(command: str) -> str:
    """Run a command in this process and return what it printed; `> FILE` works as in a shell.

    Raises: AssertionError if the command fails, prints nothing, or is not one of dynsparse.
    """
    typed, _, file = command.partition(" > ")
    program, *arguments = shlex.split(typed)
    assert program == "dynsparse", f"{command!r} cannot be run here; put <!-- not run: REASON --> above its block"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            code = dynsparse.cli.main.main(arguments, prog_name="dynsparse", standalone_mode=True)
        except SystemExit as end:
            code = end.code
    assert code in (None, 0), f"{command} ended with {code}:\n{printed.getvalue()}"
    assert printed.getvalue().strip(), f"{command} printed nothing"
    if file:
        Path(file).write_text(printed.getvalue())
    return printed.getvalue()
