"""latex_table, and what a cell of pivot can show."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from support.grids import fail, grid, noisy

from analysis import contrasts, latex_table, load_example, pivot

METRIC = "val_acc_max"
CAPTION = "% Mean and standard deviation over trials. Bold: the best of each column. "


def cells(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of a LaTeX table."""
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0]
    rows = [[cell.strip() for cell in line.removesuffix("\\\\").split(" & ")] for line in body.splitlines()]
    return {row[0]: [cell.removesuffix("\\\\").strip() for cell in row[1:]] for row in rows}


def settled(**effect: float) -> pd.DataFrame:
    """Return five seeds of three models at two densities, with little noise: c is best, and b as good at 0.2."""
    means = {("a", 0.1): 0.5, ("b", 0.1): 0.6, ("c", 0.1): 0.7, ("a", 0.2): 0.7, ("b", 0.2): 0.8, ("c", 0.2): 0.8001}
    noise = noisy(0, 0.005)
    return grid(
        lambda **values: noise(**values) + means[values["model"], values["on_perc"]],
        model=["a", "b", "c"],
        on_perc=[0.1, 0.2],
        seed=range(5),
    )


def test_the_best_is_bold_and_those_as_good_have_a_dagger() -> None:
    df = settled()
    found = cells(latex_table(df, "model", "on_perc", METRIC))
    assert [cell.startswith("\\textbf{") for cell in found["c"]] == [True, df_best(df, 0.2) == "c"]
    assert found["a"][0].count("dagger") == found["b"][0].count("dagger") == found["a"][1].count("dagger") == 0
    other = "b" if df_best(df, 0.2) == "c" else "c"
    assert found[other][1].endswith("$^\\dagger$")
    note = latex_table(df, "model", "on_perc", METRIC).splitlines()[-1]
    assert note.startswith(f"{CAPTION}Dagger: no clear difference from it (")
    assert f"Holm over {len(contrasts(df, 'model', METRIC, within='on_perc'))} comparisons" in note


def df_best(df: pd.DataFrame, on_perc: float) -> str:
    return str(df[df["on_perc"] == on_perc].groupby("model")[METRIC].mean().idxmax())


def test_without_the_marks_it_is_the_pivot_table() -> None:
    df = load_example("quickstart")
    marked = latex_table(df, "model", "on_perc", "test_acc_at_best")
    plain = re.sub(r"\\textbf\{(.*?)\}|\$\^\\dagger\$", r"\1", marked)
    expected = pivot(df, "model", "on_perc", "test_acc_at_best")
    found = {row: [each.replace(" $\\pm$ ", " ± ") for each in texts] for row, texts in cells(plain).items()}
    assert found == {str(row): list(texts) for row, *texts in expected.itertuples()}


def test_low_is_better_for_a_loss_and_equal_cells_are_both_bold() -> None:
    df = grid(lambda u, v, seed: 0.5 + 0.1 * u + 0.001 * seed, u=[0, 1], v=[0, 1], seed=range(3))
    df["val_loss_min"] = df[METRIC]
    for column, lowest, best in [(METRIC, None, "1"), ("val_loss_min", None, "0"), (METRIC, True, "0")]:
        found = cells(latex_table(df, "u", "v", column, lowest=lowest))
        bold = [row for row, texts in found.items() if all(text.startswith("\\textbf{") for text in texts)]
        assert bold == [best]
    alike = grid(lambda u, v, seed: 0.5 + 0.1 * v + 0.001 * seed, u=[0, 1], v=[0, 1], seed=range(3))
    assert latex_table(alike, "u", "v", METRIC).count("\\textbf{") == 4


def test_what_cannot_be_compared_is_said_in_one_line() -> None:
    df = grid(noisy(0), u=[0, 1], v=[0, 1], w=[0, 1], seed=range(3))
    assert latex_table(df, ["u", "w"], "v", METRIC).endswith(
        "Cells are not compared, because the rows have several keys."
    )
    assert latex_table(df[df["u"] == 0], "u", "v", METRIC).endswith("There is a single row.")
    single = grid(noisy(0), u=[0, 1], v=[0, 1], seed=[0])
    last = latex_table(single, "u", "v", METRIC).splitlines()[-1]
    assert last.startswith(f"{CAPTION}Cells cannot be compared: The noise needs repeated")
    failed = fail(df, (df["u"] == 1) & (df["v"] == 1))
    assert cells(latex_table(failed, "u", "v", METRIC))["1"][1] == "-- (6 failed)"


def test_names_with_characters_of_latex_are_escaped() -> None:
    df = grid(noisy(0), **{"a&b%": ["x_1", "{y}$"], "v": [0.1, 0.2], "seed": range(3)})
    text = latex_table(df, "a&b%", "v", METRIC)
    assert "a\\&b\\%" in text and "x\\_1" in text and "\\{y\\}\\$" in text


def test_a_cell_with_the_interval_of_the_mean_or_of_the_interquartile_mean() -> None:
    df = grid(noisy(0), u=[0, 1], seed=range(8))
    for stat, centre in (("ci", np.mean), ("iqm", lambda each: scipy.stats.trim_mean(each, 0.25))):
        table = pivot(df, "u", None, METRIC, stat)
        for u, text in table[METRIC].items():
            values = df.loc[df["u"] == u, METRIC]
            mean, low, high = map(float, re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", text).groups())
            assert mean == pytest.approx(centre(values), abs=5e-4)
            if stat == "ci":
                expected = scipy.stats.t.interval(0.95, 7, values.mean(), scipy.stats.sem(values))
                assert [low, high] == pytest.approx(expected, abs=6e-4)
            assert low < mean < high
        assert ("% Interquartile mean and" in latex_table(df, "u", None, METRIC, stat=stat)) == (stat == "iqm")
    one = pivot(df[df["seed"] == 0], "u", None, METRIC, "ci")
    assert not one[METRIC].str.contains(r"\[").any() and not one[METRIC].str.contains("nan").any()
    with pytest.raises(ValueError, match=r"Unknown stat .median.*Available: mean, ci, iqm"):
        pivot(df, "u", None, METRIC, "median")


def test_the_caption_compiles() -> None:
    df = grid(noisy(0), a_b=[0, 1], v=[0.1, 0.2], seed=range(5))
    caption = latex_table(df, "a_b", "v", METRIC, stat="ci").splitlines()[-1].removeprefix("% ")
    assert caption.startswith("Mean and its 95\\% interval (Student's t) over trials.")
    assert "val\\_acc\\_max" in caption and not re.search(r"[^\\][%_&#$]", caption)
