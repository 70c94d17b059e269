"""Make the pictures of the README from the results of `make demo`: `python docs/make_pictures.py results/quickstart`.

It needs the extras `jupyter` and `test`, and a Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from analysis import load
from analysis.plots import plot_axis

PICTURES = Path(__file__).parent / "pictures"


def picture_of_plot(page: Page, results: Path, folder: Path) -> None:
    """Save a picture of the mean accuracy of each method over density."""
    figure = plot_axis(load(results), "on_perc", "test_acc_at_best", by="model")
    figure.update_layout(width=760, height=460, paper_bgcolor="white", plot_bgcolor="white", font_color="#333333")
    figure.write_html(folder / "plot.html", include_plotlyjs=True, config={"displayModeBar": False})
    page.set_viewport_size({"width": 780, "height": 480})
    page.goto((folder / "plot.html").as_uri())
    page.wait_for_selector(".main-svg")
    page.screenshot(path=PICTURES / "quickstart.png")


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
    """Make all pictures."""
    results = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(device_scale_factor=1)
        picture_of_plot(page, results, Path(folder))
        picture_of_report(page, results, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
