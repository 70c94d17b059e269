"""Output for people: printed tables, files, the HTML report, notebooks and the browser of trials.

Import from here: `from analysis.output import browse, report`. Numbers stay numbers until they are formatted here. Each
function takes the DataFrame of `load`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from analysis.output.save_table import save
from analysis.output.tables import failures, format_table, left_out, pivot

if TYPE_CHECKING:
    from analysis.output.browser import browse
    from analysis.output.html_report.page import report
    from analysis.output.notebook import browse_notebook

__all__ = ["browse", "browse_notebook", "failures", "format_table", "left_out", "pivot", "report", "save"]

# These need plotly, ipywidgets, itables or nbformat, which `import analysis` must do without.
_ON_FIRST_USE = {"browse": "browser", "browse_notebook": "notebook", "report": "html_report.page"}


def __getattr__(name: str) -> Any:
    """Import a function that needs the extra `jupyter` when it is first used."""
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_ON_FIRST_USE[name]}"), name)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        message = f"{__name__}.{name} needs {package}, which is not installed. Run: pip install 'dynsparse[jupyter]'"
        raise ImportError(message, name=package) from error
