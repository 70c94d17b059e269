"""A headless Chromium for tests: Debian's package, driven by playwright."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium: apt-get install chromium")
# It reaches for its maker's servers otherwise.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def chromium(**options: Any) -> Iterator[Any]:
    """A page of its own, with whatever went wrong on it in `page.errors` and what it asked for in `page.requests`."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1300, "height": 1000}, **options)
        page.errors, page.requests = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        try:
            yield page
        finally:
            browser.close()


def settled(page: Any, milliseconds: int = 500) -> None:
    """Wait until what was asked for is drawn."""
    page.wait_for_timeout(milliseconds)


def screenshot(page: Any, path: Path) -> None:
    page.screenshot(path=str(path), full_page=True)
