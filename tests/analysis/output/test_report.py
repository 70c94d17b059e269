"""The report: its content, and how a browser without a network shows it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.browser import chromium, needs_chromium, settled
from support.grids import grid
from support.trial_folders import write_trial

from analysis import as_trials, compare, load, load_example, load_history

pytest.importorskip("plotly")
pytest.importorskip("itables")

from analysis.output import report

# The first background that is not transparent, and the colour of the text.
BEHIND_AND_TEXT = """place => {
    const text = document.querySelector(place);
    let behind = text;
    while (getComputedStyle(behind).backgroundColor == "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    return [getComputedStyle(behind).backgroundColor, getComputedStyle(text).color];
}"""
HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 models x 3 densities x 4 seeds. The second model is better by 0.05, and half of it failed at 0.05."""
    experiment = tmp_path_factory.mktemp("runs") / "exp"
    random = np.random.default_rng(0)
    n = 0
    for model in ("SET", HOSTILE):
        for on_perc in (0.05, 0.1, 0.2):
            for seed in range(4):
                fails = model == HOSTILE and on_perc == 0.05 and seed % 2
                base = 0.8 + 0.05 * (model == HOSTILE) + on_perc / 10
                curve = [base - 0.1 / (epoch + 1) + random.normal(0, 0.002) for epoch in range(2 if fails else 6)]
                config = {"model": model, "on_perc": on_perc, "seed": seed, "note": HOSTILE}
                error = f"Traceback:\nValueError: {HOSTILE}\n" if fails else None
                write_trial(experiment / f"T_{n:05d}", config, {"val_acc": curve}, done=not fails, error=error)
                n += 1
    (experiment / "T_00000" / "progress.csv").write_bytes(b"\xff\xfe")
    (experiment / "T_00000" / "result.json").write_text(
        (experiment / "T_00000" / "result.json").read_text() + '{"val_acc": 0.'
    )
    return experiment


@pytest.fixture(scope="module")
def page(experiment: Path) -> str:
    return report(load(experiment), "val_acc_max", load_history(experiment), title=f"exp {HOSTILE}")


def test_it_has_the_conclusions_of_compare(page: str, experiment: Path) -> None:
    import html

    sentences = compare(load(experiment), ["model", "on_perc"], "val_acc_max")["conclusion"]
    assert len(sentences) == 4
    for sentence in sentences:
        assert html.escape(sentence) in page
    assert "survivors" in page
    assert "left out: 2 failed of 24 trials" in page


def test_every_section_has_a_link(page: str) -> None:
    names = re.findall(r'<h2 id="([^"]+)">', page)
    assert names == [
        "hyperparameters", "comparisons", "importance", "effect-of-each-hyperparameter", "learning-curves",
        "best-trials", "failures-and-damaged-files", "all-trials",
    ]  # fmt: skip
    assert re.findall(r'<a href="#([^"]+)">', page) == names


def test_nothing_is_fetched_and_texts_are_escaped(page: str) -> None:
    assert "<script src=" not in page
    assert "<link" not in page
    assert HOSTILE not in page
    assert "<script>window.hacked" not in page
    assert "<img src=x" not in page


def test_it_says_which_trials_never_left_chance_level(page: str) -> None:
    assert "chance level" not in page
    df = load_example("quickstart")
    df.loc[(df["on_perc"] == 0.02) & (df["seed"] == 0) & (df["model"] != "RigL"), "at_chance"] = True
    section = report(df, "val_acc_max").split('<h2 id="failures-and-damaged-files">')[1]
    assert "2 of 27 complete trials never left chance level." in section
    assert "<li>on_perc=0.02 (2 of 9)</li>" in section


def test_comparisons_show_the_means_within_the_strongest_other_axis() -> None:
    # On average a is better by 0.05. At density 0.1 it is worse, by 0.1.
    value = {("a", 0.1): 0.7, ("b", 0.1): 0.8, ("a", 0.5): 0.9, ("b", 0.5): 0.7}
    df = grid(
        lambda model, on_perc, seed: value[model, on_perc] + seed / 1000, model="ab", on_perc=[0.1, 0.5], seed=[0, 1]
    )
    df = as_trials(df.assign(epochs=1, error=None), ["model", "on_perc", "seed"], ["val_acc_max"])
    section = report(df, "val_acc_max").split('<h2 id="importance">')[0].split('<h2 id="comparisons">')[1]
    assert "The model with the best mean depends on on_perc: b at 0.1, a at 0.5." in section
    assert "<th>model</th><th>on_perc=0.1</th><th>on_perc=0.5</th>" in section
    means = df.groupby(["model", "on_perc"])["val_acc_max"].mean()
    for model in "ab":
        cells = re.search(f"<tr><td>{model}</td>(.*?)</tr>", section)
        assert cells and [cell[:5] for cell in re.findall("<td>([^<]+)", cells[1])] == [
            f"{m:.3f}" for m in means[model]
        ]
    same = report(df.assign(val_acc_max=df["val_acc_max"] + (df["model"] == "a")), "val_acc_max")
    assert (
        "model with the best mean depends on" not in same
        and "The comparison is over all trials. Within each on_perc:" in same
    )


def test_a_plot_that_is_left_out_has_a_reason() -> None:
    columns = {"val_acc_max": [0.5], "val_acc_max_epoch": [1], "epochs": [2], "trial_id": ["a"], "trial_dir": ["T"]}
    df = pd.DataFrame({**columns, "seed": [0], "status": ["complete"], "error": [None], "experiment_file_name": ["x"]})
    page = report(df, "val_acc_max")
    assert "All trials have the same hyperparameters." in page
    assert "A plot is left out." in page
    assert "learning-curves" not in page
    assert "All trials are complete" in page


def test_low_losses_are_best(experiment: Path) -> None:
    df = load(experiment).assign(val_loss_min=lambda df: 1 - df["val_acc_max"])
    for page, first in [
        (report(df, "val_loss_min"), df["val_loss_min"].min()),
        (report(df, "val_loss_min", lowest=False), df["val_loss_min"][df["status"] == "complete"].max()),
    ]:
        best = page[page.index('id="best-trials"') :]
        assert re.findall(r'<td class="number">([^<]+)</td>', best)[0] == f"{first:.4g}"


def test_bad_metrics(experiment: Path) -> None:
    df = load(experiment)
    with pytest.raises(ValueError, match=r"Unknown column 'val_ac_max'.*val_acc_max"):
        report(df, "val_ac_max")
    with pytest.raises(ValueError, match="numbers"):
        report(df, "model")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_reads_it_without_a_network(page: str, scheme: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    with chromium(color_scheme=scheme) as browser:
        browser.goto(f"file://{path}")
        browser.wait_for_selector(".dt-container")
        settled(browser)
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith(("file://", "data:", "blob:"))] == []
        assert browser.evaluate("window.hacked") is None
        # All plots are drawn, and none is wider than the page.
        figures = browser.locator(".plotly-graph-div")
        assert figures.count() >= 7
        assert browser.locator(".main-svg .subplot, .main-svg .parcoords").count() >= 6
        assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        # Texts have a contrast to the background.
        for place in ("p", "table.plain td", ".dt-container tbody td", ".dt-search"):
            colours = browser.evaluate(BEHIND_AND_TEXT, place)
            brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]
            assert abs(brightness[0] - brightness[1]) > 250, place
            assert (brightness[0] > brightness[1]) == (scheme == "light"), place
        # The table can be searched and sorted.
        assert "of 24 entries" in browser.locator(".dt-info").inner_text()
        browser.fill(".dt-search input", "T_00017")
        settled(browser)
        assert "of 1 entry" in browser.locator(".dt-info").inner_text()
        browser.fill(".dt-search input", "")
        browser.locator(".dt-container thead th", has_text="val_acc_max").locator(".dt-column-order").click()
        settled(browser)
        cells = browser.locator(".dt-container tbody tr td:nth-child(4)").all_inner_texts()
        assert [float(cell) for cell in cells] == sorted(map(float, cells))
        # Folded content opens.
        numbers = browser.locator("details", has_text="all numbers")
        numbers.locator("summary").click()
        assert numbers.locator("td").first.is_visible()
