"""The report: its content, and how a browser without a network shows and prints it."""

import base64
import html
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.browser import chromium, needs_chromium, settled
from support.grids import fail, grid, noisy
from support.trial_folders import write_trial

from analysis import as_trials, contrast_sentences, contrasts, load, load_example, load_example_history, load_history

pytest.importorskip("plotly")

from analysis.output import report

# The first background that is not transparent, and the colour of the text.
BEHIND_AND_TEXT = """place => {
    const text = document.querySelector(place);
    let behind = text;
    while (getComputedStyle(behind).backgroundColor == "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    return [getComputedStyle(behind).backgroundColor, getComputedStyle(text).color];
}"""
HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
LARGEST = 3_000_000


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


@pytest.fixture(scope="module")
def quickstart() -> str:
    return report(load_example("quickstart"), "test_acc_at_best", load_example_history("quickstart"), "quickstart")


def of_grid(values: Any = None, **axes: Any) -> pd.DataFrame:
    """The trials of `grid`, as `load` gives them."""
    df = grid(values or noisy(0), **axes).assign(epochs=1, error=None)
    return as_trials(df, list(axes), ["val_acc_max"])


def section(page: str, name: str) -> str:
    return page.split(f'<section id="{name}">')[1].split("</section>")[0]


def figures(page: str) -> list[dict[str, Any]]:
    """The figures of a page or a section, as plotly reads them."""
    packed = re.findall(r'<script type="text/plain">([^<]+)</script>', page)
    return [json.loads(zlib.decompress(base64.b64decode(each))) for each in packed]


def values_of(trace: dict[str, Any], axis: str) -> list[float]:
    """Plotly writes arrays of numbers as base64."""
    values = trace[axis]
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    return list(values)


def lines_of(figure: dict[str, Any]) -> dict[str, dict[float, float]]:
    """The means of each line that the legend names, by their place."""
    found = {}
    for trace in figure["data"]:
        if trace.get("showlegend") and "lines" in trace.get("mode", ""):
            found[trace["name"]] = dict(zip(values_of(trace, "x"), values_of(trace, "y"), strict=True))
    return found


def test_the_question_and_the_answers_come_first(quickstart: str) -> None:
    shown = quickstart[quickstart.index("<main") :]
    texts = [
        "<h1>At which density does growing new weights beat a static sparse network?</h1>",
        "Test accuracy at the best validation epoch (test_acc_at_best): higher is better. All 27 trials are complete.",
        "<dt>density (on_perc)</dt><dd>0.02, 0.05, 0.1</dd>",
        "<h2>Answers</h2>",
        "What matters most?",
        "Which setting is best?",
        "Which differences are clear?",
        "What remains unclear?",
        "<h2>Plots</h2>",
    ]
    places = [shown.index(text) for text in texts]
    assert places == sorted(places)


def test_every_section_has_a_link_and_every_link_a_place(quickstart: str, page: str) -> None:
    names = [
        "answers",
        "plots",
        "comparisons",
        "what-matters",
        "learning-curves",
        "best-trials",
        "trials-with-problems",
    ]
    for each, expected in ((quickstart, [*names, "flops", "all-trials"]), (page, [*names, "all-trials"])):
        assert re.findall(r'<section id="([^"]+)">', each) == expected
        nav = each.split("<nav>")[1].split("</nav>")[0]
        assert re.findall(r'href="#([^"]+)"', nav) == ["top", *expected]
        assert set(re.findall(r'href="#([^"]+)"', each)) <= set(re.findall(r' id="([^"]+)"', each))


def test_the_first_plot_has_a_line_for_each_method_over_density(quickstart: str) -> None:
    df = load_example("quickstart")
    first = figures(quickstart)[0]
    lines = lines_of(first)
    assert set(lines) == set(df["model"])
    for model, rows in df.groupby("model"):
        assert lines[model] == pytest.approx(rows.groupby("on_perc")["test_acc_at_best"].mean().to_dict())
    assert first["layout"]["xaxis"]["title"]["text"] == "density (on_perc)"
    assert first["layout"]["yaxis"]["title"]["text"] == "test accuracy (test_acc_at_best)"
    assert first["layout"]["legend"]["title"]["text"] == "method"


