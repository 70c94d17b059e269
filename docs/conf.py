"""Settings of the documentation's site:  make docs"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from dynsparse import __version__  # noqa: E402
from dynsparse.config import SUBJECTS, check_of, keys  # noqa: E402
from dynsparse.planning.readers import readers  # noqa: E402

project = "dynsparse"
author = "The dynsparse developers"
copyright = "The dynsparse developers"
release = version = __version__

extensions = ["myst_parser", "sphinx_click"]
exclude_patterns = ["_build"]
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
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


# Included by reference/keys.md, so that no default is written twice.
(HERE / "_build").mkdir(exist_ok=True)
(HERE / "_build" / "keys.md").write_text(keys_tables(), encoding="utf-8")
