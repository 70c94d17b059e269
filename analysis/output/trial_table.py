"""The table of the browser: itables, with its code outside the notebook, and sorted by the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets
from itables.widget import ITable

from analysis.output.html import with_texts
from analysis.output.views import View

# Half a megabyte of JavaScript, and its styles.
CODE = [str(ITable._esm).encode(), str(ITable._css).encode()]
ARROWS = {True: " ↓", False: " ↑"}


class TrialTable(ITable):
    """A table of trials whose rows can be selected. A click on the head of a column calls `on_sort` with its place.

    The widget asks for its code when it is shown. A notebook that was saved with its widgets stays small, and shows
    `without_kernel` if no kernel answers.
    """

    _esm = Path(__file__).with_name("trial_table.js")
    _css = ".itables_anywidget thead th { cursor: pointer; }"
    without_kernel = traitlets.Unicode().tag(sync=True)

    def __init__(self, on_sort: Callable[[int], None], on_copied: Callable[[], None]) -> None:
        """Make an empty table.

        Args:
            on_sort: called with the number of a column when its head is clicked.
            on_copied: called when a text that `copy` has sent is on the clipboard.
        """
        super().__init__(
            pd.DataFrame(), select=True, showIndex=False, allow_html=False, maxBytes=0, ordering=False, scrollX=True
        )
        self._on_sort, self._on_copied = on_sort, on_copied
        self.on_msg(self._on_message)

    def show(self, trials: pd.DataFrame, view: View) -> None:
        """Show the columns of a view, for trials that are in its order."""
        arrow = {view.sort_by: view.sort_by + ARROWS[view.descending]}
        self.update(with_texts(trials[list(view.columns)]).rename(columns=arrow))

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard of the page, if it may."""
        self.send({"kind": "copy", "text": text})

    def _on_message(self, widget: object, content: Any, buffers: object) -> None:
        """Answer the page; a message of another form is none of ours."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "code":
            self.send({"kind": "code"}, CODE)
        elif kind == "sort" and isinstance(content.get("column"), int):
            self._on_sort(content["column"])
        elif kind == "copied":
            self._on_copied()
