"""Missing data sets: an error within seconds, or a complete download by one of several processes."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torchvision
from support.idx_files import assert_dataset_equals, write_idx
from support.s3 import BUCKET, s3  # noqa: F401  # a fixture

from dynsparse.data import DATASETS, download, load_dataset
from dynsparse.data.datasets import _load
from dynsparse.data.download import DataError, resolve_data_dir
from dynsparse.io.storage import open_folder

REPOSITORY = Path(__file__).parents[3]
KMNIST_FILES = DATASETS["KMNIST"].files
# Nothing listens there: a download fails at once, with or without a network.
CLOSED_MIRROR = "http://127.0.0.1:9/"


# Missing files


def test_a_download_does_not_go_through_a_link_and_deletes_what_a_killed_one_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "data"
    for path in (victim, folder / ".KMNIST.download-killed"):
        path.mkdir(parents=True)
    (folder / ".KMNIST.download").symlink_to(victim)
    made = []

    def source(folder: Path) -> None:
        made.append(folder)
        write_idx(folder, "KMNIST")

    download.fetch_files("KMNIST", KMNIST_FILES, str(folder), source)
    assert not list(victim.iterdir()) and made[0].parent == folder
    assert [path.name for path in folder.iterdir() if "download" in path.name] == [".KMNIST.download"]
    assert not download.missing_files(KMNIST_FILES, folder)


@pytest.mark.parametrize("present", [0, 3])
def test_missing_files_without_a_network(present: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [CLOSED_MIRROR])
    write_idx(tmp_path, "KMNIST")
    for file in KMNIST_FILES[present:]:
        (tmp_path / file).unlink()
    with pytest.raises(DataError) as error:
        load_dataset("KMNIST", str(tmp_path))
    message = str(error.value)
    assert message.startswith(
        # Versions of torchvision continue it in different words.
        f"KMNIST is missing in {tmp_path} and cannot be downloaded (RuntimeError: Error downloading "
    )
    assert message.endswith(
        f"). Put these files there, unpacked: {', '.join(KMNIST_FILES[present:])}. Or set data_dir, or the "
        "environment variable DYNSPARSE_DATA_DIR, to a folder that has them. Or set dataset_name='digits', which "
        "needs no files."
    )
    assert "\n" not in message


@pytest.mark.parametrize("below", ["", "/sub/folder"])
def test_a_data_folder_that_cannot_be_made(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError) as error:
        load_dataset("EMNIST", f"{tmp_path}/file{below}")
    cause = "NotADirectoryError: [Errno 20] Not a directory" if below else "FileExistsError: [Errno 17] File exists"
    assert f"EMNIST is missing in {tmp_path}/file{below} and cannot be downloaded ({cause}" in str(error.value)
    assert "EMNIST/raw/emnist-balanced-train-images-idx3-ubyte" in str(error.value)


def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match=r"KMNIST is missing in .* \(PermissionError: .*KMNIST/raw/train-images"):
        load_dataset("KMNIST", str(tmp_path))


def test_a_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "DOWNLOAD_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        with pytest.raises(DataError, match="timed out"):
            load_dataset("KMNIST", str(tmp_path))
    assert socket.getdefaulttimeout() is None


class Mirror:
    """A local server with a small KMNIST in the form that torchvision expects."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source"
        self.arrays = write_idx(source, "KMNIST")
        self.requests: list[str] = []  # the files sent
        self.cut_short = False  # send half of each file, like a broken connection
        self.resources = []
        (folder / "served").mkdir()
        for file in KMNIST_FILES:
            packed = gzip.compress((source / file).read_bytes())
            archive = f"{Path(file).name}.gz"
            (folder / "served" / archive).write_bytes(packed)
            self.resources.append((archive, hashlib.md5(packed).hexdigest()))

        mirror = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args: object) -> None:
                super().__init__(*args, directory=str(folder / "served"))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                # torchvision's first request only looks for redirections: a GET, with "HEAD" as a header.
                if self.headers["Method"] != "HEAD":
                    mirror.requests.append(self.path.lstrip("/"))
                super().do_GET()

            def copyfile(self, source: object, outputfile: object) -> None:
                content = source.read()  # type: ignore[attr-defined]
                outputfile.write(content[: len(content) // 2] if mirror.cut_short else content)  # type: ignore[attr-defined]

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    mirror = Mirror(tmp_path_factory.mktemp("mirror"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [mirror.url])
    monkeypatch.setattr(torchvision.datasets.KMNIST, "resources", mirror.resources)
    threading.Thread(target=mirror.server.serve_forever, args=(0.01,), daemon=True).start()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_download(mirror: Mirror, tmp_path: Path) -> None:
    assert_dataset_equals(load_dataset("KMNIST", str(tmp_path / "new" / "folder")), *mirror.arrays)
    assert files_in(tmp_path / "new" / "folder") == sorted([".KMNIST.lock", *KMNIST_FILES])


def test_a_download_cut_short_leaves_nothing_and_can_be_repeated(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut_short = True
    with pytest.raises(DataError, match="File not found or corrupted"):
        load_dataset("KMNIST", str(tmp_path))
    assert files_in(tmp_path) == []
    mirror.cut_short = False
    assert_dataset_equals(load_dataset("KMNIST", str(tmp_path)), *mirror.arrays)


def test_files_of_a_killed_download_are_not_used(mirror: Mirror, tmp_path: Path) -> None:
    for file in KMNIST_FILES:
        left = tmp_path / ".KMNIST.download" / file
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(b"half a file")
    assert_dataset_equals(load_dataset("KMNIST", str(tmp_path)), *mirror.arrays)
    assert files_in(tmp_path) == sorted([".KMNIST.lock", *KMNIST_FILES])


LOAD_IN_ANOTHER_PROCESS = """
import sys, time
import torchvision
from dynsparse.data import DataError, load_dataset

folder, mirror, *resources = sys.argv[1:]
torchvision.datasets.KMNIST.mirrors = [mirror]
torchvision.datasets.KMNIST.resources = [tuple(resource.split("=")) for resource in resources]
print("ready", flush=True)
sys.stdin.readline()
started = time.monotonic()
try:
    print("loaded", tuple(load_dataset("KMNIST", folder).train_x.shape))
except DataError as error:
    print("DataError", error)
print(time.monotonic() - started)
"""


def load_in_two_processes(folder: Path, url: str, resources: list[tuple[str, str]]) -> list[str]:
    """Return the output of two processes that load KMNIST at once; each may take a few seconds."""
    command = [sys.executable, "-c", LOAD_IN_ANOTHER_PROCESS, str(folder), url, *map("=".join, resources)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": REPOSITORY}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # Both have imported everything and now compete for the lock.
        process.stdin.write("go\n")
        process.stdin.flush()
    said = []
    for process in processes:
        # Older versions of torchvision print what they download.
        result, seconds = process.communicate(timeout=60)[0].splitlines()[-2:]
        assert float(seconds) < 5
        said.append(result)
    return said


@pytest.mark.faults
def test_two_processes_at_once_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    resources = torchvision.datasets.KMNIST.resources
    for said in load_in_two_processes(tmp_path, CLOSED_MIRROR, resources):
        assert said.startswith(f"DataError KMNIST is missing in {tmp_path} and cannot be downloaded")
    assert files_in(tmp_path) == []


@pytest.mark.faults
def test_two_processes_at_once_download_once(mirror: Mirror, tmp_path: Path) -> None:
    said = load_in_two_processes(tmp_path, mirror.url, mirror.resources)
    assert said == ["loaded (120, 784)"] * 2
    assert sorted(mirror.requests) == sorted(archive for archive, _ in mirror.resources)


# Files in a store


def test_files_of_a_store_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3) -> None:  # noqa: F811
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arrays = write_idx(tmp_path, "KMNIST")
    where = f"s3://{BUCKET}/{tmp_path.name}/sets"
    for file in KMNIST_FILES:
        open_folder(where).replace(file, (tmp_path / file).read_bytes())
    assert_dataset_equals(load_dataset("KMNIST", where), *arrays)
    assert [str(path.relative_to(resolve_data_dir(where))) for path in here(where)] == sorted(KMNIST_FILES)
    # With the variable set to the store, a later process uses the fetched files without a request.
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", where)
    s3.stop()
    try:
        _load.cache_clear()
        assert_dataset_equals(load_dataset("KMNIST"), *arrays)
    finally:
        s3.start()


def test_a_file_missing_in_a_store_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3) -> None:  # noqa: F811
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_idx(tmp_path, "KMNIST")
    where = f"s3://{BUCKET}/{tmp_path.name}/less"
    open_folder(where).replace(KMNIST_FILES[0], (tmp_path / KMNIST_FILES[0]).read_bytes())
    with pytest.raises(
        DataError, match=f"KMNIST is not in {where}: {KMNIST_FILES[1]} is missing. Put these files there"
    ):
        load_dataset("KMNIST", where)
    assert not here(where), "a part of a data set"
    with pytest.raises(DataError, match="KMNIST cannot be fetched from nothing://x"):
        load_dataset("KMNIST", "nothing://x")


def here(where: str) -> list[Path]:
    """Return the files that have been fetched."""
    return sorted(path for path in resolve_data_dir(where).rglob("*") if path.is_file() and path.suffix != ".lock")