def test_plots_show_the_noise_of_the_best_setting_and_no_mean_over_methods() -> None:
    # b is better by 0.1 and Adam by 0.05.
    def value(model: str, on_perc: float, optim_alg: str, seed: int) -> float:
        return 0.5 + 0.1 * (model == "b") + 0.05 * (optim_alg == "Adam") + on_perc / 10 + seed / 1000

    df = of_grid(value, model="ab", on_perc=[0.1, 0.5], optim_alg=["Adam", "SGD"], seed=[0, 1, 2])
    plots = section(report(df, "val_acc_max"), "plots")
    methods, optimizers = (lines_of(figure) for figure in figures(plots)[:2])
    assert methods == {
        "a": pytest.approx({0.1: 0.561, 0.5: 0.601}),
        "b": pytest.approx({0.1: 0.661, 0.5: 0.701}),
    }
    assert optimizers == {
        "Adam": pytest.approx({0.1: 0.661, 0.5: 0.701}),
        "SGD": pytest.approx({0.1: 0.611, 0.5: 0.651}),
    }
    assert "As in the best setting: optimizer Adam." in plots and "As in the best setting: method b." in plots
    # Without repeats a single setting has no noise, and the means are over the others.
    plots = section(report(df[df["seed"] == 0], "val_acc_max"), "plots")
    assert lines_of(figures(plots)[0])["a"] == pytest.approx({0.1: 0.535, 0.5: 0.575})
    assert "means are over optim_alg (2 values)" in plots and "As in the best setting" not in plots


@pytest.mark.parametrize(
    ("name", "metric"), [("quickstart", "test_acc_at_best"), ("tickets", "val_acc_max"), ("sweep", "val_acc")]
)
def test_no_plot_is_there_twice_also_not_with_its_axes_exchanged(name: str, metric: str) -> None:
    page = report(load_example(name), metric, load_example_history(name))
    plots = figures(section(page, "plots"))
    means = [sorted(round(y, 9) for line in lines_of(each).values() for y in line.values()) for each in plots]
    assert all(means)
    assert all(means[i] != means[j] for i in range(len(means)) for j in range(i))


def test_learning_curves_have_a_panel_for_each_density(quickstart: str) -> None:
    [curves] = figures(section(quickstart, "learning-curves"))
    assert [note["text"] for note in curves["layout"]["annotations"]] == ["density 0.02", "density 0.05", "density 0.1"]
    history = load_example_history("quickstart")
    rows = history[(history["on_perc"] == 0.02) & (history["model"] == "SET")]
    expected = rows.groupby("epoch")["test_acc"].mean().to_dict()
    assert lines_of(curves)["SET"] == pytest.approx(expected)


def test_comparisons_are_those_of_contrasts(page: str, experiment: Path) -> None:
    table = contrasts(load(experiment), "model", "val_acc_max", within="on_perc")
    shown = html.unescape(section(page, "comparisons"))
    assert len(sentences := contrast_sentences(table, "val_acc_max")) == 1
    assert all(sentence in shown for sentence in sentences)
    cells = re.findall(r'<td class="number (\w+)" title="95% interval (\S+) to (\S+), p [=<] [^"]*">([^ ]+) ', shown)
    assert len(table) == 3
    for row, (kind, low, high, difference) in zip(table.itertuples(), cells, strict=False):
        assert float(difference) == pytest.approx(row.difference, abs=1e-3)
        assert (float(low), float(high)) == pytest.approx((row.low, row.high), rel=1e-2)
        assert kind == ("lower" if row.p_adjusted <= 0.05 else "unclear")


