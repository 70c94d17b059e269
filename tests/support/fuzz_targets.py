"""What must hold for everything that reads files or words of anybody, as tests that Hypothesis calls with inputs."""

import contextlib
import json
import os
import pickle
import tempfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock

import click
import pandas as pd
import pyarrow as pa
import torch
from hypothesis import example, given, seed, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from support.hostile_content import (
    OF_TRIAL,
    any_content,
    any_text,
    damaged,
    experiments,
    json_texts,
    names,
    texts,
    trial_files,
    values,
)
from support.hostile_corpus import CONDITIONS, CONTENTS, EXPERIMENTS, SETTINGS, VALUES

import analysis
from analysis.loading import cache, experiment
from analysis.loading.trial_dir import TRIAL_FILES, stamp_of_states, trial_folders
from dynsparse.cli.parsing import Setting
from dynsparse.config import Config
from dynsparse.export import load_exported
from dynsparse.export.network import load_network
from dynsparse.io.storage import open_folder
from dynsparse.results import checkpoints
from dynsparse.results.grid_status import scan
from dynsparse.results.lock import check_unlocked, read_owner
from dynsparse.results.trial_folder import TrialFolder, folder_name, state_check
from dynsparse.results.watch import follow
from dynsparse.training.trainer import Trainer

Files = Mapping[str, bytes]


class Target(NamedTuple):
    """A check that holds for any inputs, the strategies of these, and inputs that are known to be hostile."""

    check: Callable[..., None]
    inputs: tuple[st.SearchStrategy[Any], ...]
    known: Sequence[tuple[Any, ...]]

    def run(self, options: settings, number: int) -> None:
        """Call the check with the known inputs, and with others that Hypothesis makes up.

        Raises: what the check raises, with reduced inputs.
        """
        test = given(*self.inputs)(self.check)
        for each in reversed(self.known):
            test = example(*each)(test)
        seed(number)(options(test))()


TARGETS: dict[str, Target] = {}


