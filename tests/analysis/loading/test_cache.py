"""A second load reads a cache, and gives what a first one gives, whatever has happened to the folder or the cache."""

import json
import os
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal
from support.trial_folders import write_rows, write_state, write_trial

from analysis import issues, load, load_history
from analysis.loading.cache import NAME, Cached, read
from analysis.loading.experiment import TOO_SMALL
from analysis.loading.trial_dir import stamp_of_states, trial_folders

N_TRIALS, N_ROWS, N_METRICS = 25, 30, 150


def settle(experiment: Path) -> None:
    """Make all files look as if they had been written an hour ago."""
    an_hour_ago = time.time() - 3600
    for path in experiment.rglob("*"):
        if path.is_file() and path.name != NAME:
            os.utime(path, (an_hour_ago, an_hour_ago))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with all kinds of values, and with some damage."""
    experiment = tmp_path_factory.mktemp("runs") / "large"
    random = np.random.default_rng(0)
    for n in range(N_TRIALS):
        metrics = {f"metric_{i}": random.normal(size=N_ROWS).tolist() for i in range(N_METRICS)}
        metrics |= {
            "val_acc": random.uniform(size=N_ROWS).tolist(),
            "count": list(range(N_ROWS)),
            "word": ["ä" if n % 2 else "b"] * N_ROWS,
            "mixed_acc": [0.5, "tensor(0.25)", "null", "no number", True, None] * 5,
            "pair": [[1, [2, "x"]]] * N_ROWS,
            "late_acc": ([None] * 29 + [float("nan")]) if n % 3 else [0.1] * N_ROWS,
        }
        config = {"on_perc": 0.1, "hidden_sizes": [100, n], "inner": {"a": n, "b": {}}, "seed": n, "nothing": None}
        error = "Traceback:\nValueError: gone\n" if n == 3 else None
        write_trial(experiment / f"T_{n:05d}", config, metrics, done=n not in (3, 4), error=error)
    shutil.rmtree(experiment / "T_00005")
    (experiment / "T_00005").mkdir()
    (experiment / "T_00005" / "error.txt").write_text("")
    with open(experiment / "T_00006" / "result.json", "a") as file:
        file.write('{"val_acc": 0.')
    write_state(
        experiment, [{"logdir": f"/elsewhere/{name}", "status": "ERROR"} for name in ("T_00003", "T_77777")], "1"
    )
    settle(experiment)
    return experiment


@pytest.fixture
def experiment(original: Path, tmp_path: Path) -> Path:
    """A copy that has been loaded, and so has a cache."""
    copy = tmp_path / "large"
    shutil.copytree(original, copy)
    load(copy)
    assert (copy / NAME).exists()
    return copy


def cached(experiment: Path) -> Cached | None:
    return read(experiment, stamp_of_states(experiment), trial_folders(experiment))


def assert_as_without_cache(experiment: Path) -> None:
    """Loading gives what it gives where there never was a cache."""
    for read_frame in (load, load_history):
        ours = read_frame(experiment)
        bare = experiment.with_name("bare")
        shutil.copytree(experiment, bare, ignore=shutil.ignore_patterns(NAME))
        theirs = read_frame(bare)
        shutil.rmtree(bare)
        if "experiment_file_name" in theirs:
            theirs["experiment_file_name"] = str(experiment)
        # Trials may log in different orders: then which of them was read first decides on that of the columns.
        assert_frame_equal(ours, theirs, check_like=True)
        assert_frame_equal(issues(ours), issues(theirs))


def test_a_second_load_is_the_first_again(experiment: Path) -> None:
    before, columns = (
        (experiment / NAME).stat().st_ino,
        [list(read_frame(experiment)) for read_frame in (load, load_history)],
    )
    assert_as_without_cache(experiment)
    (experiment / NAME).rename(experiment.with_name("cache"))
    assert [list(read_frame(experiment)) for read_frame in (load, load_history)] == columns
    experiment.with_name("cache").rename(experiment / NAME)
    assert len(issues(load(experiment))) > N_TRIALS
    assert (experiment / NAME).stat().st_ino == before, "it is read and not written"


def test_it_is_the_cache_that_is_read(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this the tests here would say nothing."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a trial is read")

    monkeypatch.setattr("analysis.loading.experiment.read_trial", refuse)
    assert len(load(experiment)) == N_TRIALS
    add_a_row(experiment)
    with pytest.raises(AssertionError, match="a trial is read"):
        load(experiment)


def keep_size_and_time(experiment: Path) -> None:
    path = experiment / "T_00000" / "params.json"
    times = path.stat()
    path.write_text(path.read_text().replace("0.1", "0.7"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def rewrite_a_config(experiment: Path) -> None:
    path = experiment / "T_00007" / "params.json"
    path.write_text(path.read_text().replace("0.1", "0.7"))


def add_a_row(experiment: Path) -> None:
    with open(experiment / "T_00004" / "result.json", "a") as file:
        file.write(json.dumps({"val_acc": 2.0, "training_iteration": 31, "new_acc": 1}) + "\n")


def replace_rows(experiment: Path) -> None:
    for n in (8, 12, 20):
        write_rows(experiment / f"T_{n:05d}", [{"val_acc": 0.5, "training_iteration": 1, "word": 7, "done": True}])


def delete_a_trial(experiment: Path) -> None:
    shutil.rmtree(experiment / "T_00000")


def add_a_trial(experiment: Path) -> None:
    write_trial(experiment / "T_00000b", {"on_perc": 0.1, "another": "x"}, {"val_acc": [1.0], "count": [0.5]})


def fail_a_trial(experiment: Path) -> None:
    (experiment / "T_00004" / "error.txt").write_text("RuntimeError: late\n")


def change_tunes_record(experiment: Path) -> None:
    write_state(experiment, [{"logdir": "/elsewhere/T_00001", "status": "TERMINATED"}], "1")


def add_a_later_record(experiment: Path) -> None:
    write_state(experiment, [{"logdir": "/elsewhere/T_88888", "status": "TERMINATED"}], "2", time="2")


def move_a_trial(experiment: Path) -> None:
    (experiment / "T_00009").rename(experiment / "T_99999")


CHANGES = [
    keep_size_and_time,
    rewrite_a_config,
    add_a_row,
    replace_rows,
    delete_a_trial,
    add_a_trial,
    fail_a_trial,
    change_tunes_record,
    add_a_later_record,
    move_a_trial,
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_seen(change: Callable[[Path], None], experiment: Path) -> None:
    before = load(experiment)
    change(experiment)
    assert_as_without_cache(experiment)
    after = load(experiment)
    assert not after.equals(before) or not issues(after).equals(issues(before)), "the change was one"
    settle(experiment)
    assert_as_without_cache(experiment)


@pytest.mark.faults
def test_all_changes_at_once(experiment: Path) -> None:
    for change in CHANGES:
        change(experiment)
        assert_as_without_cache(experiment)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_bit_in_the_numbers(content: bytes) -> bytes:
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def flip_a_bit_near_the_end(content: bytes) -> bytes:
    return content[:-300] + bytes([content[-300] ^ 1]) + content[-299:]


def empty(content: bytes) -> bytes:
    return b""


def another_file(content: bytes) -> bytes:
    return b"a note of mine" * 1000


@pytest.mark.parametrize("damage", [cut, flip_a_bit_in_the_numbers, flip_a_bit_near_the_end, empty, another_file])
def test_a_damaged_cache_is_none_and_is_written_anew(damage: Callable[[bytes], bytes], experiment: Path) -> None:
    whole = (experiment / NAME).read_bytes()
    (experiment / NAME).write_bytes(damage(whole))
    assert cached(experiment) is None
    assert_as_without_cache(experiment)
    assert (experiment / NAME).read_bytes() == whole


@pytest.mark.parametrize("about", [None, b"{}", b"[]", b"{", b'{"version": 3}'])
def test_a_foreign_file_with_the_right_checksum_is_none(about: bytes | None, experiment: Path) -> None:
    table = pa.table({"x": [1]}).replace_schema_metadata(None if about is None else {"about": about})
    write_signed(experiment / NAME, table)
    assert cached(experiment) is None
    assert_as_without_cache(experiment)


def test_a_cache_of_another_version_is_none(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.loading.cache.VERSION", 0)
    assert cached(experiment) is None
    assert_as_without_cache(experiment)


def write_signed(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    path.write_bytes(content + zlib.crc32(content).to_bytes(4, "big"))


def outside(table: pa.Table) -> pa.Array:
    """Texts that lie where the file has nothing."""
    places = np.full(table.num_rows + 1, 1_000_000_000, np.int32)
    places[[0, -1]] = 0, 1
    return pa.StringArray.from_buffers(table.num_rows, pa.py_buffer(places), pa.py_buffer(b"0"))


ABOUTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "more rows than there are": lambda about: about["starts"].append(about["starts"].pop() + 10**9),
    "rows before the first": lambda about: about["starts"].__setitem__(1, -5),
    "rows of no trial": lambda about: about["starts"].append(about["starts"][-1]),
    "starts that are no numbers": lambda about: about["starts"].__setitem__(1, "one"),
    "a config that is not there": lambda about: about["trials"][0].__setitem__(0, 99),
    "a config that is a list": lambda about: about["configs"].__setitem__(0, ["key"]),
    "a value that is a dict": lambda about: about["configs"][0].update(a={"a": 1}),
    "a value of one trial that is a dict": lambda about: about["trials"][0][1]["config"].update(a={"a": 1}),
    "a status that is a number": lambda about: about["trials"][0][1].update(status=7),
    "an id that is a list": lambda about: about["trials"][0][1].update(trial_id=[]),
    "an error that is a list": lambda about: about["trials"][0][1].update(error=[]),
    "an issue of a list": lambda about: about["issues"].append([[], "", ""]),
    "a missing field": lambda about: about["trials"][0][1].pop("divergence"),
    "a divergence that is a text": lambda about: about["trials"][0][1].update(divergence=["1"]),
    "a trial twice": lambda about: about["trials"].__setitem__(0, about["trials"][1]),
    "a stamp without its trial": lambda about: about["trials"][0][1].update(trial_dir="T_x"),
    "an issue that is a number": lambda about: about["issues"].append([None, 1, 2]),
    "a deep value": lambda about: about["configs"][0].update(a=deep(900)),
    "a deep value of one trial": lambda about: about["trials"][0][1]["config"].update(a=deep(900)),
    "a value of one trial nested too deeply": lambda about: about["trials"][0][1]["config"].update(a=deep(100)),
}
TABLES: dict[str, Callable[[pa.Table], pa.Array]] = {
    "texts that are not JSON": lambda table: pa.array(["{"] * table.num_rows),
    "deep texts": lambda table: pa.array(["[" * 900 + "]" * 900] * table.num_rows),
    "lists": lambda table: pa.array([[1]] * table.num_rows),
    "gaps": lambda table: pa.array([None] * table.num_rows, pa.float64()),
    "a dictionary": lambda table: pa.array(["1"] * table.num_rows).dictionary_encode(),
    "texts outside the file": outside,
}


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("change", ABOUTS)
def test_a_signed_cache_with_other_contents_is_none(change: str, experiment: Path) -> None:
    table = pa.ipc.open_file((experiment / NAME).read_bytes()[:-4]).read_all()
    about = json.loads(table.schema.metadata[b"about"])
    write_signed(experiment / NAME, table.replace_schema_metadata({"about": json.dumps(about)}))
    assert cached(experiment) is not None
    ABOUTS[change](about)
    write_signed(experiment / NAME, table.replace_schema_metadata({"about": json.dumps(about)}))
    assert cached(experiment) is None
    assert len(load(experiment)) == N_TRIALS


@pytest.mark.parametrize("change", TABLES)
def test_a_signed_cache_with_other_columns_is_none(change: str, experiment: Path) -> None:
    table = pa.ipc.open_file((experiment / NAME).read_bytes()[:-4]).read_all()
    column = TABLES[change](table)
    place = table.column_names.index("word")
    write_signed(experiment / NAME, table.set_column(place, pa.field("word", column.type), column))
    assert cached(experiment) is None
    assert len(load_history(experiment)) == N_ROWS * (N_TRIALS - 1)


def test_equal_values_of_different_types_stay_different(original: Path, tmp_path: Path) -> None:
    copy, values = tmp_path / "large", [1, 1.0, True, "1", None, [1], [1.0], [True]]
    shutil.copytree(original, copy)
    for folder, value in zip(sorted(copy.glob("T_*")), values * 4, strict=False):
        (folder / "params.json").write_text(json.dumps({"value": value}))
    settle(copy)
    assert len(load(copy)) == N_TRIALS
    found = cached(copy)
    assert found is not None
    expected = [tuple(value) if isinstance(value, list) else value for value in values]
    assert [repr(trial.config["value"]) for trial in found.contents.trials[:8]] == list(map(repr, expected))


def test_a_cache_that_came_with_the_folder_is_not_read_beyond_the_stamps(experiment: Path) -> None:
    """Unpacking a folder sets new times, which nobody can choose."""
    copy = experiment.with_name("copy")
    shutil.copytree(experiment, copy)
    assert cached(experiment) is not None and cached(copy) is None


def test_a_cache_may_be_cut_while_it_is_in_use(experiment: Path) -> None:
    found = cached(experiment)
    assert found is not None
    os.truncate(experiment / NAME, 0)
    # The process would end here if the file were mapped into memory.
    assert np.isfinite(found.contents.history.columns["metric_7"]).all()


def test_a_cache_of_holes_or_a_pipe_is_no_cache(experiment: Path) -> None:
    whole = (experiment / NAME).read_bytes()
    os.truncate(experiment / NAME, 40 * 2**30)
    assert cached(experiment) is None
    (experiment / NAME).unlink()
    os.mkfifo(experiment / NAME)
    assert_as_without_cache(experiment)
    assert (experiment / NAME).read_bytes() == whole


def test_a_trial_deleted_just_after_it_was_written_is_gone(original: Path, tmp_path: Path) -> None:
    copy = tmp_path / "large"
    shutil.copytree(original, copy)
    os.utime(copy / "T_00000" / "params.json")
    assert "T_00000" in load(copy)["trial_dir"].tolist()
    shutil.rmtree(copy / "T_00000")
    assert "T_00000" not in load(copy)["trial_dir"].tolist()


def test_a_folder_that_cannot_be_written_to_is_read(original: Path, tmp_path: Path) -> None:
    copy = tmp_path / "large"
    shutil.copytree(original, copy)
    # Also root cannot replace a folder by a file.
    (copy / NAME / "full").mkdir(parents=True)
    assert len(load(copy)) == N_TRIALS
    assert [path.name for path in copy.iterdir() if NAME in path.name] == [NAME]


def test_a_file_changed_just_now_is_read_again(original: Path, tmp_path: Path) -> None:
    """Within the resolution of a file system's times a second change looks like none."""
    copy = tmp_path / "large"
    shutil.copytree(original, copy)
    path = copy / "T_00000" / "params.json"
    os.utime(path)
    load(copy)
    times = path.stat()
    path.write_text(path.read_text().replace("0.1", "0.7"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert sorted(load(copy)["on_perc"].dropna().unique()) == [0.1, 0.7]


def test_a_small_experiment_has_no_cache(notebook_run: Path) -> None:
    assert load_history(notebook_run).size < TOO_SMALL
    assert not (notebook_run / NAME).exists()


def test_the_cache_holds_numbers_as_numbers(experiment: Path) -> None:
    found = cached(experiment)
    assert found is not None
    kinds = {name: column.dtype.kind for name, column in found.contents.history.columns.items()}
    assert kinds["val_acc"] == kinds["metric_7"] == "f"
    assert {name for name, kind in kinds.items() if kind == "O"} == {"word", "mixed_acc", "pair", "late_acc"}
    assert pd.api.types.is_integer_dtype(load_history(experiment)["epoch"])
