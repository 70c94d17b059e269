"""The browser of trials: its widgets are linked, first in Python alone, then in JupyterLab as a person uses it."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.browser import chromium, needs_chromium, settled
from support.trial_folders import write_trial

from analysis import as_trials, hyperparameters, load, load_history, load_many, pivot

for name in ("plotly", "ipywidgets", "anywidget", "itables"):
    pytest.importorskip(name)

from analysis.output import browse, browse_notebook  # noqa: E402
from analysis.output.browser import Browser  # noqa: E402

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 models x 3 densities x 4 seeds, 5 epochs; one trial has failed."""
    experiment = tmp_path_factory.mktemp("runs") / "exp"
    random = np.random.default_rng(0)
    for n in range(24):
        config = {"model": ["SET", "RigL"][n // 12], "on_perc": [0.05, 0.1, 0.2][n // 4 % 3], "seed": n % 4}
        metrics = {"val_acc": random.uniform(0.8, 0.9, 5).round(4).tolist(), "noise_acc": [0.1 * n / 24] * 5}
        error = "ValueError: gone" if n == 7 else None
        write_trial(experiment / f"T_{n:05d}", config, metrics, done=n != 7, error=error)
    return experiment


@pytest.fixture
def browser(experiment: Path) -> Browser:
    return browse(load(experiment))


def heat_map_of(browser: Browser) -> Any:
    (figure,) = browser.heat_map.children
    return figure


def lines(browser: Browser) -> dict[str, list[float]]:
    (figure,) = browser.curves.children
    return {trace.name: list(trace.y) for trace in figure.data if trace.meta == "means"}


def test_it_starts_with_all_trials_the_best_first(browser: Browser, experiment: Path) -> None:
    df = load(experiment)
    assert list(browser.filters) == ["model", "on_perc", "seed", "status"]
    assert len(browser.shown) == 24
    assert browser.shown["val_acc_max"].is_monotonic_decreasing
    assert browser.metric.value == "val_acc_max"
    assert "<b>24</b> of 24 trials; left out: 1 failed of 24 trials" in browser.count.value
    expected = load_history(experiment).groupby(["model", "epoch"])["val_acc"].mean()
    for model, curve in lines(browser).items():
        np.testing.assert_allclose(curve, expected[model.split("=")[-1]].to_numpy())
    assert set(df["model"]) == {"SET", "RigL"}


def test_a_filter_changes_table_heat_map_and_curves(browser: Browser, experiment: Path) -> None:
    browser.filters["on_perc"].value = [0.05, 0.2]
    browser.filters["model"].value = ["RigL"]
    assert len(browser.shown) == 8
    assert set(browser.shown["on_perc"]) == {0.05, 0.2}
    assert "<b>8</b> of 24 trials" in browser.count.value
    browser.rows.value, browser.columns.value = "on_perc", "seed"
    cells = {(y, x) for trace in heat_map_of(browser).data for y in trace.y for x in trace.x}
    assert {str(y) for y, _ in cells} == {"0.05", "0.2"}
    assert list(lines(browser)) == ["RigL"]
    browser.filters["model"].value = []
    assert len(browser.shown) == 0
    assert "<b>0</b> of 24" in browser.count.value
    browser.filters["model"].value = ["SET", "RigL"]
    browser.filters["on_perc"].value = [0.1]
    browser.filters["status"].value = ["error"]
    assert list(browser.shown["trial_dir"]) == ["T_00007"]


def test_selected_rows_are_drawn_as_curves(browser: Browser, experiment: Path) -> None:
    browser.trials.selected_rows = [0, 3]
    assert len(browser.selected) == 2
    history = load_history(experiment).set_index("trial_dir")["val_acc"]
    chosen = list(browser.shown["trial_dir"].iloc[[0, 3]])
    assert {name: curve for name, curve in lines(browser).items()} == {
        name: history[name].tolist() for name in sorted(chosen)
    }
    browser.trials.selected_rows = []
    assert len(lines(browser)) == 2


def test_the_metric_changes_table_and_curves(browser: Browser) -> None:
    browser.metric.value = "noise_acc_last"
    assert list(browser.shown["trial_dir"])[:2] == ["T_00023", "T_00022"]
    assert max(lines(browser)["RigL"]) < 0.1


def test_a_declared_column_can_be_browsed(experiment: Path) -> None:
    df = load(experiment)
    df = as_trials(df.assign(odd=df["seed"] % 2 == 1), [*hyperparameters(df), "odd"])
    browser = browse(df[df["on_perc"] > 0.05], metric="noise_acc_max")
    browser.filters["odd"].value = [True]
    assert len(browser.shown) == 8


def test_a_computed_metric_can_be_browsed(experiment: Path) -> None:
    df = load(experiment)
    browser = browse(df, (1 - df["val_acc_max"]).rename("val_error"))
    assert browser.metric.value == "val_error" and browser.shown["val_error"].is_monotonic_increasing
    assert "val_error" not in browser.filters and "val_error" not in df


def test_a_missing_value_can_be_chosen(experiment: Path) -> None:
    df = load(experiment)
    df["weight_prune_perc"] = df["seed"].map({0: 0.3, 1: 0.3, 2: None, 3: None})
    browser = browse(as_trials(df, [*hyperparameters(df), "weight_prune_perc"]))
    assert len(browser.shown) == 24
    browser.filters["weight_prune_perc"].value = [None]
    assert set(browser.shown["seed"]) == {2, 3}


def test_trials_of_the_same_name_in_two_experiments_have_their_own_curves(tmp_path: Path) -> None:
    for name, value in (("A", 0.5), ("B", 0.7)):
        for n in range(2):
            write_trial(tmp_path / name / f"T_{n}", {"on_perc": 0.1, "seed": n}, {"val_acc": [value, value]})
    browser = browse(load_many([tmp_path / "A", tmp_path / "B"]))
    browser.trials.selected_rows = [0]
    assert list(lines(browser).values()) == [[0.7, 0.7]]


def test_of_losses_the_lowest_come_first(experiment: Path) -> None:
    df = load(experiment).assign(val_loss_min=lambda df: 1 - df["val_acc_max"])
    assert browse(df, metric="val_loss_min").shown["val_loss_min"].is_monotonic_increasing


def test_a_page_without_a_kernel_shows_tables(browser: Browser, experiment: Path) -> None:
    bundle = browser._repr_mimebundle_()
    content = bundle[0] if isinstance(bundle, tuple) else bundle
    table = pivot(load(experiment), browser.rows.value, browser.columns.value, "val_acc_max")
    for cell in table.to_numpy().flatten():
        assert cell in content["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in content


def test_errors_name_what_is_missing(experiment: Path) -> None:
    df = load(experiment)
    with pytest.raises(ValueError, match=r"Unknown column 'val_ac'.*val_acc"):
        browse(df, metric="val_ac")
    with pytest.raises(ValueError, match="The DataFrame has no metric"):
        browse(df[["model", "status", "trial_dir", "seed"]])


def test_the_notebook_in_the_repository_is_the_one_that_the_command_writes() -> None:
    assert (ROOT / "notebooks" / "browse.ipynb").read_text() == browse_notebook("../results/quickstart")


@pytest.fixture(scope="module")
def jupyter(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the notebook in a JupyterLab on loopback."""
    pytest.importorskip("jupyterlab")
    folder = tmp_path_factory.mktemp("lab")
    (folder / "browse.ipynb").write_text(browse_notebook(str(experiment)))
    home = {"JUPYTER_RUNTIME_DIR": folder / "run", "JUPYTER_CONFIG_DIR": folder / "config", "HOME": folder}
    options = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root", "--ServerApp.token=test"]
    options += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    environment = {**os.environ, **{name: str(path) for name, path in home.items()}, "PYTHONPATH": str(ROOT)}
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        yield f"{_address(folder / 'run', server)}lab/tree/browse.ipynb?token=test"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _address(folder: Path, server: subprocess.Popen) -> str:
    """Return the address of the server once it answers."""
    for _ in range(240):
        assert server.poll() is None, "JupyterLab has ended"
        for path in folder.glob("jpserver-*.json"):
            with suppress(OSError, ValueError):
                url = json.loads(path.read_text())["url"]
                urllib.request.urlopen(f"{url}api/status?token=test", timeout=5)
                return url
        time.sleep(0.25)
    raise AssertionError("JupyterLab did not start")


@needs_chromium
def test_a_person_browses_in_jupyterlab(jupyter: str, tmp_path: Path) -> None:
    with chromium() as page:
        page.goto(jupyter)
        page.wait_for_selector(".jp-Notebook", timeout=60_000)
        settled(page, 2000)
        page.get_by_text("Run", exact=True).first.click()
        page.locator("#jp-mainmenu-run").get_by_text("Run All Cells", exact=True).click()
        page.wait_for_selector(".widget-select select", timeout=60_000)
        page.wait_for_selector(".dt-container tbody tr td", timeout=30_000)
        page.wait_for_selector(".js-plotly-plot .main-svg", timeout=30_000)
        settled(page, 2000)
        count = page.locator(".jp-OutputArea b", has_text="24")
        assert count.first.is_visible()
        assert "of 24 entries" in page.locator(".dt-info").inner_text()

        # A filter changes table, heat map and curves.
        page.locator(".widget-select", has_text="model").locator("select").select_option(label="RigL")
        page.wait_for_function("document.querySelector('.dt-info').innerText.includes('of 12 entries')")
        settled(page, 1500)
        shown = page.locator(".dt-container tbody").inner_text()
        assert "RigL" in shown
        assert "SET" not in shown
        assert "SET" not in page.locator(".js-plotly-plot").first.inner_text()

        # The table can be searched, and its rows can be selected.
        page.fill(".dt-search input", "T_00020")
        page.wait_for_function("document.querySelector('.dt-info').innerText.includes('of 1 entry')")
        settled(page)
        page.locator(".dt-container tbody tr td").first.click()
        page.wait_for_function("[...document.querySelectorAll('.js-plotly-plot')].at(-1).innerText.includes('1 trial')")
        assert page.errors == []
        page.screenshot(path=str(tmp_path / "browse.png"), full_page=True)
        if "DYNSPARSE_SCREENSHOTS" in os.environ:
            page.screenshot(path=str(Path(os.environ["DYNSPARSE_SCREENSHOTS"], "browse.png")))


def test_frames_are_not_changed(experiment: Path) -> None:
    df = load(experiment)
    before = df.copy()
    browse(df).filters["model"].value = ["SET"]
    pd.testing.assert_frame_equal(df, before)
