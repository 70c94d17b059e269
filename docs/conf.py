"""Settings of the site of the documentation; `make docs` builds it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "results")]

from reproduce import PAGES  # noqa: E402

from dynsparse import __version__  # noqa: E402
from dynsparse.config import SUBJECTS, Config, check_of, keys  # noqa: E402
from dynsparse.engines import choose_for_config  # noqa: E402
from dynsparse.methods import METHODS  # noqa: E402
from dynsparse.planning.readers import readers  # noqa: E402

project = "dynsparse"
author = "The dynsparse developers"
copyright = "The dynsparse developers"
release = version = __version__

extensions = ["myst_parser", "sphinx_click", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Quotes in docstrings are those of code, and two dashes begin an option.
smartquotes = False
# In docstrings, `name` is code.
default_role = "code"
add_module_names = False
# The plots are documented without the extra `jupyter`.
autodoc_mock_imports = ["plotly", "PIL", "ipywidgets", "itables", "nbformat"]
exclude_patterns = ["_build"]
html_title = "dynsparse"
html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_toc_level": 2}
html_sidebars = {"index": []}
html_show_sourcelink = False
# Pages link each other's headings, and files of the checkout by their path.
myst_heading_anchors = 3


def keys_tables() -> str:
    """Return every key of a configuration as Markdown, a table for each subject."""
    lines: list[str] = []
    for name, field in keys().items():
        if name in SUBJECTS:
            lines += [
                "",
                f"## {SUBJECTS[name]}",
                "",
                "| key | default | meaning | values | read by |",
                "|---|---|---|---|---|",
            ]
        read_by = "; ".join(f"{choice}: {', '.join(values)}" for choice, values in readers(name).items())
        cells = (f"`{name}`", f"`{field.default!r}`", field.metadata["meaning"], str(check_of(field)), read_by)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def engines_table() -> str:
    """Return which engine runs which method, as a Markdown table."""
    engines = {name: {"engine": name} for name in ("sparse", "packed", "torch")}
    engines["module"] = {"engine": "module", "network": "LeNet5"}
    lines = [f"| `model` | {' | '.join(f'`{name}`' for name in engines)} |", "|---" * (1 + len(engines)) + "|"]
    for model in METHODS:
        runs = [runs_in_engine(model, keys) for keys in engines.values()]
        lines.append(f"| `{model}` | {' | '.join('yes' if each else '' for each in runs)} |")
    return "\n".join(lines) + "\n"


def runs_in_engine(model: str, keys: dict[str, str]) -> bool:
    """Return True if the engine that the keys name supports a method."""
    try:
        choose_for_config(Config(model=model, **keys))
    except ValueError:
        return False
    return True


def as_rst(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Change a docstring in place from what reads well in the source to reStructuredText.

    A list gets an empty line before and after it, and "|" outside examples is not the mark of a substitution.
    """
    found: list[str] = []
    in_list = in_example = False
    for line in lines:
        text = line.strip()
        in_example = text.startswith(">>>") or (in_example and bool(text))
        is_item = text.startswith("- ")
        if (is_item and not in_list) or (in_list and text and not is_item and not line.startswith(" ")):
            found.append("")
        in_list = is_item or (in_list and line.startswith(" "))
        found.append(line if in_example else line.replace("|", "\\|"))
    lines[:] = found


def setup(app: Any) -> None:
    """Connect to Sphinx, after Napoleon."""
    app.connect("autodoc-process-docstring", as_rst)


# Included by reference/keys.md, explanation/engines.md and the pages of results, so that no default is written twice
# and no table is old.
(HERE / "_build").mkdir(exist_ok=True)
(HERE / "_build" / "keys.md").write_text(keys_tables(), encoding="utf-8")
(HERE / "_build" / "engines.md").write_text(engines_table(), encoding="utf-8")
for page in PAGES.values():
    for name, table in page.tables().items():
        (HERE / "_build" / f"{name}.md").write_text(table + "\n", encoding="utf-8")
