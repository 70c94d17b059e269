"""Faults 11 and 12: files of a finished or an interrupted run are damaged; the same command repairs them."""

import random
import shutil
import time

import pytest
from support.fault_bed import N_EPOCHS, N_TRIALS, check_all, check_complete, check_no_survivors, check_numbers, copy_of

import analysis
from dynsparse.results.trial_folder import identity

pytestmark = pytest.mark.ray
FILES = ["about.json", "checkpoint_000008.pt", "complete.json", "params.json", "progress.csv", "result.json"]
OF_EXPERIMENT = ["status.json", "lease.json", "tuner.pkl", "experiment_state-*.json", "basic-variant-state-*.json"]


def damage(path, how, chance):
    content = path.read_bytes() if path.exists() else b"{}"
    path.unlink(missing_ok=True)
    if how == "empty":
        path.touch()
    elif how == "cut":
        path.write_bytes(content[: chance.randrange(1, len(content))])
    elif how == "random":
        path.write_bytes(chance.randbytes(len(content)))
    elif how == "folder":
        path.mkdir()


@pytest.mark.faults
@pytest.mark.parametrize("how", ["cut", "folder", "empty", "random", "missing"])
def test_damaged_files(undisturbed, reference, tmp_path, how):
    bed = copy_of(undisturbed, tmp_path)
    chance = random.Random(how)
    trials = sorted(f"trial_{identity(config)}" for config in bed.configs())
    damaged = dict(zip(trials, FILES, strict=False))
    n_whole = {trial: N_EPOCHS for trial in trials}
    for trial, file in damaged.items():
        damage(bed.folder / trial / file, how, chance)
        if file == "result.json":
            path = bed.folder / trial / file
            n_whole[trial] = path.read_bytes().count(b"\n") if path.is_file() and how == "cut" else 0
    for pattern in OF_EXPERIMENT:
        for path in list(bed.folder.glob(pattern)) or [bed.folder / pattern]:
            damage(path, how, chance)

    df = analysis.load(bed.folder).set_index("trial_dir")
    assert set(df.index) == set(trials)
    # The mark of completion must be whole, and vouches for rows and configuration.
    doubtful = [trial for trial, file in damaged.items() if file in ("result.json", "params.json", "complete.json")]
    assert set(df["status"].drop(doubtful)) == {"complete"}
    assert set(df.loc[doubtful, "status"]) == {"incomplete"}
    history = analysis.load_history(bed.folder)
    rows = history.groupby("trial_dir").size()
    named = set(map(tuple, analysis.issues(df)[["trial_dir", "file"]].itertuples(index=False)))
    for trial in trials:
        assert rows.get(trial, 0) >= n_whole[trial]
        file = damaged.get(trial)
        # The others are none that a reader of results reads.
        if file in ("params.json", "result.json") and n_whole[trial] < N_EPOCHS:
            assert (trial, file) in named

    try:
        run = bed.start()
        assert run.wait() == 0, run.text
        assert "Traceback" not in run.text
        check_complete(bed)
        check_numbers(bed, reference)
        check_no_survivors(bed)
    finally:
        bed.end()
    df = analysis.load(bed.folder)
    # Tune's own files of an earlier run stay as they are, and an empty folder in the place of one is named.
    named = set(analysis.issues(df)["trial_dir"].dropna())
    assert named <= {path.name for pattern in OF_EXPERIMENT for path in bed.folder.glob(pattern) if path.is_dir()}
    assert not df["on_perc"].isna().any()


@pytest.mark.faults
def test_a_file_where_a_trial_folder_belongs_is_named(undisturbed, tmp_path):
    bed = copy_of(undisturbed, tmp_path)
    path = bed.folder / f"trial_{identity(bed.configs()[0])}"
    shutil.rmtree(path)
    path.write_bytes(b"no folder")
    assert len(analysis.load(bed.folder)) == N_TRIALS - 1
    try:
        run = bed.start()
        assert run.wait() == 2, run.text
        assert str(path) in run.text and "Traceback" not in run.text
    finally:
        bed.end()


@pytest.mark.faults
def test_bad_checkpoints_of_an_interrupted_run(bed, reference):
    run = bed.start()
    # Two trials have at least two checkpoints each.
    bed.wait_for(lambda events: len({event["trial"] for event in events if event["epoch"] == 6}) >= 4)
    run.kill()
    run.wait()
    time.sleep(2)
    newest = {path.name: sorted(path.glob("checkpoint_*.pt")) for path in bed.folder.glob("trial_*")}
    interrupted = [name for name in newest if name.removeprefix("trial_") not in bed.complete() and newest[name]]
    assert interrupted, newest
    for name, how in zip(interrupted, ["flipped", "deleted"], strict=False):
        path = newest[name][-1]
        content = bytearray(path.read_bytes())
        if how == "deleted":
            path.unlink()
            continue
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    # A finished trial has lost its mark and half of its last checkpoint: it is trained again from the start.
    name = f"trial_{sorted(bed.complete())[0]}"
    (bed.folder / name / "complete.json").unlink()
    path = newest[name][-1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for path in newest[name][:-1]:
        path.unlink()
    run = bed.start()
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=N_EPOCHS)
    assert f"damaged: {name}/{path.name}: the checksum does not match" in run.text
