"""The commands show and keys."""

import re
import subprocess
import sys

from support.command_line import invoke

from dynsparse.cli import grids
from dynsparse.config import SUBJECTS, Config
from dynsparse.config import keys as config_keys


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


def test_a_file_that_does_not_exist():
    result = invoke("run", "nowhere.py")
    assert result.exit_code == 2
    assert "Error: The experiment file 'nowhere.py' does not exist." in result.output


def test_a_grid_too_large_to_compare_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(grids, "COMPARED_TRIALS", 1)
    assert grids.repeated_trainings([Config(seed=0), Config(seed=1)]).startswith("The grid has more than")


def test_a_huge_grid_is_counted_at_once_and_expanded_only_on_request(grid, tmp_path):
    many = ["--set", f"seed={','.join(map(str, range(30_000)))}"]
    result = invoke("show", grid, *many)
    assert result.exit_code == 2
    assert "the grid has 120,000 trials\n" in result.stderr
    assert "The grid has 120,000 trials, more than 100,000. Pass --yes if so many are meant" in result.stderr
    # A few of them need no question.
    words = [*many, "--limit", "1", "--set", "epochs=1", "--storage", str(tmp_path), "--in-process"]
    assert "1 trial complete" in invoke("run", grid, *words).stdout


def test_keys_lists_every_key():
    result = invoke("keys")
    assert "on_perc = 0.1\n    density: share of the weights that are active; in (0, 1]" in result.output
    assert result.output.count(" = ") == len(config_keys())
    # By subject, in the order of the keys.
    places = [result.output.index(f"\n{subject}\n") for subject in SUBJECTS.values()]
    assert places == sorted(places)
    section = result.output[result.output.index("hebbian_prune_perc = ") :].split("\n")
    assert section[2].strip() == "read by model: DSNNMixedHeb"
