"""The command compare, and the note on a metric that is chosen on the test set."""

import csv
import io

import pytest
from support.command_line import invoke

import analysis

METRIC = "test_acc_at_best"


@pytest.fixture(scope="module")
def folder():
    with analysis.example_folder("quickstart") as path:
        yield str(path)


def test_it_prints_the_table_and_the_sentences_of_compare(folder):
    result = invoke("compare", folder, "--axis", "on_perc,model", "--metric", METRIC)
    assert result.exit_code == 0, result.output
    expected = analysis.compare(analysis.load(folder), ["on_perc", "model"], METRIC)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["axis", "a", "b", "pairs", "difference", "low", "high", "p", "p_holm"]
    assert [line.removeprefix("- ") for line in lines if line.startswith("- ")] == expected["conclusion"].tolist()
    assert lines[-1] == "all 27 trials are complete"


def test_csv_has_all_columns_and_nothing_else(folder):
    result = invoke("compare", folder, "--axis", "model", "--metric", METRIC, "--margin", "0.02", "--format", "csv",
                    "--where", "on_perc > 0.02")  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    df = analysis.load(folder)
    expected = analysis.compare(df[df["on_perc"] > 0.02], "model", METRIC, margin=0.02)
    assert list(rows[0]) == list(expected.columns) and len(rows) == 3
    assert [float(row["p_equivalent"]) for row in rows] == pytest.approx(expected["p_equivalent"].tolist())
    assert "minus that with" in result.stderr


def test_within_compares_in_each_setting(folder):
    result = invoke("compare", folder, "--axis", "model", "--within", "on_perc", "--metric", METRIC)
    assert result.exit_code == 0, result.output
    expected = analysis.contrasts(analysis.load(folder), "model", METRIC, within="on_perc")
    assert len(expected) == 9
    sentences = [line.removeprefix("- ") for line in result.stdout.splitlines() if line.startswith("- ")]
    assert sentences == expected["conclusion"].tolist()


@pytest.mark.parametrize("within", [None, "on_perc"])
def test_against_compares_with_one_value(folder, within):
    given = ["--within", within] if within else []
    result = invoke("compare", folder, "--axis", "model", "--against", "SET", "--metric", METRIC, *given)
    assert result.exit_code == 0, result.output
    df = analysis.load(folder)
    if within:
        expected = analysis.contrasts(df, "model", METRIC, within=within, against="SET")
    else:
        expected = analysis.compare(df, "model", METRIC, against="SET")
    assert len(expected) == (6 if within else 2) and set(expected["a"]) == {"SET"}
    sentences = [line.removeprefix("- ") for line in result.stdout.splitlines() if line.startswith("- ")]
    assert sentences == expected["conclusion"].tolist()


def test_against_takes_a_number_as_tables_print_it(folder):
    result = invoke("compare", folder, "--axis", "on_perc", "--against", "0.1", "--metric", METRIC, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["a"], row["b"]) for row in rows] == [("0.1", "0.02"), ("0.1", "0.05")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--axis", "modle"], "Unknown column 'modle'. Did you mean 'model'?"),
        (["--axis", "network"], "network must have several values to compare"),
        (["--axis", "model", "--within", ","], "Group keys must be at least one column"),
        (["--axis", "model,on_perc", "--within", "seed"], "--within takes one key for --axis, and no --margin."),
        (["--axis", "model", "--within", "on_perc", "--margin", "1"], "--within takes one key for --axis"),
        (["--axis", "model", "--against", "STE"], "Unknown value of model 'STE'. Did you mean 'SET'?"),
        (["--axis", "model,on_perc", "--against", "SET"], "against takes a single axis, got ['model', 'on_perc']"),
        (["--axis", "model", "--margin", "0"], "margin must be above 0, in units of test_acc_at_best, got 0.0."),
        (["--axis", "model", "--where", "on_perc >"], "--where"),
    ],
)
def test_bad_input_is_refused(folder, arguments, message):
    result = invoke("compare", folder, *arguments, "--metric", METRIC)
    assert result.exit_code == 2 and message in result.output, result.output


def test_a_metric_that_is_chosen_on_the_test_set_is_noted_once(folder, tmp_path):
    for command in (["table", folder, "--rows", "model"], ["compare", folder, "--axis", "model"]):
        noted = invoke(*command, "--metric", "test_acc_max")
        assert noted.stdout.count("test_acc_max is the best of all epochs on the test set") == 1
        assert "of all epochs" not in invoke(*command, "--metric", METRIC).output
