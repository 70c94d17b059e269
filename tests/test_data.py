"""Data sets: real files, damaged files, no files; noise; the split; the order of examples."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from scipy import stats
from sklearn.datasets import load_digits

from dynsparse import data
from dynsparse.data import (
    DATASETS,
    DataError,
    Dataset,
    Source,
    epoch_order,
    load_dataset,
    noise_images,
    resolve_data_dir,
    split,
)

REPOSITORY = Path(__file__).parents[1]
KMNIST_FILES = DATASETS["KMNIST"].files
# Nothing listens there: a download fails at once, with or without a network.
CLOSED_MIRROR = "http://127.0.0.1:9/"


def idx(array: np.ndarray) -> bytes:
    """A file in the idx format: two zeros, 8 for bytes, how many dimensions, each dimension, the bytes."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def made_up(n: int, shape: tuple[int, ...], num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels that take every pixel value and every class."""
    generator = np.random.RandomState(seed)
    return generator.randint(0, 256, (n, *shape)).astype(np.uint8), np.arange(n) % num_classes


def write_idx(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A small data set in MNIST's format where `load_dataset` looks for it."""
    num_classes = DATASETS[name].num_classes
    train, test = made_up(120, (28, 28), num_classes, 0), made_up(50, (28, 28), num_classes, 1)
    for file, content in zip(DATASETS[name].files, (*train, *test), strict=True):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(idx(content))
    return *train, *test


def normalised(pixels: np.ndarray, train_pixels: np.ndarray) -> torch.Tensor:
    """(x - mean) / std of pixels scaled to [0, 1], in float64."""
    x, train = pixels / 255, train_pixels / 255
    return torch.from_numpy((x - train.mean()) / train.std()).flatten(1)


def assert_is(
    dataset: Dataset, train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray
) -> None:
    # Pixels are at most a few standard deviations from 0, and a float32 has 7 digits.
    torch.testing.assert_close(dataset.train_x.double(), normalised(train_x, train_x), rtol=0, atol=1e-5)
    torch.testing.assert_close(dataset.test_x.double(), normalised(test_x, train_x), rtol=0, atol=1e-5)
    assert dataset.train_y.tolist() == train_y.tolist()
    assert dataset.test_y.tolist() == test_y.tolist()
    for x, y in ((dataset.train_x, dataset.train_y), (dataset.test_x, dataset.test_y)):
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert x.is_contiguous()


# What is known without loading


def test_sizes_are_known_without_loading() -> None:
    sizes = {name: (source.input_size, source.num_classes) for name, source in DATASETS.items()}
    assert sizes == {
        "digits": (64, 10),
        "MNIST": (784, 10),
        "FashionMNIST": (784, 10),
        "KMNIST": (784, 10),
        "EMNIST": (784, 47),
        "CIFAR10": (3072, 10),
    }


def test_data_dir_is_the_argument_then_the_variable_then_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DYNSPARSE_DATA_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert resolve_data_dir(None) == tmp_path / ".cache" / "dynsparse"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert resolve_data_dir(None) == tmp_path / "cache" / "dynsparse"
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", "~/variable")
    assert resolve_data_dir(None) == tmp_path / "variable"
    assert resolve_data_dir("~/argument") == tmp_path / "argument"
    assert resolve_data_dir("relative") == tmp_path / "relative"


def test_an_unknown_name_lists_the_table() -> None:
    with pytest.raises(DataError) as error:
        load_dataset("MINST")
    assert str(error.value) == (
        "unknown dataset_name 'MINST'; choose from digits, MNIST, FashionMNIST, KMNIST, EMNIST, CIFAR10"
    )


# Files that are there


def test_digits_are_those_of_scikit_learn() -> None:
    digits = load_digits()
    by_class = sorted(range(1797), key=lambda i: (digits.target[i], i))
    test = sorted(by_class[::5])
    train = sorted(set(range(1797)) - set(test))
    dataset = load_dataset("digits")
    # `normalised` divides by 255, digits by 16: after normalisation it is the same.
    assert_is(dataset, digits.images[train], digits.target[train], digits.images[test], digits.target[test])
    assert (len(dataset.train_y), len(dataset.test_y), dataset.input_size) == (1437, 360, 64)
    share = dataset.test_y.bincount() / torch.from_numpy(digits.target).bincount()
    assert share.min() > 0.19
    assert share.max() < 0.21


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST", "EMNIST"])
def test_idx_files(name: str, tmp_path: Path) -> None:
    arrays = write_idx(tmp_path, name)
    written = sorted(tmp_path.rglob("*"))
    dataset = load_dataset(name, str(tmp_path))
    assert_is(dataset, *arrays)
    assert (dataset.name, dataset.input_size) == (name, 784)
    assert dataset.num_classes == DATASETS[name].num_classes
    assert sorted(tmp_path.rglob("*")) == written, "reading must work in a folder that is read-only"


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, ...]:
    """A small CIFAR10, with its checksums where torchvision has those of the real one."""
    train, test = made_up(50, (3, 32, 32), 10, 0), made_up(20, (3, 32, 32), 10, 1)
    batches = {
        f"data_batch_{i + 1}": {
            "data": train[0][10 * i : 10 * i + 10],
            "labels": train[1][10 * i : 10 * i + 10],
        }
        for i in range(5)
    }
    batches["test_batch"] = {"data": test[0], "labels": test[1]}
    contents = {
        file: {"data": batch["data"].reshape(-1, 3072), "labels": batch["labels"].tolist()}
        for file, batch in batches.items()
    }
    contents["batches.meta"] = {"label_names": [str(label) for label in range(10)]}
    checksums = {}
    (folder / "cifar-10-batches-py").mkdir()
    for file, content in contents.items():
        pickled = pickle.dumps(content, protocol=2)
        (folder / "cifar-10-batches-py" / file).write_bytes(pickled)
        checksums[file] = hashlib.md5(pickled).hexdigest()
    cifar10 = torchvision.datasets.CIFAR10
    train_list = [[file, checksums[file]] for file in checksums if file.startswith("data_batch")]
    monkeypatch.setattr(cifar10, "train_list", train_list)
    monkeypatch.setattr(cifar10, "test_list", [["test_batch", checksums["test_batch"]]])
    monkeypatch.setattr(cifar10, "meta", {**cifar10.meta, "md5": checksums["batches.meta"]})
    return *train, *test


