"""The command line: what it prints, what it refuses, and how it exits."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.permissions import unreadable

import analysis
from dynsparse.cli import main, trials
from dynsparse.cli.parsing import literal, split_values
from dynsparse.config import SUBJECTS, Config
from dynsparse.config import keys as config_keys

GRID = """
from ray import tune
from dynsparse.experiment import Experiment

experiment = Experiment(
    name="grid",
    question="Is it worth it?",
    space=dict(
        dataset_name="digits", kwinners=tune.grid_search([True, False]), percent_on=tune.grid_search([0.2, 0.3])
    ),
    epochs=2,
)
"""
# Settings that belong together.
ARMS = """
from ray import tune
from dynsparse.experiment import Experiment

arms = [dict(lr_schedule="constant"), dict(lr_schedule="cosine", warmup_epochs=1)]
experiment = Experiment(
    name="arms",
    question="Is it worth it?",
    space=dict(
        dataset_name="digits", hidden_sizes=[10], batch_size=64, schedule=tune.grid_search(arms),
        seed=tune.grid_search([0, 1]),
    ),
    epochs=2,
)
"""


@pytest.fixture
def grid(tmp_path):
    """The path of an experiment file."""
    path = tmp_path / "grid.py"
    path.write_text(GRID)
    return str(path)


@pytest.fixture
def results(tmp_path):
    """A folder of four trials, one of which failed."""
    for i, (model, seed, accuracy) in enumerate(
        [("SET", 0, 0.5), ("SET", 1, 0.7), ("RigL", 0, 0.8), ("RigL", 1, None)]
    ):
        folder = tmp_path / "results" / f"trial_{i}"
        folder.mkdir(parents=True)
        (folder / "params.json").write_text(json.dumps({"model": model, "seed": seed, "on_perc": 0.1}))
        if accuracy is None:
            (folder / "error.txt").write_text("Traceback\nRuntimeError: boom\n")
        else:
            row = {"val_acc": accuracy, "training_iteration": 1, "done": True, "time_this_iter_s": 1.0}
            (folder / "result.json").write_text(json.dumps(row) + "\n")
    return str(tmp_path / "results")


def invoke(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_show_counts_trials_and_lists_axes(grid):
    result = invoke("show", grid)
    assert result.exit_code == 0, result.output
    assert "grid: Is it worth it?" in result.output
    assert "4 trials of 2 epochs" in result.output
    assert "kwinners                 True, False" in result.output
    assert "percent_on               0.2, 0.3" in result.output
    assert "dataset_name             digits" in result.output
    assert "batch_size" not in result.output, "it has its default"
    assert re.search(r"^\d+ other keys have their defaults; --all lists them$", result.output, re.MULTILINE)
    output = invoke("show", grid, "--all").output
    assert "batch_size               128" in output and "--all" not in output
    assert re.search("read by no trial: .*gradient_momentum", output)


def test_show_says_which_trials_train_the_same(grid, tmp_path):
    output = invoke("show", grid).output
    assert "1 trial would repeat the training of another trial:" in output
    assert "1 group of trials that differ only in percent_on, without effect on them:" in output
    assert "    for example kwinners=False, percent_on=0.2 or 0.3\n" in output
    # Without a mask update, methods do not differ.
    words = ["--set", "model=SET,RigL", "--set", "kwinners=True", "--set", "epochs=1"]
    output = invoke("show", grid, *words).output
    assert "2 groups of trials that differ only in model, without effect on them:" in output
    assert "\n4 trials of 1 epoch\n" in output
    output = invoke("show", grid, "--set", "val_fraction=0.2,0.20001", "--set", "kwinners=True").output
    assert "2 groups of trials that differ only in val_fraction, without effect on them:" in output
    result = invoke("run", grid, *words, "--storage", str(tmp_path), "--limit", "1", "--in-process")
    assert "warning: 2 trials would repeat the training of another trial:" in result.stderr


def test_show_says_which_engine_trains_how_many_trials_and_why(grid):
    assert re.search(r"^engine\n  sparse +4 trials$", invoke("show", grid).output, re.MULTILINE)
    output = invoke("show", grid, "--set", "model=SET,SNFS", "--set", "batch_norm=True,False").output
    assert re.search(r"^engine\n  sparse +8 trials$", output, re.MULTILINE)
    reason = "trials of SNFS: the sparse engine does not support a gradient of all weights at every step"
    assert re.search(f"^  packed +4 {reason}$", output, re.MULTILINE)
    assert re.search(f"^  torch +4 {reason}. An epoch takes .* as long$", output, re.MULTILINE)
    output = invoke("show", grid, "--set", "on_perc=1", "--set", "hidden_sizes=[1000,1000]").output
    assert re.search(r"^engine\n  packed +4 trials$", output, re.MULTILINE)
    output = invoke("show", grid, "--set", "device=cuda", "--set", "dropout=0,0.5").output
    assert re.search(r"^  packed +4 trials$", output, re.MULTILINE)
    assert re.search(
        r"^  torch +4 trials of DSNNMixedHeb: the packed engine does not support dropout$", output, re.MULTILINE
    )
    result = invoke("show", grid, "--set", "engine=sparse", "--set", "model=SNFS")
    assert result.exit_code == 2
    assert "engine='sparse' does not support a gradient of all weights at every step." in result.output


def test_show_starts_no_ray_and_writes_nothing(grid, tmp_path):
    code = (
        "import sys; from dynsparse.cli import main\n"
        f"main(['show', {grid!r}], standalone_mode=False)\n"
        "import ray; assert not ray.is_initialized(); assert not {'dynsparse.tune', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {"grid.py"}


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


def test_a_file_that_does_not_exist():
    result = invoke("run", "nowhere.py")
    assert result.exit_code == 2
    assert "Error: The experiment file 'nowhere.py' does not exist." in result.output


def test_table_prints_a_pivot_table_and_what_it_left_out(results):
    result = invoke("table", results, "--rows", "model", "--metric", "val_acc_max")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[2].split(maxsplit=1) == ["RigL", "0.800 (n=1, 1 failed)"]
    assert lines[3].split(maxsplit=1)[1].startswith("0.600 ± 0.141")
    assert lines[-1] == "left out: 1 failed of 4 trials"


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_table_counts_folders_that_were_emptied_or_cannot_be_read(results, form):
    shutil.rmtree(Path(results) / "trial_3")
    arguments = ["table", results, "--rows", "model", "--metric", "val_acc_max", "--format", form]
    for path in (Path(results) / "trial_0").iterdir():
        path.unlink()
    emptied = invoke(*arguments)
    with unreadable(Path(results) / "trial_0"):
        hidden = invoke(*arguments)
    for result, problem in [
        (emptied, "the folder has none of the files of a trial"),
        (hidden, "the folder cannot be read: Permission denied"),
    ]:
        note = "all 2 trials are complete; 1 folder could not be read as a trial of its own"
        # Beside a table in another format than text, nothing else is on stdout.
        assert (result.stdout if form == "text" else result.stderr).splitlines()[-1] == note
        assert f"damaged: trial_0: {problem}\n" in result.stderr


def test_table_counts_trials_that_diverged_only_on_request(results):
    path = Path(results) / "trial_1" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "val_loss": float("nan")}) + "\n")
    arguments = ["table", results, "--rows", "model", "--metric", "val_acc_max"]
    lines = invoke(*arguments).stdout.splitlines()
    assert lines[3].split(maxsplit=1) == ["SET", "0.500 (n=1, 1 diverged)"]
    assert lines[-1].startswith("left out: 1 failed, 1 diverged of 4 trials")
    lines = invoke(*arguments, "--with-diverged").stdout.splitlines()
    assert lines[3].split(maxsplit=1)[1].startswith("0.600 ± 0.141")
    assert lines[-2:] == ["left out: 1 failed of 4 trials", "1 of the values in the table are of trials that diverged"]
    assert "diverged: a loss is NaN or infinite" in invoke("failures", results).stdout


def test_table_chooses_trials_and_format(results):
    result = invoke("table", results, "--rows", "model", "--columns", "seed", "--metric", "val_acc_last",
                    "--where", "model == 'SET'", "--format", "csv")  # fmt: skip
    header, *cells = [line.split(",") for line in result.stdout.splitlines()]
    assert header[:3] == ["model", "seed", "mean"] and "count" in header
    assert [cell[:3] for cell in cells] == [["SET", "0", "0.5"], ["SET", "1", "0.7"]]
    assert "all 2 trials are complete" in result.stderr, "what is piped on is the table alone"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "modle", "--metric", "val_acc_max"], "modle"),
        (["--rows", "model", "--metric", "val_ac_max"], "val_ac'. Did you mean 'val_acc'? Available: val_acc."),
        (["--rows", "model", "--metric", "val_acc_max", "--where", "seed =="], "--where 'seed ==' cannot be read"),
        (["--rows", "model", "--metric", "val_acc_max", "--where", "seed > 9"], "leaves no trial of 4"),
        (["--rows", "model", "--metric", "val_acc_max", "--where", "1"], "--where '1' is not a condition"),
        (
            ["--rows", "seed", "--metric", "val_acc_max", "--where", "model == SETT"],
            "Unknown value of model 'SETT'. Did",
        ),
        (["--rows", "seed", "--metric", "val_acc_max", "--where", "@Path('x').touch()"], "cannot be read"),
        (["--rows", "seed", "--metric", "val_acc_max", "--where", "df.to_csv('x')"], "contains df.to_csv('x')"),
    ],
)
def test_table_refuses_what_it_cannot_make(results, arguments, message):
    result = invoke("table", results, *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_failures_lists_them(results):
    result = invoke("failures", results)
    assert result.exit_code == 0
    assert "RuntimeError: boom" in result.output
    assert "left out: 1 failed of 4 trials" in result.output


def test_failures_shows_the_end_of_each_different_traceback(results):
    frames = [f'  File "user.py", line {n}, in train' for n in range(20)]
    for n, error in enumerate(["ValueError: no loss", "ValueError: no loss", "KeyError: 'x'"]):
        folder = Path(results) / f"trial_{n}"
        folder.joinpath("result.json").unlink()
        folder.joinpath("error.txt").write_text("\n".join(["Traceback:", *frames, f"{error}\x1b[2J"]) + "\n\n")
    lines = invoke("failures", results).stdout.splitlines()
    [first] = [place for place, line in enumerate(lines) if line.endswith("(2 trials with this error) ends with:")]
    assert lines[first].startswith(f"{results}/trial_0/error.txt ")
    assert lines[first + 1 : first + 9] == [f"    {line}" for line in [*frames[-7:], "ValueError: no loss"]]
    second = lines.index(f"{results}/trial_2/error.txt (1 trial) ends with:")
    assert lines[second + 8] == "    KeyError: 'x'"


def test_a_run_says_which_trials_have_not_learned(grid, tmp_path):
    Path(grid).write_text(
        GRID.replace("percent_on=", "model='SET', learning_rate=").replace("[0.2, 0.3]", "[1e-9, 0.1]")
    )
    result = invoke("run", grid, "--storage", str(tmp_path), "--in-process", "--set", "epochs=1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[-2].startswith("all 4 trials are complete; 2 of 4 complete trials never left chance level")
    assert "learning_rate=1e-09 (2 of 2)" in lines[-2] and lines[-1].startswith("next:  dynsparse table ")
    result = invoke(
        "run", grid, "--storage", str(tmp_path), "--in-process", "--set", "learning_rate=0.1", "--set", "epochs=1"
    )
    assert "chance" not in result.stdout and "2 trials complete" in result.stdout


def test_report_writes_one_page(results, tmp_path):
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    result = invoke("report", results, "-o", str(page), "--metric", "val_acc_last", "--where", "model == 'SET'")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"written: {page} (")
    content = page.read_text()
    assert "All 2 trials are complete" in content and "val_acc_last" in content and "RuntimeError: boom" not in content


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "val_ac_max"], "val_ac'. Did you mean 'val_acc'? Available: val_acc."),
        (["--where", "seed > 9"], "leaves no trial of 4"),
        (["-o", "no/such/folder/page.html"], "no/such/folder/page.html cannot be written"),
    ],
)
def test_report_refuses_what_it_cannot_make(results, options, message):
    pytest.importorskip("plotly")
    result = invoke("report", results, *options)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("example", "metric", "first"),
    [
        ("quickstart", "test_acc_at_best", "What matters most?"),
        ("sweep", "val_acc", "Where has accuracy fallen by one point?"),
        ("tickets", "val_acc_max", "Which tickets stay within one point of the dense network?"),
    ],
)
def test_a_report_is_about_the_metric_and_the_study_of_the_experiment(tmp_path, example, metric, first):
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    with analysis.example_folder(example) as folder:
        noted = folder / "experiment.json"
        # Rows of sweeps and tickets have no such metric, but one that it summarises, or the usual one.
        for change in ("", "val_acc_median"):
            if change and example != "quickstart":
                noted.write_text(json.dumps({**json.loads(noted.read_text()), "metric": change}))
            result = invoke("report", folder, "-o", page)
            assert result.exit_code == 0, result.stderr
            content = page.read_text()
            used = re.search(r'<p class="note">[^(]*[(](\w+)[)]', content)
            assert used and used[1] in ({metric, "val_acc"} if change else {metric})
            assert content.index(first) < content.index("<h2>Plots</h2>")
        result = invoke("report", folder, "-o", page, "--of", "trials")
        assert ("counts" in result.stderr) == (example != "quickstart")


def test_browse_writes_a_notebook_and_never_over_one(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("browse", results, "--no-show")
    assert result.exit_code == 0, result.output
    assert result.stdout == "written: browse_results.ipynb\n"
    notebook = Path("browse_results.ipynb")
    # Relative to the notebook, so that both can be moved together.
    assert "load('results')" in notebook.read_text()
    notebook.write_text("mine")
    assert invoke("browse", results, "--no-show").stdout == "browse_results.ipynb exists and is not changed\n"
    assert notebook.read_text() == "mine"
    assert invoke("browse", "nowhere", "--no-show").exit_code == 2


CONTROLS = "\x1b[2J\x1b]0;title\x07\x9b31m\r\u202e"


@pytest.mark.parametrize(
    "arguments",
    [
        ("failures",),
        ("table", "--rows", "model,key" + CONTROLS, "--metric", "val_acc_max"),
        ("table", "--rows", "model", "--columns", "key" + CONTROLS, "--metric", "val_acc_max", "--format", "csv"),
        ("table", "--rows", "model", "--metric", "val_acc"),
        ("watch", "--once"),
        ("table", "--rows", "nothing", "--metric", "val_acc_max"),
    ],
    ids=str,
)
def test_no_control_sequence_of_a_file_reaches_the_terminal(results, arguments):
    for n, folder in enumerate(sorted(Path(results).iterdir())):
        params = json.loads((folder / "params.json").read_text())
        (folder / "params.json").write_text(json.dumps({**params, "key" + CONTROLS: CONTROLS + "value"}))
        if n == 0:
            (folder / "result.json").write_text("{")
        folder.rename(folder.with_name(folder.name + CONTROLS))
    (Path(results) / "trial_4").mkdir()
    (Path(results) / "trial_4" / "error.txt").write_text(CONTROLS + "Error")
    (Path(results) / "status.json").write_text(json.dumps({"line": CONTROLS + "line", "running": False}))
    result = invoke(arguments[0], results, *arguments[1:])
    assert result.exit_code in (0, 2) and len(result.output) > 10 and "Traceback (most" not in result.output
    assert not set(CONTROLS) & set(result.output) - set("2J]0;title31m[")


def test_watch_believes_no_trial_whose_files_do_not_fit(results):
    done = int((analysis.load(results)["status"] == "complete").sum())
    status = {"line": f"{done} of {done} trials done", "running": False, "trials": done, "done": done, "failed": 0}
    (Path(results) / "status.json").write_text(json.dumps(status))
    assert "cannot be believed" not in invoke("watch", results).output
    shutil.rmtree(next(Path(results).glob("trial_*")))
    assert (
        f"1 trial of these {done} cannot be believed: files are missing or were changed."
        in invoke("watch", results, "--once").output
    )


def test_ctrl_c_before_a_run_has_begun_ends_it_with_130(monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "load_grid", interrupted)
    result = invoke("run", "experiments/quickstart.py")
    assert result.exit_code == 130 and result.output.endswith("stopped\n")


def test_watch_waits_only_on_request(tmp_path):
    refused = invoke("watch", str(tmp_path / "misspelt"))
    assert refused.exit_code == 2
    assert "has no run" in refused.output and "--wait" in refused.output


def test_a_grid_too_large_to_compare_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "COMPARED_TRIALS", 1)
    assert trials.repeated_trainings([Config(seed=0), Config(seed=1)]).startswith("The grid has more than")


def test_what_a_command_writes_replaces_a_link(results, tmp_path, monkeypatch):
    pytest.importorskip("plotly")
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("browse_results.ipynb", "report.html"):
        Path(name).symlink_to(victim)
    assert invoke("report", results).exit_code == 0
    assert invoke("browse", results, "--no-show").stdout == "browse_results.ipynb exists and is not changed\n"
    Path("browse_results.ipynb").unlink()
    Path("browse_results.ipynb").symlink_to(tmp_path / "nothing yet")
    invoke("browse", results, "--no-show")
    assert victim.read_text() == "precious" and not (tmp_path / "nothing yet").exists()
    assert Path("report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_report_can_go_to_standard_output(results):
    pytest.importorskip("plotly")
    code = f"from dynsparse.cli import main; main(['report', {results!r}, '-o', '/dev/stdout'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("<!DOCTYPE html>") and "written: /dev/stdout" in done.stdout


def test_damaged_files_are_named(results):
    (Path(results) / "trial_0" / "result.json").write_text("{torn")
    result = invoke("failures", results)
    assert result.exit_code == 0
    assert "damaged: trial_0/result.json:" in result.output


def test_a_folder_that_does_not_exist():
    result = invoke("table", "nowhere", "--rows", "model", "--metric", "val_acc_max")
    assert result.exit_code == 2
    assert "nowhere" in result.output


def test_keys_lists_every_key():
    result = invoke("keys")
    assert "on_perc = 0.1\n    density: share of the weights that are active; in (0, 1]" in result.output
    assert result.output.count(" = ") == len(config_keys())
    # By subject, in the order of the keys.
    places = [result.output.index(f"\n{subject}\n") for subject in SUBJECTS.values()]
    assert places == sorted(places)
    section = result.output[result.output.index("hebbian_prune_perc = ") :].split("\n")
    assert section[2].strip() == "read by model: DSNNMixedHeb"


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


@pytest.mark.ray
def test_an_experiment_file_runs_as_a_script_and_fails_with_exit_code_1(tmp_path):
    (tmp_path / "fails.py").write_text(
        "import sys\n"
        "from dynsparse.experiment import Experiment\n"
        "space = dict(dataset_name='digits', rules='legacy_2019', hidden_sizes=[3], on_perc=0.05)\n"
        "experiment = Experiment(name='fails', question='Does it?', space=space, epochs=5)\n"
        "if __name__ == '__main__':\n"
        "    from dynsparse.cli import main\n"
        "    main(['run', __file__, *sys.argv[1:]])\n"
    )
    result = subprocess.run(
        [sys.executable, "fails.py", "--storage", "here"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 1, result.stderr
    assert "1 trial failed:" in result.stdout
    assert "all of them:  dynsparse failures here/fails\n" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_a_huge_grid_is_counted_at_once_and_expanded_only_on_request(grid, tmp_path):
    many = ["--set", f"seed={','.join(map(str, range(30_000)))}"]
    result = invoke("show", grid, *many)
    assert result.exit_code == 2
    assert "the grid has 120,000 trials\n" in result.stderr
    assert "The grid has 120,000 trials, more than 100,000. Pass --yes if so many are meant" in result.stderr
    # A few of them need no question.
    words = [*many, "--limit", "1", "--set", "epochs=1", "--storage", str(tmp_path), "--in-process"]
    assert "1 trial complete" in invoke("run", grid, *words).stdout


def test_an_option_that_is_given_twice_is_refused(results):
    result = invoke("table", results, "--rows", "model", "--metric", "val_acc_max", "--metric", "val_acc_last")
    assert result.exit_code == 2
    assert "Error: --metric is given 2 times. Give it once.\n" in result.stderr


def test_several_keys_make_the_columns_of_a_table(results):
    words = ["--rows", "on_perc", "--columns", "model,seed", "--metric", "val_acc_max"]
    header, _, row = invoke("table", results, *words).stdout.splitlines()[:3]
    assert re.split("  +", header.strip()) == [
        "on_perc", "model=RigL, seed=0", "model=RigL, seed=1", "model=SET, seed=0", "model=SET, seed=1",
    ]  # fmt: skip
    assert re.findall(r"0\.\d+", row) == ["0.1", "0.800", "0.500", "0.700"]


def test_a_batch_that_is_larger_than_the_training_set_is_refused(grid, tmp_path):
    words = ["--set", "batch_size=64,1438", "--storage", str(tmp_path), "--in-process"]
    result = invoke("run", grid, *words)
    assert result.exit_code == 2
    assert "batch_size must be at most the number of training examples, 1437 with dataset_name" in result.stderr
    assert "got 1438. Lower batch_size.\n" in result.stderr


def test_a_group_of_keys_cannot_be_set(tmp_path):
    file = tmp_path / "arms.py"
    file.write_text(ARMS)
    result = invoke("show", file, "--set", "schedule=constant")
    assert result.exit_code == 2
    assert "schedule is a group of keys in the space" in result.stderr
    assert "Set its keys instead: lr_schedule, warmup_epochs." in result.stderr


def test_keys_that_follow_each_other_are_suggested_once_and_dropped_from_a_report(tmp_path):
    file = tmp_path / "arms.py"
    file.write_text(ARMS)
    result = invoke("run", file, "--storage", str(tmp_path), "--in-process")
    assert result.exit_code == 0, result.stderr
    assert "--rows lr_schedule --metric" in result.stdout
    page = tmp_path / "page.html"
    assert invoke("report", tmp_path / "arms", "-o", page).exit_code == 0
    assert "warmup_epochs must vary independently of lr_schedule" in html.unescape(page.read_text())
    assert invoke("report", tmp_path / "arms", "-o", page, "--drop", "warmup_epochs").exit_code == 0
    text = html.unescape(page.read_text())
    assert "warmup_epochs must vary independently" not in text and "constant or cosine" in text
    result = invoke("report", tmp_path / "arms", "--drop", "warmup_epoch")
    assert result.exit_code == 2 and "Did you mean 'warmup_epochs'?" in result.stderr
    result = invoke("report", tmp_path / "arms", "--drop", "trial_dir", "--drop", "val_acc_max")
    assert result.exit_code == 2 and "--drop takes hyperparameters, got trial_dir, val_acc_max." in result.stderr


def test_a_run_says_which_trials_have_no_mask_update(tmp_path):
    file = tmp_path / "arms.py"
    file.write_text(ARMS.replace("epochs=2", "epochs=1"))
    short = ["--set", "model=RigL,SparseModel", "--set", "warmup_epochs=0", "--set", "lr_schedule=constant"]
    few = ["--set", "pruning_interval_steps=100", "--storage", str(tmp_path), "--in-process"]
    result = invoke("run", file, *short, *few)
    assert result.exit_code == 0, result.stderr
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: model=")]
    assert warnings == [
        "warning: model='RigL' keeps its first masks: no update is due with pruning_interval_steps=100 and "
        "pruning_end=1 in 1 epoch of 23 steps. Lower the interval, or raise epochs or the end of the updates."
    ]
    result = invoke("run", file, *short, "--set", "pruning_interval_steps=20", *few[2:], "--fresh")
    assert result.exit_code == 0 and "keeps its first masks" not in result.stderr


@pytest.mark.usefixtures("blobs")
def test_the_table_that_is_suggested_names_no_key_that_follows_another(grid, tmp_path):
    words = ["--set", "dataset_name=digits,blobs", "--set", "kwinners=False", "--set", "percent_on=0.3"]
    result = invoke(
        "run",
        grid,
        *words,
        "--set",
        "epochs=1",
        "--set",
        "hidden_sizes=(10,)",
        "--storage",
        str(tmp_path),
        "--in-process",
    )
    assert result.exit_code == 0, result.stderr
    assert "--rows dataset_name --metric" in result.stdout
