"""The notebook that `dynsparse browse` opens."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ABOUT = """\
# Browse an experiment

Run the two code cells: in JupyterLab, press Shift+Enter in each."""
LOAD = """\
from analysis import load
from analysis.output import browse

df = load({path!r})"""
HOW = """\
Select values in the lists; hold Ctrl to select several. The table, the heat map and the curves show the matching \
trials only. Click the head of a column to sort, and rows of the table to see the learning curves of these trials.

*Save* keeps what is shown under a name, in the file `views.json` of the experiment. *Copy as code* gives the Python \
code for it. `df` is a pandas DataFrame, so you can also browse a part of it: `browse(df[df["seed"] < 3])`."""


def browse_notebook(path: str) -> str:
    """Return a notebook that browses the experiment in a folder, as the text of an .ipynb file.

    Args:
        path: the folder or the address of the experiment, as `load` takes it.

    Example:
        >>> import nbformat
        >>> from analysis.output import browse_notebook
        >>> notebook = nbformat.reads(browse_notebook("results/quickstart"), as_version=4)
        >>> print(notebook.cells[1].source)
        from analysis import load
        from analysis.output import browse
        <BLANKLINE>
        df = load('results/quickstart')
    """
    # The ids are given because those of nbformat are random: the same call writes the same file.
    cells = [
        new_markdown_cell(ABOUT, id="about"),
        new_code_cell(LOAD.format(path=path), id="load"),
        new_markdown_cell(HOW, id="how"),
        new_code_cell("browse(df)", id="browse"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    return str(nbformat.writes(notebook)) + "\n"