def test_cifar10_keeps_the_order_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = write_cifar10(tmp_path, monkeypatch)
    assert len(list((tmp_path / "cifar-10-batches-py").iterdir())) == len(DATASETS["CIFAR10"].files)
    dataset = load_dataset("CIFAR10", str(tmp_path))
    assert_is(dataset, *arrays)
    assert dataset.input_size == 3072


@pytest.mark.parametrize(("name", "mean", "std"), [("MNIST", 0.1307, 0.3081), ("FashionMNIST", 0.2860, 0.3530)])
def test_real_files(name: str, mean: float, std: float) -> None:
    folder = os.environ.get("DYNSPARSE_DATA_DIR")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"needs {name} in the folder DYNSPARSE_DATA_DIR")
    dataset = load_dataset(name)
    assert dataset.train_x.shape == (60000, 784)
    assert dataset.test_x.shape == (10000, 784)
    assert dataset.test_y.unique().tolist() == list(range(10))
    assert abs(dataset.train_x.double().mean().item()) < 1e-6
    assert dataset.train_x.double().std().item() == pytest.approx(1, abs=1e-6)
    # Black is (0 - mean) / std and white is (1 - mean) / std: this gives back the two as usually quoted.
    black, white = dataset.train_x.min().item(), dataset.train_x.max().item()
    assert 1 / (white - black) == pytest.approx(std, abs=5e-5)
    assert -black / (white - black) == pytest.approx(mean, abs=5e-5)


def test_a_process_loads_a_data_set_once(tmp_path: Path) -> None:
    write_idx(tmp_path, "KMNIST")
    first = load_dataset("KMNIST", str(tmp_path))
    assert load_dataset("KMNIST", f"{tmp_path}/../{tmp_path.name}") is not first
    assert load_dataset("KMNIST", str(tmp_path)) is first


def test_a_row_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = made_up(30, (2, 3), 3, 0), made_up(12, (2, 3), 3, 1)
    monkeypatch.setitem(DATASETS, "mine", Source(6, 3, lambda folder, download: (*train, *test)))
    assert_is(load_dataset("mine"), *train, *test)


# Files that are damaged


