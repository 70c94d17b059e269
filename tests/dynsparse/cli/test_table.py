"""What a cell of the command table shows, and its LaTeX."""

import pytest
from click.testing import CliRunner, Result

import analysis
from dynsparse.cli import main

METRIC = "test_acc_at_best"


@pytest.fixture(scope="module")
def folder():
    with analysis.example_folder("quickstart") as path:
        yield str(path)


def table(folder: str, *arguments: str) -> Result:
    return CliRunner().invoke(
        main, ["table", folder, "--rows", "model", "--columns", "on_perc", "--metric", METRIC, *arguments]
    )


@pytest.mark.parametrize("stat", ["mean", "ci", "iqm"])
def test_stat_chooses_what_a_cell_shows(folder, stat):
    result = table(folder, "--stat", stat)
    assert result.exit_code == 0, result.output
    expected = analysis.format_table(analysis.pivot(analysis.load(folder), "model", "on_perc", METRIC, stat))
    assert result.stdout.startswith(expected)


def test_csv_has_the_numbers_of_the_statistic(folder):
    assert table(folder, "--stat", "iqm", "--format", "csv").stdout.splitlines()[0].startswith("model,on_perc,")
    expected = analysis.interquartile_mean(analysis.load(folder), ["model", "on_perc"], METRIC)
    assert (
        table(folder, "--stat", "iqm", "--format", "csv").stdout.strip()
        == analysis.format_table(expected, "csv").strip()
    )


def test_latex_marks_the_best_cells_unless_it_is_to_be_plain(folder):
    marked, plain = table(folder, "--format", "latex"), table(folder, "--format", "latex", "--plain")
    assert marked.exit_code == plain.exit_code == 0
    assert marked.stdout.strip() == analysis.latex_table(analysis.load(folder), "model", "on_perc", METRIC).strip()
    assert "textbf" not in plain.stdout and "dagger" not in plain.stdout and "tabular" in plain.stdout


def test_an_unknown_statistic_is_refused_with_the_known_ones(folder):
    result = table(folder, "--stat", "median")
    assert result.exit_code == 2 and "'mean', 'ci', 'iqm'" in result.output
