"""Data sets: sizes, real files, small files, damaged files."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from sklearn.datasets import load_digits
from support.idx_files import assert_dataset_equals, idx, random_images, write_idx

from dynsparse import data
from dynsparse.data import (
    DATASETS,
    Source,
    datasets,
    load_dataset,
)
from dynsparse.data.download import DataError, resolve_data_dir

# Without loading


def test_sizes_are_known_without_loading() -> None:
    sizes = {name: (source.input_size, source.num_classes) for name, source in DATASETS.items()}
    assert sizes == {
        "digits": (64, 10),
        "MNIST": (784, 10),
        "FashionMNIST": (784, 10),
        "KMNIST": (784, 10),
        "EMNIST": (784, 47),
        "CIFAR10": (3072, 10),
        "CIFAR100": (3072, 100),
        "SVHN": (3072, 10),
        "SpeechCommands": (1024, 12),
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
        "Unknown dataset_name 'MINST'. Did you mean 'MNIST' or 'KMNIST' or 'EMNIST'? Available: digits, MNIST, "
        "FashionMNIST, KMNIST, EMNIST, CIFAR10, CIFAR100, SVHN, SpeechCommands."
    )


# Complete files


def test_digits_are_those_of_scikit_learn() -> None:
    digits = load_digits()
    by_class = sorted(range(1797), key=lambda i: (digits.target[i], i))
    test = sorted(by_class[::5])
    train = sorted(set(range(1797)) - set(test))
    dataset = load_dataset("digits")
    # `normalise` divides by 255, digits by 16: after normalisation it is the same.
    assert_dataset_equals(dataset, digits.images[train], digits.target[train], digits.images[test], digits.target[test])
    assert (len(dataset.train_y), len(dataset.test_y), dataset.input_size) == (1437, 360, 64)
    assert DATASETS["digits"].n_train == 1437
    share = dataset.test_y.bincount() / torch.from_numpy(digits.target).bincount()
    assert share.min() > 0.19
    assert share.max() < 0.21


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST", "EMNIST"])
def test_idx_files(name: str, tmp_path: Path) -> None:
    arrays = write_idx(tmp_path, name)
    written = sorted(tmp_path.rglob("*"))
    dataset = load_dataset(name, str(tmp_path))
    assert_dataset_equals(dataset, *arrays)
    assert (dataset.name, dataset.input_size) == (name, 784)
    assert dataset.num_classes == DATASETS[name].num_classes
    assert sorted(tmp_path.rglob("*")) == written, "reading must work in a folder that is read-only"


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, ...]:
    """Write a small CIFAR10, and replace torchvision's checksums by those of its files."""
    train, test = random_images(50, (3, 32, 32), 10, 0), random_images(20, (3, 32, 32), 10, 1)
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
    assert_dataset_equals(dataset, *arrays)
    assert dataset.input_size == 3072


def test_cifar100_has_the_fine_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, checksums = tmp_path / "cifar-100-python", {}
    folder.mkdir()
    parts = {"train": random_images(200, (3, 32, 32), 100, 0), "test": random_images(100, (3, 32, 32), 100, 1)}
    contents = {
        name: {"data": x.reshape(-1, 3072), "fine_labels": y.tolist(), "coarse_labels": [0] * len(y)}
        for name, (x, y) in parts.items()
    }
    for name, content in {**contents, "meta": {"fine_label_names": [str(label) for label in range(100)]}}.items():
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
        checksums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    cifar100 = torchvision.datasets.CIFAR100
    monkeypatch.setattr(cifar100, "train_list", [["train", checksums["train"]]])
    monkeypatch.setattr(cifar100, "test_list", [["test", checksums["test"]]])
    monkeypatch.setattr(cifar100, "meta", {**cifar100.meta, "md5": checksums["meta"]})
    assert_dataset_equals(load_dataset("CIFAR100", str(tmp_path)), *parts["train"], *parts["test"])


def test_svhn_has_colours_first_and_the_digit_0_as_class_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "SVHN").mkdir()
    parts = {"train": random_images(40, (3, 32, 32), 10, 0), "test": random_images(20, (3, 32, 32), 10, 1)}
    files = {}
    for name, (x, y) in parts.items():
        path = tmp_path / "SVHN" / f"{name}_32x32.mat"
        # The files have rows, columns, colours, images; and the label 10 for the digit 0.
        scipy.io.savemat(path, {"X": x.transpose(2, 3, 1, 0), "y": np.where(y == 0, 10, y)[:, None].astype(np.uint8)})
        files[name] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", files)
    assert_dataset_equals(load_dataset("SVHN", str(tmp_path)), *parts["train"], *parts["test"])


@pytest.mark.parametrize(("name", "mean", "std"), [("MNIST", 0.1307, 0.3081), ("FashionMNIST", 0.2860, 0.3530)])
def test_real_files(name: str, mean: float, std: float) -> None:
    folder = os.environ.get("DYNSPARSE_DATA_DIR")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"needs {name} in the folder DYNSPARSE_DATA_DIR")
    dataset = load_dataset(name)
    assert dataset.train_x.shape == (60000, 784)
    assert DATASETS[name].n_train == 60000
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


def test_a_data_set_that_is_first_used_in_inference_mode_can_be_trained_on() -> None:
    datasets._load.cache_clear()
    with torch.inference_mode():
        dataset = load_dataset("digits")
        tensors = dataset.train_x, dataset.train_y, dataset.test_x, dataset.test_y
    assert not any(tensor.is_inference() for tensor in tensors)
    assert load_dataset("digits").train_x is tensors[0]


def test_a_row_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = random_images(30, (2, 3), 3, 0), random_images(12, (2, 3), 3, 1)
    monkeypatch.setitem(DATASETS, "mine", Source(6, 3, lambda folder, download: (*train, *test)))
    assert_dataset_equals(load_dataset("mine"), *train, *test)


# Files that are damaged


@pytest.mark.parametrize(
    ("file", "content", "cause"),
    [
        (0, b"", "ValueError: invalid literal for int() with base 16: b''"),
        (0, idx(np.zeros((120, 28, 28)))[:-1], "RuntimeError: shape '[120, 28, 28]' is invalid"),
        (1, idx(np.zeros(120))[:50], "RuntimeError: shape '[120]' is invalid"),
        (
            1,
            idx(np.zeros(119)),
            "ValueError: images and labels must have the same number, got 120 images and 119 labels",
        ),
        (2, idx(np.zeros((50, 28, 27))), "ValueError: an image must have 784 pixels, got 756"),
        (3, idx(np.full(50, 10)), "ValueError: labels must be from 0 to 9, got 10 to 10"),
        (3, b"<html>Not found</html>", "AssertionError"),
    ],
)
def test_damaged_idx_files(file: int, content: bytes, cause: str, tmp_path: Path) -> None:
    write_idx(tmp_path, "KMNIST")
    (tmp_path / DATASETS["KMNIST"].files[file]).write_bytes(content)
    with pytest.raises(DataError) as error:
        load_dataset("KMNIST", str(tmp_path))
    message = str(error.value)
    assert message.startswith(f"KMNIST in {tmp_path} cannot be read, its files may be damaged ({cause}")
    assert message.endswith(
        "Replace these files, or delete them to download them again: "
        "KMNIST/raw/train-images-idx3-ubyte, KMNIST/raw/train-labels-idx1-ubyte, "
        "KMNIST/raw/t10k-images-idx3-ubyte, KMNIST/raw/t10k-labels-idx1-ubyte."
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


def test_pixels_can_be_left_in_the_unit_interval():
    standard, unit = load_dataset("digits"), load_dataset("digits", pixels="unit")
    assert torch.equal(unit.train_x, torch.from_numpy(unit.train.pixels.astype("float32")) / 16)
    assert torch.equal(unit.test_x * 16, torch.from_numpy(unit.test.pixels.astype("float32")))
    assert torch.equal(standard.train_y, unit.train_y)
    back = (standard.train_x / standard.train.scale + standard.train.mean) / 16
    assert torch.allclose(back, unit.train_x, atol=1e-6)
