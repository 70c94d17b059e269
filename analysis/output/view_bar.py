"""The widgets that save a view, choose a saved one, and copy a view as code."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path

import ipywidgets as widgets

from analysis.output.saved_views import ViewsError, delete_view, read_views, save_view
from analysis.output.views import View


class ViewBar(widgets.HBox):
    """A list of the saved views of an experiment, and buttons to save and delete one.

    Attributes:
        saved: the list.
        name: the name under which the view is saved.
        save: the button that saves it.
        delete: the button that deletes the view of that name.
        message: what the last click did, or why it could not.
    """

    def __init__(self, folder: Path, view: Callable[[], View], show: Callable[[View], list[str]]) -> None:
        """Make the widgets.

        Args:
            folder: the experiment.
            view: returns what is shown.
            show: shows a view, and returns the names in it that these trials do not have.
        """
        self._folder, self._view, self._show = folder, view, show
        self._views: Mapping[str, View] = {}
        self.saved = widgets.Dropdown(options=[], description="saved views", style={"description_width": "initial"})
        self.saved.layout = widgets.Layout(width="auto", min_width="180px")
        self.name = widgets.Text(placeholder="name of the view", layout=widgets.Layout(width="180px"))
        self.save = widgets.Button(description="Save", tooltip="Save what is shown under this name")
        self.delete = widgets.Button(description="Delete", tooltip="Delete the saved view of this name")
        for button in (self.save, self.delete):
            button.layout.width = "80px"
        self.message = widgets.HTML()
        self._call(lambda: self._list(read_views(folder), None), "")
        self.saved.observe(self._on_choice, "value")
        self.save.on_click(self._on_save)
        self.delete.on_click(self._on_delete)
        super().__init__(
            [self.saved, self.name, self.save, self.delete, self.message], layout=widgets.Layout(flex_flow="row wrap")
        )

    def changed(self) -> None:
        """Choose none of the saved views any more, so that each can be chosen again."""
        self.saved.value = None
        self._say("")

    def _on_choice(self, change: object) -> None:
        name = self.saved.value
        if name is None:
            return
        lost = self._show(self._views[name])
        self._list(self._views, name)
        self.name.value = name
        missing = f" It names {', '.join(lost)}, which these trials do not have." if lost else ""
        self._say(f"This is the view {name!r}.{missing}")

    def _on_save(self, button: object) -> None:
        name = self.name.value.strip()
        self._call(lambda: self._list(save_view(self._folder, name, self._view()), name), f"Saved as {name!r}.")

    def _on_delete(self, button: object) -> None:
        name = self.name.value.strip()
        if name not in self._views:
            self._say(f"There is no saved view {name!r}. Choose one in the list to delete it.")
            return
        self._call(lambda: self._list(delete_view(self._folder, name), None), f"Deleted {name!r}.")

    def _list(self, views: Mapping[str, View], chosen: str | None) -> None:
        """List the views, with one of them chosen, without showing it."""
        self._views = views
        self.saved.unobserve_all("value")
        self.saved.options = list(views)
        self.saved.value = chosen
        self.saved.observe(self._on_choice, "value")

    def _call(self, action: Callable[[], None], done: str) -> None:
        try:
            action()
        except ViewsError as error:
            self._say(str(error))
        else:
            self._say(done)

    def _say(self, text: str) -> None:
        self.message.value = html.escape(text)


class CodeBox(widgets.VBox):
    """A button that shows a view as code, and copies the code to the clipboard.

    Attributes:
        button: the button.
        code: the code, empty before the first click.
        message: whether the code is on the clipboard.
    """

    def __init__(self, code: Callable[[], str], copy: Callable[[str], None]) -> None:
        """Make the widgets.

        Args:
            code: returns the code of what is shown.
            copy: copies a text to the clipboard of the page, if it may.
        """
        self._code_of, self._copy = code, copy
        self.button = widgets.Button(description="Copy as code", icon="copy")
        self.message = widgets.Label()
        self.code = widgets.Textarea(layout=widgets.Layout(width="100%", display="none"))
        self.button.on_click(self._on_click)
        super().__init__([widgets.HBox([self.button, self.message]), self.code])

    def changed(self) -> None:
        """Hide the code, which is that of another view."""
        self.code.value, self.code.layout.display, self.message.value = "", "none", ""

    def copied(self) -> None:
        """Say that the code is on the clipboard."""
        self.message.value = "The code is on the clipboard. Paste it into a cell."

    def _on_click(self, button: object) -> None:
        self.code.value = self._code_of()
        self.code.rows = self.code.value.count("\n") + 1
        self.code.layout.display = ""
        self.message.value = "Copy this code into a cell:"
        self._copy(self.code.value)