def test_the_shares_of_the_variance_are_bars(quickstart: str) -> None:
    shown = section(quickstart, "what-matters")
    widths = [float(width) for width in re.findall(r'style="width: ([\d.]+)%"', shown)]
    assert len(widths) == 4 and sum(widths) == pytest.approx(100, abs=0.3)
    assert "method (model) × density (on_perc)" in shown


def test_a_file_is_small() -> None:
    df = of_grid(
        model=["RigL", "SET", "Dense", "GMP"], on_perc=[0.01, 0.02, 0.05, 0.1, 0.2], lr=[1, 2, 3, 4, 5], seed=range(5)
    )
    assert len(df) == 500
    page = report(df, "val_acc_max")
    assert len(page.encode()) < LARGEST
    assert section(page, "all-trials").count("<tr>") == 501


def test_intervals_of_an_accuracy_are_cut_off_in_tables_as_in_sentences() -> None:
    df = of_grid(lambda on_perc, seed: [0.1, 0.9][seed], on_perc=[0.1, 0.5], seed=range(2))
    df = df.assign(flops_inference=1e6 * df["on_perc"])
    found = report(df, "val_acc_max")
    for name in ("flops", "plots"):
        cells = re.findall(r'<td class="number">([^<]*)</td>', section(found, name))
        assert {"0", "1"} <= set(cells) and not {"-4.583", "5.583"} & set(cells), name
    df = as_trials(df.rename(columns={"val_acc_max": "score"}), ["on_perc", "seed"], ["score"])
    assert '<td class="number">-4.582</td>' in section(report(df, "score"), "flops")


