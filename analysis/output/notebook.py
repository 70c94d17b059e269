"""The notebook that `dynsparse browse` opens."""

import json


def browsing(path: str) -> str:
    """A notebook that browses the experiment in a folder, in Jupyter's format."""
    cells = [
        _cell("markdown", "about", "# Browse an experiment\n\nRun the two cells: in JupyterLab, Shift+Enter in each."),
        _cell(
            "code",
            "load",
            f"from analysis import load\nfrom analysis.output.browser import browse\n\ndf = load({path!r})",
        ),
        _cell(
            "markdown",
            "how",
            "Choose values: table, heat map and curves follow. Click rows of the table to see the curves of these "
            "trials. `df` is a pandas DataFrame: what you do with it here (`df[df.seed < 3]`) you can browse.",
        ),
        _cell("code", "browse", "browse(df)"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1) + "\n"


def _cell(kind: str, name: str, source: str) -> dict[str, object]:
    lines = source.splitlines(keepends=True)
    cell: dict[str, object] = {"cell_type": kind, "id": name, "metadata": {}, "source": lines}
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell
