"""Strategies for the content of files: what Tune and dynsparse write, with any names and values, whole and damaged."""

import csv
import io
import json
from typing import Any

from hypothesis import strategies as st

# Names that have a meaning for `load` or for a run.
NAMES = [
    *("training_iteration", "trial_id", "done", "config", "experiment_tag", "time_this_iter_s", "time_total_s"),
    *("iterations_since_restore", "checkpoint_dir_name", "val_acc", "val_loss", "loss", "flops_train", "num_classes"),
    *("seed", "epochs", "epoch", "status", "error", "diverged", "trial_dir", "config/epochs", "a", "a/b", "'a/b'", ""),
    *("Experiment Name", "experiment_file_name", "result/epoch", "model", "study", "round", "sparsity", "val_acc_max"),
    *("rows", "sha256", "params_sha256", "version", "engine", "relative_logdir", "logdir", "trial_data", "checkpoints"),
    *("token", "pid", "host", "machine", "process_started", "heartbeat", "released", "line", "trials", "failed"),
]
# Texts that stand for something else.
TEXTS = [
    *("nan", "null", "None", "True", "false", "inf", "-0.0", "1_000", "0x10", "tensor(0.5)", "tensor([nan, 1.])"),
    *("[1, 2]", "(1,", "{'b', 'a'}", "{1: 2}", "<function f at 0x7f00>", "array(0.5, dtype=float32)", "SET", "error"),
    *(
        "=1+1",
        "@x",
        "\x1b[2J",
        "a\nb",
        "\ud800",
        "1" * 400,
        "1e999",
        "T_0",
        "trial_0123456789ab",
        "TERMINATED",
        "ERROR",
    ),
]

any_text = st.text(st.characters(), max_size=12)
names = st.sampled_from(NAMES) | any_text
texts = st.sampled_from(TEXTS) | any_text
integers = st.integers(-3, 30) | st.integers() | st.integers(2**62, 2**65) | st.just(10**400)
scalars = st.none() | st.booleans() | integers | st.floats() | texts


def _inner(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=3) | st.dictionaries(names, values, max_size=3)


values = st.recursive(scalars, _inner, max_leaves=6)
objects = st.dictionaries(names, values, max_size=6)


@st.composite
def json_texts(draw: st.DrawFn, of: st.SearchStrategy[Any] = objects) -> bytes:
    text = json.dumps(draw(of), ensure_ascii=draw(st.booleans()))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig"])), "surrogatepass")


@st.composite
def row_lines(draw: st.DrawFn) -> bytes:
    """Rows as Tune writes them: most with the same names, and an iteration that mostly counts up."""
    shared, lines = draw(objects), []
    for number in range(draw(st.integers(0, 5))):
        row = {**shared, **draw(st.dictionaries(names, values, max_size=2))}
        if draw(st.integers(0, 3)):
            row["training_iteration"] = number + 1
        lines.append(json.dumps(row, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass"))
    return b"".join(line + draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b""])) for line in lines)


@st.composite
def csv_texts(draw: st.DrawFn) -> bytes:
    header = draw(st.lists(names, min_size=1, max_size=5))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*header, "training_iteration"])
    for number in range(draw(st.integers(0, 3))):
        writer.writerow([*draw(st.lists(texts, min_size=len(header), max_size=len(header))), number])
    return text.getvalue().encode(errors="surrogatepass")


states = st.fixed_dictionaries(
    {},
    optional={
        "trial_data": st.lists(st.lists(objects.map(json.dumps) | values, max_size=2) | values, max_size=3),
        "checkpoints": st.lists(objects.map(json.dumps) | objects | values, max_size=3),
    },
)


@st.composite
def damaged(draw: st.DrawFn, of: st.SearchStrategy[bytes]) -> bytes:
    """A content as it is, or cut, or with other bytes in it."""
    content = draw(of)
    how = draw(st.sampled_from(["whole", "whole", "whole", "cut", "changed", "other"]))
    if how == "whole":
        return content
    place = draw(st.integers(0, len(content)))
    if how == "cut":
        return content[:place]
    other = draw(
        st.binary(max_size=8) | st.sampled_from([b"\x00" * 9, b"[" * 60, b"\xff\xfe", b"\n\n", b'"', b"1" * 5000])
    )
    return content[:place] + other + (content[place + len(other) :] if how == "changed" else b"")


# The files of a trial and of an experiment, with what belongs there.
OF_TRIAL = {
    "params.json": json_texts(),
    "result.json": row_lines(),
    "progress.csv": csv_texts(),
    "error.txt": texts.map(lambda text: text.encode(errors="surrogatepass")),
    "about.json": json_texts(),
    "complete.json": json_texts(),
    "failed.json": json_texts(),
}
OF_EXPERIMENT = {"experiment_state-1.json": json_texts(states), "experiment_state-2.json": json_texts(states)}

any_content = st.binary(max_size=40)
trial_files = st.fixed_dictionaries(
    {}, optional={name: damaged(content) | any_content for name, content in OF_TRIAL.items()}
)
experiment_files = st.fixed_dictionaries(
    {}, optional={name: damaged(content) | any_content for name, content in OF_EXPERIMENT.items()}
)
trial_names = st.sampled_from(["T_0", "T_1", "trial_0123456789ab", "T_0\x1b[2J", "T_\udcff", ".hidden"])
experiments = st.tuples(st.dictionaries(trial_names, trial_files, min_size=1, max_size=3), experiment_files)
