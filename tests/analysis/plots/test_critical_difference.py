"""plot_critical_difference: ranks, bars, the scale, and what it says."""

import pytest

pytest.importorskip("plotly")

import pandas as pd
from support.grids import fail
from support.many_data_sets import noise, published, results
from support.plot_frames import numbers

from analysis import compare_ranks, mean_ranks
from analysis.plots import plot_critical_difference
from analysis.plots.critical_difference import bars

ABC = ["a", "b", "c"]


def drawn_bars(fig: object) -> list[list[float]]:
    return [numbers(trace.x) for trace in fig.data if trace.meta == "bar"]  # type: ignore[attr-defined]


def notes(fig: object) -> str:
    text: str = fig.layout.title.text  # type: ignore[attr-defined]
    return text.replace('<br><span style="font-size:12px">', " ").replace("</span>", "")


def test_the_published_diagram() -> None:
    fig = plot_critical_difference(published(), "model", "acc")
    lines = {trace.name: trace for trace in fig.data if trace.meta == "rank"}
    table = mean_ranks(published(), "model", "acc")
    assert [line.x[0] for line in lines.values()] == table["rank"].tolist() and list(lines) == table["model"].tolist()
    # By the test at 5% no two classifiers differ: one bar, a little longer than the ranks.
    [bar] = drawn_bars(fig)
    assert bar == pytest.approx([1.964, 3.143], abs=0.04)
    [scale] = [trace for trace in fig.data if trace.meta == "critical difference"]
    assert scale.x[1] - scale.x[0] == pytest.approx(1.25, abs=0.005)
    texts = [annotation.text for annotation in fig.layout.annotations]
    assert texts[:2] == ["C4.5+m+cf  <b>1.96</b>", "C4.5+m  <b>2.00</b>"]
    assert texts[2:] == ["<b>2.89</b>  C4.5+cf", "<b>3.14</b>  C4.5", "critical difference 1.25"]
    assert "mean ranks over 14 blocks of dataset_name; 1 is the best" in notes(fig)
    assert "bars join values that do not differ at 5% by Nemenyi's test" in notes(fig)
    assert "Friedman's chi2 = 10.2, p = 0.017" in notes(fig)


def test_bars_are_the_largest_runs_without_a_difference() -> None:
    def found(differing: list[str]) -> list[list[float]]:
        names = "abcde"
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        rows = [{"a": a, "b": b, "p": 0.01 if a + b in differing else 0.5} for a, b in pairs]
        table = bars(list(names), [1.0, 2.0, 3.0, 4.0, 5.0], pd.DataFrame(rows), "p")
        return table.to_numpy().tolist()

    assert found([]) == [[1, 5, 0]]
    assert found(["ae"]) == [[1, 4, 0], [2, 5, 1]]
    # Bars that do not overlap are on the same level.
    across = ["ac", "ad", "ae", "bc", "bd", "be"]
    assert found(across) == [[1, 2, 0], [3, 5, 0]]
    assert found([*across, "ab"]) == [[3, 5, 0]]
    # A pair in the middle that differs cuts all bars over it.
    assert found(["bd"]) == [[1, 3, 0], [3, 5, 1]]
    every = [a + b for a in "abcde" for b in "abcde"]
    assert found(every) == []


def test_bars_follow_the_chosen_test() -> None:
    df = noise(12, ["a", "b", "c", "d"], gap=0.6)
    pairs = compare_ranks(df, "model", "acc")
    assert ((pairs["p_nemenyi"] <= 0.05) != (pairs["p_holm"] <= 0.05)).any(), "the example tells the tests apart"
    nemenyi, wilcoxon = (plot_critical_difference(df, "model", "acc", test=test) for test in ("nemenyi", "wilcoxon"))
    assert drawn_bars(nemenyi) != drawn_bars(wilcoxon)
    assert "by Wilcoxon's test with Holm's correction" in notes(wilcoxon)
    assert not [trace for trace in wilcoxon.data if trace.meta == "critical difference"]


def test_lines_do_not_cross_and_labels_do_not_overlap() -> None:
    fig = plot_critical_difference(noise(15, [f"m{i:02}" for i in range(20)]), "model", "acc")
    rows = [(trace.x[0], trace.y[2], trace.x[2]) for trace in fig.data if trace.meta == "rank"]
    for side in (rows[:10], rows[10:][::-1]):
        depths = [y for _, y, _ in side]
        assert depths == sorted(depths, reverse=True) and len(set(depths)) == 10
    assert {end for _, _, end in rows[:10]} == {fig.layout.xaxis.range[0]}
    assert {end for _, _, end in rows[10:]} == {fig.layout.xaxis.range[1]}
    assert min(y for _, y, _ in rows) > fig.layout.yaxis.range[0]


def test_too_few_blocks_are_named() -> None:
    fig = plot_critical_difference(results([[0.9, 0.8, 0.7]] * 2, ABC), "model", "acc")
    assert "2 blocks are too few to tell" in notes(fig)
    assert "critical difference 2.34: more than mean ranks can differ" in notes(fig)
    assert not [trace for trace in fig.data if trace.meta == "critical difference"]


def test_what_is_left_out_is_named() -> None:
    df = noise(8, ABC)
    df = fail(df, (df["model"] == "a") & (df["dataset_name"] == "data00"))
    text = notes(plot_critical_difference(df, "model", "acc"))
    assert "23 of 24 trials shown; left out: 1 failed" in text
    assert "mean ranks over 7 blocks of dataset_name; 1 is the best; 1 block without a value left out" in text


def test_texts_are_escaped_and_cut() -> None:
    df = noise(6, ["<b>&", "x" * 60, "c"])
    texts = [annotation.text for annotation in plot_critical_difference(df, "model", "acc").layout.annotations]
    assert any("&lt;b&gt;&amp;" in text for text in texts) and all("x" * 30 not in text for text in texts)


def test_messages() -> None:
    df = published()
    with pytest.raises(ValueError, match=r"Unknown test 'nemeny'\. Did you mean 'nemenyi'\?"):
        plot_critical_difference(df, "model", "acc", test="nemeny")
    with pytest.raises(ValueError, match="Unknown column 'modle'"):
        plot_critical_difference(df, "modle", "acc")
    with pytest.raises(ValueError, match="There must be at least 2 blocks"):
        plot_critical_difference(df[df["dataset_name"] == "data00"], "model", "acc")
    with pytest.raises(ValueError, match="Nothing to plot: no complete trial has a finite acc; 56 failed"):
        plot_critical_difference(fail(df, df["acc"] > 0), "model", "acc")