@pytest.mark.parametrize(
    ("file", "content", "cause"),
    [
        (0, b"", "ValueError: invalid literal for int() with base 16: b''"),
        (0, idx(np.zeros((120, 28, 28)))[:-1], "RuntimeError: shape '[120, 28, 28]' is invalid"),
        (1, idx(np.zeros(120))[:50], "RuntimeError: shape '[120]' is invalid"),
        (1, idx(np.zeros(119)), "ValueError: 120 images and 119 labels"),
        (2, idx(np.zeros((50, 28, 27))), "ValueError: 756 pixels in an image instead of 784"),
        (3, idx(np.full(50, 10)), "ValueError: labels from 10 to 10 instead of 0 to 9"),
        (3, b"<html>Not found</html>", "AssertionError"),
    ],
)
def test_damaged_idx_files(file: int, content: bytes, cause: str, tmp_path: Path) -> None:
    write_idx(tmp_path, "KMNIST")
    (tmp_path / KMNIST_FILES[file]).write_bytes(content)
    with pytest.raises(DataError) as error:
        load_dataset("KMNIST", str(tmp_path))
    message = str(error.value)
    assert message.startswith(f"KMNIST in {tmp_path} cannot be read; its files may be damaged ({cause}")
    assert message.endswith(
        "Replace them, or delete them to have them downloaded again: "
        "KMNIST/raw/train-images-idx3-ubyte, KMNIST/raw/train-labels-idx1-ubyte, "
        "KMNIST/raw/t10k-images-idx3-ubyte, KMNIST/raw/t10k-labels-idx1-ubyte"
    )


def test_a_damaged_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path, monkeypatch)
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"its files may be damaged .*corrupted.*cifar-10-batches-py/data_batch_1"):
        load_dataset("CIFAR10", str(tmp_path))


def test_an_error_in_a_row_without_files_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays: dict[str, data.Arrays] = {}
    monkeypatch.setitem(DATASETS, "mine", Source(6, 3, lambda folder, download: arrays["no such key"]))
    with pytest.raises(KeyError, match="no such key"):
        load_dataset("mine")