def search(n_complete: int, model: list[str] | None = None) -> pd.DataFrame:
    """A random search of 9 densities and rates, 2 seeds each; the other settings than the first were stopped early."""
    drawn = np.random.default_rng(0)
    df = of_grid(lambda place, seed: 0.5 + place / 20 + seed / 50, place=range(9), seed=range(2))
    df["on_perc"], df["rate"] = (df["place"].map(dict(enumerate(drawn.uniform(size=9)))) for _ in range(2))
    df["model"] = df["place"].map(lambda place: (model or ["SET"])[place % len(model or ["SET"])])
    df = df.assign(status=np.where(df["place"] < n_complete, "complete", "stopped")).drop(columns="place")
    return as_trials(df, ["on_perc", "rate", "model", "seed"], ["val_acc_max"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_complete", [1, 2, 4, 9])
@pytest.mark.parametrize("model", [["SET"], ["SET", "RigL"]])
def test_a_random_search_is_not_compared(n_complete: int, model: list[str]) -> None:
    found = html.unescape(report(search(n_complete, model), "val_acc_max"))
    note = "Each value of density (on_perc) and rate is in one setting only, as in a random search: comparisons need a"
    assert found.count(note) == 1 and note in section(found, "comparisons")
    assert "analysis.importance and analysis.fanova" in section(found, "comparisons")
    assert "<table" not in section(found, "comparisons") and "df.drop" not in found
    assert "cannot be compared" not in found and "What remains unclear?" not in found
    assert "Importance in a random forest" in section(found, "what-matters")


def beside_grid(n_seeds: int) -> pd.DataFrame:
    """8 samples of two drawn hyperparameters, of which each is combined with two densities and the seeds."""
    noise, drawn = np.random.default_rng(1), np.random.default_rng(0)
    axes: dict[str, Any] = {"on_perc": [0.05, 0.2], "sample": range(8), "seed": range(n_seeds)}
    df = of_grid(lambda on_perc, sample, seed: on_perc + sample / 20 + noise.normal(0, 0.01), **axes)
    for name in ("step", "drop"):
        df[name] = df["sample"].map(dict(enumerate(drawn.uniform(size=8).round(6))))
    return as_trials(df.drop(columns="sample"), ["on_perc", "step", "drop", "seed"], ["val_acc_max"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_seeds", [1, 3])
def test_a_grid_is_compared_within_each_drawn_sample(n_seeds: int) -> None:
    df = beside_grid(n_seeds)
    found = html.unescape(report(df, "val_acc_max"))
    comparisons = section(found, "comparisons")
    assert "Each value of step and drop is in one sample only, as in a random search. For these, use " in comparisons
    assert comparisons.count("<h3>") == 1 and "<h3>density (on_perc)</h3>" in comparisons
    # Seeds of one sample are no further samples.
    means = df.groupby(["on_perc", "step"], as_index=False)["val_acc_max"].mean().assign(status="complete")
    means["seed"] = means["step"].rank(method="dense")
    means = as_trials(means.drop(columns="step"), ["on_perc", "seed"])
    expected = contrasts(means, "on_perc", "val_acc_max").iloc[0]
    assert expected["df"] == 7 and expected["conclusion"] in comparisons
    assert "What remains unclear?" in found and "could not be compared" not in found and "df.drop" not in found
    assert "With 8 samples, a difference of " in comparisons and " seeds, " not in comparisons
    assert "of the importance for val_acc_max in a random forest" in found
    # A sample of which one density failed is counted as left out there.
    lost = df.assign(status=df["status"].mask((df["step"] == df["step"].iloc[0]) & (df["on_perc"] == 0.2), "error"))
    assert "more trials of one value are left out" in section(report(lost, "val_acc_max"), "comparisons")


@pytest.mark.parametrize("gain", [0.1, -0.1])
def test_of_each_population_the_best_trial_is_compared(gain: float) -> None:
    df = beside_grid(3).drop(columns="drop")
    # At each density and seed, the worst sample is replaced by a copy of the best with another step.
    best, worst = df["step"] == df["step"].iloc[-1], df["step"] == df["step"].iloc[0]
    copies = df[best].assign(val_acc_max=df["val_acc_max"] + gain, trial_id=lambda df: "c" + df["trial_id"])
    copies["starts_from"], copies["step"] = df["trial_id"] + "@1", copies["step"] * (0.8 + 0.1 * copies["seed"])
    # If copies are worse than their parents, no copy is chosen.
    chosen = as_trials((copies if gain > 0 else df[best]).drop(columns="step"), ["on_perc", "seed"], ["val_acc_max"])
    df = df.assign(status=df["status"].mask(worst, "stopped"), starts_from=None)
    df = as_trials(pd.concat([df, copies], ignore_index=True), ["on_perc", "step", "seed"], ["val_acc_max"])
    comparisons = html.unescape(section(report(df, "val_acc_max"), "comparisons"))
    assert "The members of each population differ in step, as in population-based training. " in comparisons
    assert "by one trial of each population, the best by val_acc_max." in comparisons
    assert contrasts(chosen, "on_perc", "val_acc_max")["conclusion"][0] in comparisons
    assert comparisons.count("<h3>") == 1 and "With 3 seeds, a difference of " in comparisons


def test_trials_that_were_stopped_early_are_not_called_complete() -> None:
    problems = {n: section(report(search(n), "val_acc_max"), "trials-with-problems") for n in (2, 9)}
    assert "All trials are complete or were stopped early (14), none diverged" in problems[2]
    assert "All trials are complete, none diverged" in problems[9]


def test_arms_are_no_random_search() -> None:
    df = search(9, [f"model {place}" for place in range(9)])
    assert "as in a random search" not in report(df, "val_acc_max")
    grid_of_one = df.drop(columns=["rate", "model"])
    assert "± half of the 95% interval" in section(report(grid_of_one, "val_acc_max"), "comparisons")


def test_no_number_is_minus_zero() -> None:
    # The means of both differ by -1e-9, and the trials by 0.01.
    df = of_grid(lambda width, seed: 0.5 - 1e-9 * width + 0.01 * ((seed + width) % 2), width=[0, 1], seed=range(8))
    page = report(df, "val_acc_max")
    text = re.sub(r"<script.*?</script>|<style>.*?</style>", "", page, flags=re.DOTALL)
    assert not re.search(r"[-−]0\.0*(?![0-9.])", text)
    assert re.search(r">0\.0+ <small>± 0\.\d+</small>", section(page, "comparisons"))


def test_nothing_is_fetched_and_texts_are_escaped(page: str) -> None:
    assert "<script src=" not in page
    assert "<link" not in page
    assert HOSTILE not in page
    assert "<script>window.hacked" not in page
    assert "<img src=x" not in page


def test_problems_are_listed(page: str) -> None:
    shown = section(page, "trials-with-problems")
    assert "Left out: 2 failed of 24 trials." in page
    assert "<h3>Trials that are left out</h3>" in shown and "T_00013" in shown and "T_00015" in shown
    note = (
        "In 1 of 3 comparisons, more trials of one value are left out than of the other, so these are comparisons of "
        "survivors."
    )
    assert note in section(page, "comparisons")
    assert "<h3>Damaged files</h3>" in shown and "T_00000" in shown
    assert "chance level" not in shown and "diverged" not in shown


def test_it_says_which_trials_never_left_chance_level_or_diverged() -> None:
    df = load_example("quickstart")
    df.loc[(df["on_perc"] == 0.02) & (df["seed"] == 0) & (df["model"] != "RigL"), "at_chance"] = True
    df.loc[(df["on_perc"] == 0.1) & (df["seed"] == 2), "diverged"] = True
    page = report(df, "val_acc_max")
    shown = section(page, "trials-with-problems")
    assert "2 of 27 complete trials never left chance level. All numbers on this page include them." in shown
    assert "<li>on_perc=0.02 (2 of 9)</li>" in shown
    assert "3 of 27 complete trials diverged. No number on this page includes them." in shown
    assert "<li>on_perc=0.1 (3 of 9)</li>" in shown


def test_flops_are_drawn_unless_they_follow_from_each_other(quickstart: str) -> None:
    assert "Test accuracy by FLOPs of an inference" in quickstart
    assert "Test accuracy by FLOPs of the training, per example" in quickstart
    df = load_example("quickstart")
    df["flops_train"] = 3 * df["flops_inference"]
    shown = section(report(df, "test_acc_at_best"), "flops")
    assert "FLOPs of an inference" in shown and "FLOPs of the training, per example</h3>" not in shown


def test_one_trial_has_a_result() -> None:
    columns = {"val_acc_max": [0.5], "val_acc_max_epoch": [1], "epochs": [2], "trial_id": ["a"], "trial_dir": ["T"]}
    df = pd.DataFrame({**columns, "seed": [0], "status": ["complete"], "error": [None], "experiment_file_name": ["x"]})
    page = report(df, "val_acc_max")
    assert re.findall(r"<h2>([^<]+)", page) == ["Answers", "Trials with problems", "All trials"]
    assert "The validation accuracy (val_acc_max) is 0.5 in a single trial, which says nothing about its noise." in page
    assert "All trials are complete, none diverged" in page


def test_without_a_complete_trial_there_are_curves_and_problems(experiment: Path) -> None:
    df = load(experiment)
    page = report(fail(df, df["seed"] >= 0), "val_acc_max", load_history(experiment))
    names = ["Answers", "Learning curves", "Trials with problems", "All trials"]
    assert re.findall(r"<h2>([^<]+)", page) == names
    assert "No complete trial has a finite val_acc_max." in page
    assert set(lines_of(figures(page)[0])) == {"SET", '&lt;/script&gt;&lt;scri…ow.hacked=1"&gt;'}


def test_low_losses_are_best(experiment: Path) -> None:
    df = load(experiment).assign(val_loss_min=lambda df: 1 - df["val_acc_max"])
    for page, first in [
        (report(df, "val_loss_min"), df["val_loss_min"].min()),
        (report(df, "val_loss_min", lowest=False), df["val_loss_min"][df["status"] == "complete"].max()),
    ]:
        assert re.findall(r'<td class="number">([^<]+)</td>', section(page, "best-trials"))[0] == f"{first:.4g}"


def test_bad_arguments(experiment: Path) -> None:
    df = load(experiment)
    with pytest.raises(ValueError, match=r"Unknown column 'val_ac_max'.*val_acc_max"):
        report(df, "val_ac_max")
    with pytest.raises(ValueError, match="numbers"):
        report(df, "model")
    with pytest.raises(ValueError, match=r"Unknown kind of rows 'sweep'. Did you mean 'sweeps'"):
        report(df, "val_acc_max", of="sweep")
    with pytest.raises(ValueError, match=r"needs the history. Pass history=load_history"):
        report(df, "val_acc_max", of="tickets")


@needs_chromium
def test_a_person_reads_it_without_a_network_in_the_dark(page: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    with chromium(color_scheme="dark") as browser:
        browser.goto(f"file://{path}")
        browser.wait_for_function(DRAWN)
        settled(browser)
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith(("file://", "data:", "blob:"))] == []
        assert browser.evaluate("window.hacked") is None
        # Nothing is wider than the page.
        assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        # Texts have a contrast to the background.
        for place in ("p", "ul.answers li", "table.plain td", "table.matrix td", "table.sortable td", ".search input"):
            colours = browser.evaluate(BEHIND_AND_TEXT, place)
            brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]
            assert abs(brightness[0] - brightness[1]) > 250, place
            assert brightness[0] < brightness[1], place
        # The table can be searched and sorted.
        count = browser.locator(".search span")
        assert count.inner_text() == "24 of 24 trials"
        browser.fill(".search input", "T_00017")
        assert count.inner_text() == "1 of 24 trials"
        browser.fill(".search input", "")
        browser.locator("table.sortable th button", has_text="val_acc_max").click()
        cells = browser.locator("table.sortable tbody tr td:nth-child(4)").all_inner_texts()
        assert [float(cell) for cell in cells] == sorted(map(float, cells))
        # Folded content opens, and its figures are drawn then.
        folded = browser.locator("details", has_text="The numbers of this plot").first
        folded.locator("summary").click()
        assert folded.locator("td").first.is_visible()


DRAWN = """() => [...document.querySelectorAll("figure.plot")]
    .filter(figure => !figure.closest("details:not([open])"))
    .every(figure => figure.querySelector(".main-svg"))"""


@needs_chromium
def test_it_prints_also_from_a_dark_page(quickstart: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(quickstart, encoding="utf-8")
    with chromium(color_scheme="dark") as browser:
        browser.goto(f"file://{path}")
        browser.wait_for_function(DRAWN)
        browser.emulate_media(media="print", color_scheme="dark")
        # The width of A4 between the margins, in pixels.
        browser.set_viewport_size({"width": 695, "height": 1000})
        assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        widths = browser.evaluate(
            "[...document.querySelectorAll('.canvas .main-svg')].map(svg => svg.getBoundingClientRect().width)"
        )
        assert all(width <= 695 for width in widths if width)
        assert not browser.locator("nav").is_visible() and not browser.locator(".search").is_visible()
        back, text = browser.evaluate(BEHIND_AND_TEXT, "p")
        assert (back, text) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)") or text == "rgb(68, 68, 68)"
        pdf = browser.pdf(format="A4")
        assert 4 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8
        # The table of all trials is printed whole: its box does not scroll.
        box = "document.querySelector('#all-trials .tall')"
        assert browser.evaluate(f"{box}.scrollHeight <= {box}.clientHeight")


@needs_chromium
def test_texts_and_tables_are_there_without_javascript(quickstart: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(quickstart, encoding="utf-8")
    with chromium(java_script_enabled=False) as browser:
        browser.goto(f"file://{path}")
        assert browser.locator("noscript").inner_text() == (
            "The plots need JavaScript. All texts and tables are here without it."
        )
        assert browser.locator("table.sortable tbody tr").count() == 27
