"""The browser of trials: its widgets are linked, first in Python alone, then in JupyterLab as a person uses it."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.browser import chromium, needs_chromium, settled
from support.trial_folders import write_trial

from analysis import as_trials, hyperparameters, load, load_example, load_history, load_many, pivot

for name in ("plotly", "ipywidgets", "anywidget", "itables"):
    pytest.importorskip(name)

from plotly.io import from_json  # noqa: E402

from analysis.output import browse, browse_notebook  # noqa: E402
from analysis.output.browser import PLOTLY, Browser  # noqa: E402
from analysis.output.saved_views import save_view  # noqa: E402

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


def figure_in(output: Any) -> Any:
    (shown,) = output.outputs
    return from_json(json.dumps(shown["data"][PLOTLY]))


def lines(browser: Browser) -> dict[str, list[float]]:
    return {trace.name: numbers(trace.y) for trace in figure_in(browser.curves).data if trace.meta == "means"}


def numbers(values: Any) -> list[float]:
    """The numbers of a trace, which plotly writes as bytes."""
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()


def head(browser: Browser) -> list[str]:
    return list(browser.trials.df)


def test_it_starts_with_all_trials_the_best_first(browser: Browser, experiment: Path) -> None:
    df = load(experiment)
    assert list(browser.filters) == ["model", "on_perc", "seed", "status"]
    assert len(browser.shown) == 24
    assert browser.shown["val_acc_max"].is_monotonic_decreasing
    assert browser.controls.metric.value == "val_acc_max"
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
    browser.controls.rows.value, browser.controls.across.value = "on_perc", "seed"
    cells = {(y, x) for trace in figure_in(browser.heat_map).data for y in trace.y for x in trace.x}
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
    browser.controls.metric.value = "noise_acc_last"
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
    assert browser.controls.metric.value == "val_error" and browser.shown["val_error"].is_monotonic_increasing
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
    table = pivot(load(experiment), browser.controls.rows.value, browser.controls.across.value, "val_acc_max")
    for cell in table.to_numpy().flatten():
        assert cell in content["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in content


def test_trials_whose_rows_are_not_there_have_no_curves() -> None:
    own = as_trials(pd.DataFrame({"width": [1, 2], "acc": [0.5, 0.6]}), ["width"], ["acc"])
    for df, reason in ((own, "Pass them: browse(df, history=...)"), (load_example("quickstart"), "does not exist")):
        browser = browse(df, "acc" if df is own else None)
        assert reason in browser.curves.outputs[0]["data"]["text/plain"] and browser.heat_map.outputs


def test_errors_name_what_is_missing(experiment: Path) -> None:
    df = load(experiment)
    with pytest.raises(ValueError, match=r"Unknown column 'val_ac'.*val_acc"):
        browse(df, metric="val_ac")
    with pytest.raises(ValueError, match="The DataFrame has no metric"):
        browse(df[["model", "status", "trial_dir", "seed"]])


def message(browser: Browser, **content: object) -> None:
    """Deliver a message of the page to the table, as a click sends it."""
    browser.trials._handle_custom_msg(content, [])


def test_a_click_on_the_head_of_a_column_sorts(browser: Browser) -> None:
    browser.trials.selected_rows = [2]
    message(browser, kind="sort", column=head(browser).index("seed"))
    assert browser.shown["seed"].is_monotonic_increasing and "seed ↑" in head(browser)
    assert list(browser.trials.df["seed ↑"]) == list(browser.shown["seed"])
    assert len(browser.selected) == 24, "a row that was selected is somewhere else now"
    message(browser, kind="sort", column=head(browser).index("seed ↑"))
    assert browser.shown["seed"].is_monotonic_decreasing and browser.controls.descending.value
    browser.controls.sort_by.value = "val_acc_last"
    browser.controls.descending.value = False
    assert browser.shown["val_acc_last"].is_monotonic_increasing


@pytest.mark.parametrize(
    "content", [{}, {"kind": "sort"}, {"kind": "sort", "column": "1"}, {"column": 1}, "sort", None]
)
def test_other_messages_of_a_page_change_nothing(browser: Browser, content: Any) -> None:
    before = browser.view
    browser.trials._handle_custom_msg(content, [])
    for place in (-1, 99, 10**30):
        message(browser, kind="sort", column=place)
    assert browser.view == before


def test_columns_can_be_added_moved_and_removed(browser: Browser) -> None:
    usual = ["val_acc_max ↓", "model", "on_perc", "seed", "status", "epochs", "trial_dir"]
    assert head(browser) == usual
    browser.trials.selected_rows = [1]
    browser.controls.add_column.value = "noise_acc_last"
    assert head(browser) == [*usual, "noise_acc_last"] and browser.controls.add_column.value is None
    browser.controls.columns.value = ["noise_acc_last", "model"]
    assert head(browser) == ["noise_acc_last", "model"]
    assert browser.trials.selected_rows == [1] and len(browser.selected) == 1
    browser.controls.metric.value = "noise_acc_last"
    assert head(browser) == ["noise_acc_last ↓", "model"]
    browser.controls.columns.value = []
    assert head(browser) == ["noise_acc_last ↓", *usual[1:]], "nobody wants an empty table"
    assert browser.controls.columns.value == list(browser.view.columns)


def test_a_view_is_saved_and_chosen_again(experiment: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(experiment, tmp_path / "exp")
    browser = browse(load(folder))
    browser.filters["model"].value = ["RigL"]
    browser.controls.columns.value = ["on_perc", "val_acc_max"]
    browser.controls.rows.value, browser.controls.curves_by.value = "seed", "on_perc"
    message(browser, kind="sort", column=0)
    saved = browser.view
    browser.views.name.value = "RigL by density"
    browser.views.save.click()
    assert browser.views.saved.value == "RigL by density" and "Saved as" in browser.views.message.value
    browser.filters["model"].value = ["SET"]
    browser.controls.metric.value = "noise_acc_max"
    assert browser.views.saved.value is None and browser.views.message.value == ""

    # Another notebook, later.
    other = browse(load(folder))
    assert other.views.saved.options == ("RigL by density",) and other.views.saved.value is None
    for each in (other, browser, other):
        each.views.saved.value = None
        each.views.saved.value = "RigL by density"
        assert each.view == saved and each.controls.rows.value == "seed"
        assert set(each.shown["model"]) == {"RigL"} and head(each) == ["on_perc ↑", "val_acc_max"]
        assert each.views.saved.value == each.views.name.value == "RigL by density"
    other.views.delete.click()
    assert other.views.saved.options == () and "Deleted" in other.views.message.value
    other.views.delete.click()
    assert "There is no saved view" in other.views.message.value
    assert other.view == saved, "a deleted view is still shown"


def test_a_view_says_what_the_trials_do_not_have(experiment: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(experiment, tmp_path / "exp")
    view = replace(browse(load(folder)).view, columns=("<b>gone</b>", "seed"), filters={"model": ("GMP",)})
    save_view(folder, "old", view)
    browser = browse(load(folder))
    browser.views.saved.value = "old"
    assert head(browser) == ["seed"] and len(browser.shown) == 24
    assert "names model, &lt;b&gt;gone&lt;/b&gt;, which these trials do not have" in browser.views.message.value


@pytest.mark.parametrize("content", ["{", '{"version": 1, "views": {"<b>": 3}}'])
def test_a_damaged_file_of_views_is_a_message(experiment: Path, tmp_path: Path, content: str) -> None:
    folder = shutil.copytree(experiment, tmp_path / "exp")
    (folder / "views.json").write_text(content)
    browser = browse(load(folder))
    for click in (lambda: None, browser.views.save.click):
        browser.views.name.value = "a"
        click()
        assert "views.json cannot be read: " in browser.views.message.value and "<b>" not in browser.views.message.value
        assert browser.views.saved.options == () and (folder / "views.json").read_text() == content


def test_views_of_several_experiments_have_no_file(experiment: Path, tmp_path: Path) -> None:
    write_trial(tmp_path / "B" / "T_0", {"model": "GMP"}, {"val_acc": [0.5]})
    own = as_trials(pd.DataFrame({"width": [1, 2], "acc": [0.5, 0.6]}), ["width"], ["acc"])
    for browser in (browse(load_many([experiment, tmp_path / "B"])), browse(own, "acc")):
        assert browser.views is None
        browser.code.button.click()
        assert "table = shown[[" in browser.code.code.value


def test_what_is_shown_is_copied_as_code(browser: Browser) -> None:
    browser.filters["model"].value = ["RigL"]
    browser.controls.sort_by.value = "on_perc"
    browser.trials.send = (sent := []).append
    browser.code.button.click()
    code = browser.code.code.value
    assert sent == [{"kind": "copy", "text": code}] and browser.code.message.value == "Copy this code into a cell:"
    message(browser, kind="copied")
    assert browser.code.message.value == "The code is on the clipboard. Paste it into a cell."
    names: dict[str, Any] = {}
    exec(code, names)
    pd.testing.assert_frame_equal(names["table"].reset_index(drop=True), browser.shown[list(browser.view.columns)])
    assert names["figure"] == figure_in(browser.curves)
    browser.filters["model"].value = ["SET"]
    assert browser.code.code.value == "" and browser.code.code.layout.display == "none"


def test_texts_of_trials_are_escaped(tmp_path: Path) -> None:
    tag = "<img src=x onerror=alert(1)>"
    for n in range(4):
        write_trial(tmp_path / f"T_{n}", {"model": tag, tag: n}, {"val_loss": [float("nan")], "val_acc": [0.1]})
    browser = browse(load(tmp_path), metric="val_acc_max")
    bundle = browser._repr_mimebundle_()
    content = bundle[0] if isinstance(bundle, tuple) else bundle
    texts = [browser.count.value, content["text/html"], browser.trials.without_kernel]
    texts += [output.outputs[0]["data"].get("text/html", "") for output in (browser.heat_map, browser.curves)]
    texts += [str(value) for value in browser.trials._dt_args.values() if "<th" in str(value)]
    assert not any(tag in each for each in texts)
    assert any("&lt;img" in each for each in texts)


def test_the_code_of_the_table_comes_on_request(browser: Browser) -> None:
    sent: list[Any] = []
    browser.trials.send = lambda *arguments: sent.append(arguments)
    message(browser, kind="code")
    [(content, [script, style])] = sent
    assert content == {"kind": "code"} and b"export{" in script and b"dt-container" in style


def test_a_notebook_that_was_run_is_small(experiment: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.reads(browse_notebook(str(experiment)), as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    text = nbformat.writes(notebook)
    # Each widget with the code of plotly would add 5 MB, and that of the table 0.7 MB.
    assert "application/vnd.jupyter.widget-state+json" in notebook.metadata.widgets
    assert PLOTLY in text and "trial_dir" in text and len(text) < 300_000


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


def choose(page: Any, name: str, option: str) -> None:
    page.locator(".widget-dropdown", has_text=name).locator("select").select_option(label=option)


@needs_chromium
@pytest.mark.faults
def test_a_person_browses_in_jupyterlab(jupyter: str, tmp_path: Path) -> None:
    with chromium(permissions=["clipboard-read", "clipboard-write"]) as page:
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

        # A click on the head of a column sorts, and a column can be added.
        page.locator(".dt-container thead th", has_text="seed").first.click()
        page.wait_for_function("document.querySelector('.dt-container thead').innerText.includes('seed ↑')")
        choose(page, "add a column", "noise_acc_last")
        page.wait_for_function("document.querySelector('.dt-container thead').innerText.includes('noise_acc_last')")

        # A view is saved, and chosen again after a change.
        page.fill("input[placeholder='name of the view']", "RigL by seed")
        page.get_by_role("button", name="Save", exact=True).last.click()
        page.wait_for_function("document.body.innerText.includes(\"Saved as 'RigL by seed'\")")
        choose(page, "sort by", "on_perc")
        page.locator(".widget-select", has_text="model").locator("select").select_option(label="SET")
        page.wait_for_function("document.querySelector('.dt-container thead').innerText.includes('on_perc ↑')")
        choose(page, "saved views", "RigL by seed")
        page.wait_for_function("document.querySelector('.dt-container thead').innerText.includes('seed ↑')")
        settled(page)
        assert "SET" not in page.locator(".dt-container tbody").inner_text()

        # The code is shown, and on the clipboard.
        page.get_by_role("button", name="Copy as code").last.click()
        page.wait_for_function("document.body.innerText.includes('The code is on the clipboard')")
        code = page.locator(".widget-textarea textarea").input_value()
        assert page.evaluate("navigator.clipboard.readText()") == code and "model == 'RigL'" in code

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
