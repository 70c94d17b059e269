"""Make the pictures of the README from the results of `make demo`, and save figures of other pages.

    python docs/make_pictures.py results/quickstart

It needs the extras `jupyter` and `test`, and a Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from plotly.graph_objects import Figure

from analysis import load
from analysis.plots import plot_axis

PICTURES = Path(__file__).parent / "pictures"


@contextmanager
def browser_page() -> Iterator[Page]:
    """Open a page in a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_page(device_scale_factor=1)
        browser.close()


def save_figure(page: Page, figure: Figure, name: str, width: int, height: int) -> None:
    """Save a figure as a PNG file in docs/pictures."""
    figure.update_layout(width=width, height=height, paper_bgcolor="white", plot_bgcolor="white", font_color="#333333")
    page.set_viewport_size({"width": width + 20, "height": height + 20})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plot.html"
        figure.write_html(file, include_plotlyjs=True, config={"displayModeBar": False})
        page.goto(file.as_uri())
        page.wait_for_selector(".main-svg")
        page.screenshot(path=PICTURES / f"{name}.png")


def save_figures(figures: dict[str, Figure]) -> None:
    """Save figures, by the names of their files without suffix. Each keeps its own height; the width is 900 pixels."""
    with browser_page() as page:
        for name, figure in figures.items():
            save_figure(page, figure, name, 900, int(figure.layout.height or 560))


def picture_of_report(page: Page, results: Path, folder: Path) -> None:
    """Save a picture of the top of the HTML report."""
    output = folder / "report.html"
    report = [sys.executable, "-m", "dynsparse.cli", "report", str(results), "-o", str(output)]
    subprocess.run([*report, "--metric", "test_acc_at_best"], check=True)
    page.set_viewport_size({"width": 1180, "height": 1395})
    page.goto(output.as_uri())
    page.wait_for_selector(".main-svg .legend")
    page.screenshot(path=PICTURES / "report.png")


def main() -> None:
    """Make all pictures of the README."""
    results = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, browser_page() as page:
        figure = plot_axis(load(results), "on_perc", "test_acc_at_best", by="model")
        save_figure(page, figure, "quickstart", 760, 460)
        picture_of_report(page, results, Path(folder))


if __name__ == "__main__":
    main()
