"""A scan that is updated reads again what was not complete, and believes no mark whose files are gone."""

import shutil
from pathlib import Path

import pytest
from support.packed_trials import SMALL

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.results.grid_status import scan
from dynsparse.results.trial_folder import State, TrialFolder, folder_name

CONFIGS = [Config.of({**SMALL, "seed": seed}) for seed in range(4)]
ROW = {"val_acc": 0.5, "training_iteration": 1, "done": True}


def complete(trial):
    trial.append(ROW)
    trial.write_csv([ROW])
    trial.complete()


@pytest.fixture
def trials(tmp_path):
    """Four trials: two complete, one started, one new."""
    trials = [TrialFolder(open_folder(str(tmp_path / folder_name(config)))) for config in CONFIGS]
    for trial, config in zip(trials[:3], CONFIGS, strict=False):
        trial.create(config, {"version": "1", "engine": "sparse"})
    complete(trials[0]), complete(trials[1])
    trials[2].append({**ROW, "done": False})
    return trials


def states(status):
    return [each.state for each in status.trials]


def test_what_was_not_complete_is_read_again(tmp_path, trials):
    folder = open_folder(str(tmp_path))
    first = scan(folder, CONFIGS)
    assert states(first) == [State.COMPLETE, State.COMPLETE, State.STARTED, State.NEW]
    complete(trials[3])
    trials[2].fail("ValueError: no")
    again = scan(folder, CONFIGS, previous=first)
    assert states(again) == [State.COMPLETE, State.COMPLETE, State.FAILED, State.COMPLETE]
    assert again.trials[2].error == "ValueError: no"
    assert again.trials[0] is first.trials[0], "not read again"
    assert again == scan(folder, CONFIGS)


@pytest.mark.parametrize(
    ("name", "state"), [("", State.NEW), ("complete.json", State.STARTED), ("result.json", State.STARTED)]
)
def test_a_complete_trial_that_was_deleted_meanwhile_is_not_complete(tmp_path, trials, name, state):
    folder = open_folder(str(tmp_path))
    first = scan(folder, CONFIGS)
    path = tmp_path / folder_name(CONFIGS[1]) / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = scan(folder, CONFIGS, previous=first)
    assert states(again) == [State.COMPLETE, state, State.STARTED, State.NEW]


@pytest.mark.parametrize("damage", [b"", b"{}", None], ids=["empty", "empty object", "one bit"])
@pytest.mark.parametrize("name", ["result.json", "complete.json"])
def test_a_complete_trial_that_was_damaged_meanwhile_is_not_complete(tmp_path, trials, name, damage):
    folder = open_folder(str(tmp_path))
    first = scan(folder, CONFIGS)
    path = tmp_path / folder_name(CONFIGS[1]) / name
    content = path.read_bytes()
    path.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:] if damage is None else damage)
    again = scan(folder, CONFIGS, previous=first)
    assert states(again)[1] is not State.COMPLETE
    assert states(again) == states(scan(folder, CONFIGS))


@pytest.mark.parametrize("harm", ["digit", "both files", "copy of another trial", "params"])
def test_a_complete_trial_that_was_tampered_with_is_set_aside_or_recovered(tmp_path, trials, harm):
    folder, path = open_folder(str(tmp_path)), tmp_path / folder_name(CONFIGS[1])
    other = tmp_path / folder_name(CONFIGS[0])
    true_rows = (path / "result.json").read_bytes()
    if harm in ("digit", "both files"):
        (path / "result.json").write_bytes(true_rows.replace(b"0.5", b"0.9"))
    if harm == "both files":
        (path / "progress.csv").write_text((path / "progress.csv").read_text().replace("0.5", "0.9"))
    if harm == "copy of another trial":
        shutil.rmtree(path)
        shutil.copytree(other, path)
    if harm == "params":
        (path / "params.json").write_bytes((other / "params.json").read_bytes())
    found = {each.name: each.read_bytes() for each in path.iterdir()}
    status = scan(folder, CONFIGS)
    assert states(status) == [State.COMPLETE, State.STARTED, State.STARTED, State.NEW]
    assert "the trial is set aside and computed again" in status.summary(retry_failed=False)
    assert status.set_aside(folder)
    again = scan(folder, CONFIGS)
    if harm == "digit":
        assert states(again)[1] is State.COMPLETE and (path / "result.json").read_bytes() == true_rows
    else:
        assert states(again)[1] is State.NEW
        [aside] = (tmp_path / ".aside").iterdir()
        assert {each.name: each.read_bytes() for each in aside.iterdir()} == found
    assert not again.set_aside(folder)


def test_a_file_in_the_place_of_a_complete_trial_is_not_complete(tmp_path, trials):
    folder = open_folder(str(tmp_path))
    first = scan(folder, CONFIGS)
    path = Path(tmp_path, folder_name(CONFIGS[0]))
    shutil.rmtree(path)
    path.write_text("no folder")
    assert states(scan(folder, CONFIGS, previous=first))[0] is State.NEW


def test_a_grid_that_has_grown_is_read_where_it_is_new(tmp_path, trials):
    folder = open_folder(str(tmp_path))
    first = scan(folder, CONFIGS[:1])
    again = scan(folder, CONFIGS, previous=first)
    assert again.trials[0] is first.trials[0] and again == scan(folder, CONFIGS)
