"""The option --set: how values are read, and what is refused."""

import pytest
from support.command_line import ARMS, invoke

from dynsparse.cli.parsing import literal, split_values


def test_set_replaces_and_makes_axes(grid):
    output = invoke("show", grid, "--set", "percent_on=0.5", "--set", "hidden_sizes=(30,20),(10,)").output
    assert "4 trials of 2 epochs" in output
    assert "hidden_sizes             (30, 20), (10,)" in output
    assert "percent_on               0.5" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "on_prec=0.1"], "Error: Unknown key 'on_prec'. Did you mean 'on_perc'?"),
        (["--set", "on_perc=2"], "Error: on_perc must be in (0, 1], got 2"),
        (["--set", " =0.1"], "A setting must be KEY=VALUE, for example on_perc=0.05,0.1, got ' =0.1'."),
        (["--set", "on_perc"], "A setting must be KEY=VALUE, for example on_perc=0.05,0.1, got 'on_perc'."),
        (["--set", "hidden_sizes=(20,10),"], "'hidden_sizes=(20,10),' has an empty value before or after a comma"),
        (["--set", "seed=1,,2"], "'seed=1,,2' has an empty value"),
        (["--set", "seed=1", "--set", "seed=2"], "--set seed is given twice. Give all values at once: --set KEY=A,B."),
        (["--set", "network=MLP"], "Error: The axis kwinners has no effect"),
    ],
)
@pytest.mark.parametrize("command", ["show", "run"])
def test_bad_input_is_refused_with_exit_code_2(grid, command, arguments, message, tmp_path):
    result = invoke(command, grid, *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"grid.py"}


def test_literals():
    texts = ["1", "0.5", "true", "None", "SET", "'a,b'", "[300, 100]", "1e-3"]
    assert [literal(text) for text in texts] == [1, 0.5, True, None, "SET", "a,b", [300, 100], 1e-3]
    assert split_values("(300,100),(100,),x") == ["(300,100)", "(100,)", "x"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("'/data/a,b'", ["/data/a,b"]),
        ("'/data/a,b',/c", ["/data/a,b", "/c"]),
        ('"a,\'b",c', ["a,'b", "c"]),
        (r"'it\'s, here',2", ["it's, here", 2]),
        ("['a,b', 'c'],['d(']", [["a,b", "c"], ["d("]]),
        ("(300,100),(100,)", [(300, 100), (100,)]),
        ("''", [""]),
        ("don't,can't", ["don't", "can't"]),
        (" 'a,b' , 'c' ", ["a,b", "c"]),
        ("a)b,c", ["a)b", "c"]),
    ],
)
def test_a_comma_inside_quotes_or_brackets_separates_nothing(text, values):
    assert [literal(each) for each in split_values(text)] == values


def test_a_quote_that_is_not_closed_is_refused(grid):
    result = invoke("show", grid, "--set", "data_dir='/data/a,b")
    assert result.exit_code == 2
    assert "has a quote that is not closed: '/data/a,b." in result.output


def test_a_path_with_a_comma_is_one_value(grid):
    result = invoke("show", grid, "--set", "data_dir='/data/a,b'")
    assert result.exit_code == 0, result.output
    assert "4 trials" in result.output and "/data/a,b" in result.output


def test_a_group_of_keys_cannot_be_set(tmp_path):
    file = tmp_path / "arms.py"
    file.write_text(ARMS)
    result = invoke("show", file, "--set", "schedule=constant")
    assert result.exit_code == 2
    assert "schedule is a group of keys in the space" in result.stderr
    assert "Set its keys instead: lr_schedule, warmup_epochs." in result.stderr