def target(
    *inputs: st.SearchStrategy[Any], known: Iterable[Any] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a check to the targets. Each of the known inputs is a tuple, or the only argument of the check."""

    def register(check: Callable[..., None]) -> Callable[..., None]:
        arguments = [each if len(inputs) > 1 else (each,) for each in known]
        TARGETS[check.__name__] = Target(check, inputs, arguments)
        return check

    return register


def write_files(folder: Path, files: Files) -> None:
    os.makedirs(folder, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


# Folders of results


@target(experiments, known=EXPERIMENTS)
def load_returns_a_table_and_issues(found: tuple[Mapping[str, Files], Files]) -> None:
    trials, of_experiment = found
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "e")
        write_files(folder, of_experiment)
        for name, files in trials.items():
            write_files(folder / name, files)
        n_trials = sum(any(name in files for name in TRIAL_FILES) for files in trials.values())
        if not n_trials:
            try:
                analysis.load(folder)
            except ValueError:
                return
            raise AssertionError("a folder without a trial was loaded")
        for read in (analysis.load, analysis.load_history):
            df = read(folder)
            check_table(df, Path(temporary))
            check_cache(df, read, folder)
        assert len(analysis.load(folder)) == n_trials - sum("a copy of" in issue[2] for issue in df.attrs["issues"])


def check_table(df: pd.DataFrame, folder: Path) -> None:
    """A table can be shown, filtered, compared and stored."""
    assert isinstance(df, pd.DataFrame) and df.columns.is_unique
    found = analysis.issues(df)
    assert list(found) == ["trial_dir", "file", "problem"]
    repr(df), repr(found)
    for suffix in (".csv", ".md", ".parquet", ".tex"):
        analysis.save(df, folder / f"table{suffix}")
    analysis.varying(df)
    if "at_chance" in df:
        analysis.left_out(df)
        failed = analysis.format_table(analysis.failures(df))
        assert all(each.isprintable() or each == "\n" for each in failed)


def check_cache(df: pd.DataFrame, read: Callable[[Path], pd.DataFrame], folder: Path) -> None:
    """The table is the same from a cache."""
    with mock.patch.multiple(experiment, TOO_SMALL=0, SETTLED_AFTER_SECONDS=-60):
        read(folder)
        found = cache.read(folder, stamp_of_states(folder), trial_folders(folder))
        # A table without columns has no rows, and a name that is no text is not found again.
        is_odd = not experiment.read_experiment(folder).history.columns or "T_\\udcff" in set(df["trial_dir"])
        assert found is not None or is_odd
        again = read(folder)
    (folder / cache.NAME).unlink()
    assert_frame_equal(again, df)
    # Also 1, 1.0 and True are the same again.
    assert_frame_equal(again.map(repr), df.map(repr))
    assert [tuple(issue) for issue in again.attrs["issues"]] == [tuple(issue) for issue in df.attrs["issues"]]


# What replaces a column: of another type, or with values that are not JSON.
COLUMNS = [
    [1, 2],
    [0.5, None],
    ["{", "1"],
    ["[" * 60, "null"],
    [[1], [2]],
    [True, False],
    [b"x", b"\xff"],
    ["1", '"x"'],
]


@target(
    st.randoms(use_true_random=False),
    values,
    st.none() | st.sampled_from(COLUMNS),
    damaged(st.just(b"")),
    known=[
        *((Random(place), value, None, b"") for place, value in enumerate(VALUES)),
        *((Random(place), 1, column, b"") for place, column in enumerate(COLUMNS)),
    ],
)
def a_signed_cache_of_any_content_is_read_or_ignored(
    random: Random, new: Any, column: list[Any] | None, tail: bytes
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "e")
        for name in ("T_0", "T_1"):
            row = {"val_acc": 0.5, "word": "x", "training_iteration": 1, "config": {"a": [1, 2], "b": None}}
            write_files(folder / name, {"result.json": json.dumps(row).encode() + b"\n", "params.json": b"{"})
        with mock.patch.multiple(experiment, TOO_SMALL=0, SETTLED_AFTER_SECONDS=-60):
            analysis.load(folder)
        table = pa.ipc.open_file((folder / cache.NAME).read_bytes()[:-4]).read_all()
        about = json.loads(table.schema.metadata[b"about"])
        about = replaced(about, random_path(about, random), new)
        if column is not None:
            table = table.set_column(random.randrange(table.num_columns), "word", pa.array(column))
        sink = pa.BufferOutputStream()
        table = table.replace_schema_metadata({"about": json.dumps(about)})
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        content = sink.getvalue().to_pybytes() + tail
        (folder / cache.NAME).write_bytes(content + zlib.crc32(content).to_bytes(4, "big"))
        for read in (analysis.load, analysis.load_history):
            df = read(folder)
            assert len(df) == 2
            check_table(df, Path(temporary))


def random_path(value: Any, random: Random) -> list[Any]:
    """The way to a part of nested dicts and lists."""
    path: list[Any] = []
    while isinstance(value, dict | list) and len(value) and (not path or random.randrange(4)):
        path.append(random.choice(sorted(value) if isinstance(value, dict) else range(len(value))))
        value = value[path[-1]]
    return path


def replaced(value: Any, path: list[Any], new: Any) -> Any:
    """A copy with another value at the end of a path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


# Runs

CONFIG = Config(dataset_name="digits", epochs=2, hidden_sizes=(4,), model="SET", on_perc=0.5)


@target(
    trial_files,
    damaged(json_texts()),
    damaged(json_texts()),
    known=[(dict.fromkeys(OF_TRIAL, content), content, content) for content in CONTENTS],
)
def a_run_reads_any_folder(files: Files, lease: bytes, status: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        trial = Path(temporary, folder_name(CONFIG))
        write_files(trial, files)
        write_files(Path(temporary), {"lease.json": lease, "status.json": status})
        folder = open_folder(temporary)
        found = scan(folder, [CONFIG])
        found.summary(retry_failed=False), found.failures(), found.todo(retry_failed=True)
        str(read_owner(folder))
        with mock.patch("dynsparse.results.lock.STALE_SECONDS", 0):
            check_unlocked(folder)
        with contextlib.suppress(ValueError):
            assert len(list(follow(temporary, once=True))) == 1
        found.set_aside(folder)
        reader = TrialFolder(folder.sub(folder_name(CONFIG)))
        reader.create(CONFIG, {})
        reader.rows(), reader.config(), reader.about(), reader.check_other_files()
        reader.repair(CONFIG)


def saved() -> dict[str, Any]:
    trainer = Trainer([CONFIG])
    trainer.step()
    return trainer.state_dict()


STATE = saved()
leaves = values | st.sampled_from([torch.zeros(3), torch.zeros(1, 4, 64), torch.ones(1, dtype=torch.bool), b"x", (1,)])


altered_states = st.builds(
    lambda random, new: replaced(STATE, random_path(STATE, random), new), st.randoms(use_true_random=False), leaves
)
saved_contents = altered_states.map(checkpoints.encode) | damaged(st.just(checkpoints.encode(STATE)))


known_states = [
    checkpoints.encode(replaced(STATE, random_path(STATE, Random(i)), each)) for i, each in enumerate(VALUES)
]
known_contents = [*CONTENTS, *known_states, *(pickle.dumps(value) for value in VALUES)]


@target(saved_contents | any_content | values.map(pickle.dumps), known=known_contents)
def a_checkpoint_of_any_content_is_read_or_named(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        trial = TrialFolder(open_folder(temporary))
        trial.create(CONFIG, {})
        trial.append({"training_iteration": 1, "val_acc": 0.5})
        for signed in (content, checkpoints._checksum(content) + b"\n" + content):
            Path(temporary, "checkpoint_000001.pt").write_bytes(signed)
            trial.damage = []
            state = trial.load_checkpoint(1, state_check(CONFIG))
            assert (state is None) == bool(trial.damage)
            if state is not None:
                Trainer([CONFIG]).load_state_dict(state)
            try:
                load_network(temporary)
            except ValueError as error:
                assert "checkpoint_000001.pt" in str(error) or "has no checkpoint" in str(error)


@target(
    st.sampled_from([".pt", ".safetensors"]),
    saved_contents | any_content | json_texts(),
    st.integers(0, 300),
    known=[(suffix, content, len(content)) for content in known_contents for suffix in (".pt", ".safetensors")],
)
def an_exported_file_of_any_content_is_read_or_named(suffix: str, content: bytes, length: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, f"network{suffix}")
        for each in (content.partition(b"\n")[2], content, length.to_bytes(8, "little") + content):
            path.write_bytes(each)
            try:
                load_exported(path)
            except ValueError as error:
                assert str(path) in str(error)


# Words of the command line

words = st.text(st.sampled_from(list("ab_ =,()[]{}'\"\\0123.-+*<>!@`–\n\x00")) | st.characters(), max_size=30)
SET = Setting()


@target(words | texts | st.tuples(names, words).map("=".join), known=SETTINGS)
def set_reads_any_words_or_refuses_them(word: str) -> None:
    try:
        key, parts = SET.convert(word, None, None)
    except click.BadParameter as error:
        str(error.format_message())
        return
    assert key and parts
    assert key == key.strip()
    try:
        Config.of({key: parts[0]})
    except ValueError as error:
        str(error)


FRAME = pd.DataFrame(
    {
        "on_perc": [0.1, 0.2, None],
        "model": ["SET", "RigL", None],
        "hidden_sizes": [(300, 100), (100,), None],
        "kwinners": [True, False, None],
        "a b": [1, 10**30, "x"],
        "": [1, 2, 3],
    }
)
PARTS = [
    *("on_perc", "model", "hidden_sizes", "kwinners", "`a b`", "``", "x", "SET", "None", "0.1", "-1", "(300, 100)"),
    *(
        "[SET, RigL]",
        "'SET'",
        "and",
        "or",
        "not",
        "in",
        "is",
        "==",
        "<",
        "!=",
        "(",
        ")",
        "[",
        ",",
        "–",
        "@x",
        "__import__",
    ),
    *("lambda: 0", "on_perc.real", "f(1)", "1+1", "{1}", "...", "b'x'", "1j", "*", ":=", "if", "for", "'\\d'"),
]
conditions = st.lists(st.sampled_from(PARTS) | any_text, max_size=7).map(" ".join)


@target(conditions | words, known=CONDITIONS)
def where_selects_or_refuses(condition: str) -> None:
    try:
        assert 0 < len(analysis.select(FRAME, condition)) <= 3
    except ValueError as error:
        str(error)