# Files that are missing


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
        f"KMNIST is missing in {tmp_path} and cannot be downloaded (RuntimeError: Error downloading "
        f"train-images-idx3-ubyte.gz: Tried {CLOSED_MIRROR}, got: <urlopen error"
    )
    assert message.endswith(
        f"). Put these files there, unpacked: {', '.join(KMNIST_FILES[present:])}; or name a folder that has "
        "them, with data_dir or the environment variable DYNSPARSE_DATA_DIR; or use dataset_name='digits', "
        "which needs no files"
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
    monkeypatch.setattr(data, "DOWNLOAD_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        with pytest.raises(DataError, match="timed out"):
            load_dataset("KMNIST", str(tmp_path))
    assert socket.getdefaulttimeout() is None


class Mirror:
    """A server on this machine that has a small KMNIST, as torchvision wants it."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source"
        self.arrays = write_idx(source, "KMNIST")
        self.requests: list[str] = []  # the files sent
        self.cut_short = False  # as a connection that breaks
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
    assert_is(load_dataset("KMNIST", str(tmp_path / "new" / "folder")), *mirror.arrays)
    assert files_in(tmp_path / "new" / "folder") == sorted([".KMNIST.lock", *KMNIST_FILES])


def test_a_download_cut_short_leaves_nothing_and_can_be_repeated(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut_short = True
    with pytest.raises(DataError, match="File not found or corrupted"):
        load_dataset("KMNIST", str(tmp_path))
    assert files_in(tmp_path) == [".KMNIST.lock"]
    mirror.cut_short = False
    assert_is(load_dataset("KMNIST", str(tmp_path)), *mirror.arrays)


def test_what_a_killed_download_leaves_is_not_used(mirror: Mirror, tmp_path: Path) -> None:
    for file in KMNIST_FILES:
        left = tmp_path / ".KMNIST.download" / file
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(b"half a file")
    assert_is(load_dataset("KMNIST", str(tmp_path)), *mirror.arrays)
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
    """What each of two processes that load KMNIST at once says; each must take a few seconds at most."""
    command = [sys.executable, "-c", LOAD_IN_ANOTHER_PROCESS, str(folder), url, *map("=".join, resources)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": REPOSITORY}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # both have imported everything: now they meet at the lock
        process.stdin.write("go\n")
        process.stdin.flush()
    said = []
    for process in processes:
        result, seconds = process.communicate(timeout=60)[0].splitlines()
        assert float(seconds) < 5
        said.append(result)
    return said


def test_two_processes_at_once_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    resources = torchvision.datasets.KMNIST.resources
    for said in load_in_two_processes(tmp_path, CLOSED_MIRROR, resources):
        assert said.startswith(f"DataError KMNIST is missing in {tmp_path} and cannot be downloaded")
    assert files_in(tmp_path) == [".KMNIST.lock"]


def test_two_processes_at_once_download_once(mirror: Mirror, tmp_path: Path) -> None:
    said = load_in_two_processes(tmp_path, mirror.url, mirror.resources)
    assert said == ["loaded (120, 784)"] * 2
    assert sorted(mirror.requests) == sorted(archive for archive, _ in mirror.resources)


# Noise


def test_noise_overwrites_exactly_so_many_pixels_with_each_value() -> None:
    x = torch.arange(2000 * 784).reshape(2000, 784).float()
    before = x.clone()
    noisy = noise_images(x, 0.15, seed=0)
    assert torch.equal(x, before)
    # Distinct pixels: one that were drawn twice would leave fewer than 58 + 59.
    assert ((noisy == 0.9).sum(1) == 58).all()
    assert ((noisy == 0.1).sum(1) == 59).all()
    assert ((noisy != x).sum(1) == 117).all()


@pytest.mark.parametrize(
    ("noise_level", "bright", "dark"),
    [(0.0, 0, 0), (0.02, 0, 1), (0.5, 16, 16), (0.99, 31, 32), (1.0, 32, 32)],
)
def test_noise_levels(noise_level: float, bright: int, dark: int) -> None:
    noisy = noise_images(torch.zeros(50, 64), noise_level, seed=0)
    assert ((noisy == 0.9).sum(1) == bright).all()
    assert ((noisy == 0.1).sum(1) == dark).all()


def test_noise_depends_on_the_seed_and_the_image_alone() -> None:
    x = torch.zeros(100, 784)
    noisy = noise_images(x, 0.15, seed=1)
    assert torch.equal(noise_images(x, 0.15, seed=1), noisy)
    assert torch.equal(noise_images(x[:7], 0.15, seed=1), noisy[:7])
    # Two independent sets of 117 among 784 pixels have 17.5 in common.
    common = ((noise_images(x, 0.15, seed=2) != 0) & (noisy != 0)).sum(1).double()
    assert common.mean().item() == pytest.approx(117**2 / 784, abs=1.5)
    assert len({tuple(image.nonzero().flatten().tolist()) for image in noisy}) == 100


@pytest.mark.parametrize("value", [0.9, 0.1])
def test_noise_is_uniform_over_pixels(value: float) -> None:
    n_images, n_pixels, n_drawn = 20000, 64, 16
    counts = (noise_images(torch.zeros(n_images, n_pixels), 0.5, seed=0) == value).sum(0).double()
    share = n_drawn / n_pixels
    # An image's pixels are drawn without replacement, so that the counts are a little less spread.
    statistic = ((counts - n_images * share) ** 2 / (n_images * share * (1 - share))).sum().item()
    statistic *= (n_pixels - 1) / n_pixels
    assert 0.001 < stats.chi2.sf(statistic, n_pixels - 1) < 0.999


def test_noise_is_fast() -> None:
    x = torch.zeros(10000, 784)
    seconds = []
    for seed in range(3):
        started = time.process_time()  # not what the machine does beside
        noise_images(x, 0.15, seed)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.3


# The split and the order


@pytest.mark.parametrize(("val_fraction", "n_val"), [(0.0, 0), (0.1, 144), (0.5, 718), (0.9999, 1437)])
def test_the_split_is_disjoint_and_complete(val_fraction: float, n_val: int) -> None:
    dataset = load_dataset("digits")
    train, val = split(dataset, val_fraction, seed=0)
    assert len(val) == n_val
    assert sorted(train.tolist() + val.tolist()) == list(range(1437))
    assert torch.equal(train, train.sort().values)
    assert torch.equal(val, val.sort().values)
    assert (train.dtype, val.dtype) == (torch.int64, torch.int64)


def test_the_split_depends_on_the_seed() -> None:
    dataset = load_dataset("digits")
    assert torch.equal(split(dataset, 0.1, seed=1)[1], split(dataset, 0.1, seed=1)[1])
    assert not torch.equal(split(dataset, 0.1, seed=1)[1], split(dataset, 0.1, seed=2)[1])


def test_the_order_depends_on_seed_and_epoch() -> None:
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert torch.equal(epoch_order(1000, 1, 1), orders[3])
