"""The file of the saved views: what is saved is read again, and a hostile or damaged file is neither read nor lost."""

import json
import os
from pathlib import Path

import pytest
from support.trial_folders import write_trial

from analysis import issues, load
from analysis.output.saved_views import (
    LARGEST_BYTES,
    LONGEST_NAME,
    NAME,
    ViewsError,
    delete_view,
    read_views,
    save_view,
)
from analysis.output.views import View

VIEW = View(
    metric="val_acc_max",
    filters={"hidden_sizes": ((100, 100), (50,)), "clip_norm": (None, 0.5), "kwinners": (True,), "seed": ()},
    columns=("val_acc_max", "model"),
    sort_by="model",
    descending=False,
    rows="model",
    across="on_perc",
    curves_by="trial_dir",
)
PARTS = {
    "metric": "val_acc_max",
    "filters": {},
    "columns": ["model"],
    "sort_by": "model",
    "descending": False,
    "rows": "model",
    "across": "on_perc",
    "curves_by": "model",
}


def file_of(**views: object) -> bytes:
    return json.dumps({"version": 1, "views": views}).encode()


def test_a_saved_view_is_read_again(tmp_path: Path) -> None:
    assert read_views(tmp_path) == {}
    save_view(tmp_path, "Größe <b>", VIEW)
    save_view(tmp_path, " second ", View(**{**vars(VIEW), "filters": {"x": (float("inf"), "1", 1)}}))
    found = read_views(tmp_path)
    assert list(found) == ["Größe <b>", "second"] and found["Größe <b>"] == VIEW
    assert found["Größe <b>"].filters["kwinners"][0] is True
    assert found["second"].filters == {"x": (float("inf"), "1", 1)}
    assert os.listdir(tmp_path) == [NAME]


def test_a_view_can_be_replaced_and_deleted(tmp_path: Path) -> None:
    save_view(tmp_path, "a", VIEW)
    save_view(tmp_path, "b", VIEW)
    other = View(**{**vars(VIEW), "metric": "noise_acc_max"})
    assert save_view(tmp_path, "a", other) == read_views(tmp_path) == {"a": other, "b": VIEW}
    assert delete_view(tmp_path, "a") == read_views(tmp_path) == {"b": VIEW}
    assert delete_view(tmp_path, "nothing") == {"b": VIEW}


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[2J", "\u202e", "x" * (LONGEST_NAME + 1)], ids=repr)
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ViewsError, match="The name of a view must have 1 to 60 printable characters, got"):
        save_view(tmp_path, name, VIEW)
    assert not (tmp_path / NAME).exists()


HOSTILE = {
    b"": "empty",
    b"{": "not one whole JSON object",
    b"[]": "not one whole JSON object",
    b"\xff\xfe\x00\xd8": "not one whole JSON object",
    b'{"version": 1, "views": ' + b'{"a":' * 10_000: "not one whole JSON object",
    b"{}": 'it needs "version": 1 and an object "views"',
    b'{"version": 2, "views": {}}': 'it needs "version": 1',
    b'{"version": 1, "views": []}': 'it needs "version": 1',
    file_of(a=3): "the view 'a' must have the parts metric, filters, columns",
    file_of(a={}): "the view 'a' must have the parts",
    file_of(a={**PARTS, "code": "x"}): "the view 'a' must have the parts",
    file_of(a={**PARTS, "metric": 3}): "the view 'a' must have a text as metric",
    file_of(a={**PARTS, "columns": ["b", 3]}): "the view 'a' must have a list of texts as columns",
    file_of(a={**PARTS, "columns": "bc"}): "the view 'a' must have a list of texts as columns",
    file_of(a={**PARTS, "filters": {"b": 3}}): "the view 'a' must have an object of lists as filters",
    file_of(a={**PARTS, "descending": 1}): "the view 'a' must have true or false as descending",
    file_of(**{"\x1b[2J": PARTS}): r"the view '\\x1b\[2J' must have 1 to 60 printable characters",
    file_of(**{"x" * 10_000: PARTS}): "the view 'xxx",
    b" " * (LARGEST_BYTES + 1): "larger than 1 MiB",
}


@pytest.mark.parametrize("content", HOSTILE, ids=lambda content: content[:40])
def test_a_damaged_file_is_named_and_not_overwritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    for action in (read_views, lambda folder: save_view(folder, "b", VIEW), lambda folder: delete_view(folder, "a")):
        with pytest.raises(ViewsError, match=HOSTILE[content]) as caught:
            action(tmp_path)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / NAME} cannot be read: ") and len(message) < 500
        assert message.endswith("It is not changed. Correct, rename or delete it to save views.")
        assert message.isprintable()
    assert (tmp_path / NAME).read_bytes() == content and os.listdir(tmp_path) == [NAME]


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_only_a_regular_file_is_read_or_replaced(tmp_path: Path, kind: str) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    folder.mkdir()
    path = folder / NAME
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(victim)
    if kind == "link":
        victim.write_bytes(file_of(a=PARTS))
    before = os.lstat(path)
    for action in (read_views, lambda folder: save_view(folder, "b", VIEW)):
        with pytest.raises(ViewsError, match=r"it is (a link|not a file)"):
            action(folder)
    assert os.lstat(path).st_ino == before.st_ino
    assert victim.exists() == (kind == "link") and (kind != "link" or victim.read_bytes() == file_of(a=PARTS))


def test_another_name_of_the_file_keeps_its_content(tmp_path: Path) -> None:
    save_view(tmp_path, "a", VIEW)
    os.link(tmp_path / NAME, tmp_path / "other")
    before = (tmp_path / "other").read_bytes()
    save_view(tmp_path, "b", VIEW)
    assert (tmp_path / "other").read_bytes() == before


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ViewsError, match=r"views\.json cannot be written: No such file or directory\. Check the folder\."
    ):
        save_view(tmp_path / "gone", "a", VIEW)


def test_a_file_that_would_be_too_large_to_read_is_not_written(tmp_path: Path) -> None:
    save_view(tmp_path, "a", VIEW)
    large = View(**{**vars(VIEW), "columns": ("x" * LARGEST_BYTES,)})
    with pytest.raises(ViewsError, match=r"must be smaller than 1 MiB\. Delete views that you do not need."):
        save_view(tmp_path, "b", large)
    assert list(read_views(tmp_path)) == ["a"]


@pytest.mark.parametrize("content", [file_of(a=PARTS), b"{", b'{"version": 1}'])
def test_load_does_not_read_the_file(tmp_path: Path, content: bytes) -> None:
    write_trial(tmp_path / "T_0", {"on_perc": 0.1}, {"val_acc": [0.5]})
    (tmp_path / NAME).write_bytes(content)
    df = load(tmp_path)
    assert len(df) == 1 and issues(df).empty and not df.attrs["unread_folders"]
