"""Data that a user's function returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynsparse.data import DataError
from dynsparse.data.sources import Request, kind_of
from dynsparse.data.sources.functions import read_function

HEAD = """
import numpy as np
import torch
from torch.utils.data import Dataset, TensorDataset

X, Y = np.arange(24).reshape(6, 2, 2), np.array(["a", "b"] * 3)

class Pairs(Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, i):
        return torch.tensor(X[i]), int(i % 2)

class Odd(Pairs):
    def __getitem__(self, i):
        return X[i][: i % 2 + 1], 0

class Triples(Pairs):
    def __getitem__(self, i):
        return 1, 2, 3
"""


def returned(folder: Path, code: str) -> Any:
    (folder / "d.py").write_text(f"{HEAD}\ndef make():\n    {code}\n")
    return read_function(Request(f"{folder}/d.py:make"))


@pytest.mark.parametrize(
    "code",
    [
        "return X, Y",
        "return X.tolist(), list(Y)",
        "return torch.tensor(X, dtype=torch.float32, requires_grad=True), Y.astype(object)",
        "return [X, Y]",
    ],
)
def test_arrays_lists_and_tensors(code: str, tmp_path: Path) -> None:
    [part] = returned(tmp_path, code).parts
    assert part.x.tolist() == np.arange(24).reshape(6, 2, 2).tolist() and part.y.tolist() == ["a", "b"] * 3


def test_several_numbers_to_predict_of_a_data_set_of_torch(tmp_path: Path) -> None:
    code = "return TensorDataset(torch.tensor(X), torch.arange(12.0).reshape(6, 2))"
    [part] = returned(tmp_path, code).parts
    assert part.y.tolist() == np.arange(12.0).reshape(6, 2).tolist()
    [part] = returned(tmp_path, "return TensorDataset(torch.tensor(X), torch.arange(6.0)[:, None])").parts
    assert part.y.tolist() == list(range(6))


def test_a_training_and_a_test_part(tmp_path: Path) -> None:
    train, test = returned(tmp_path, "return X, Y, X[:2], Y[:2]").parts
    assert len(train.x) == 6 and test.y.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("code", "sizes"),
    [
        ("return Pairs()", [6]),
        ("return Pairs(), Pairs()", [6, 6]),
        ("return TensorDataset(torch.tensor(X), torch.arange(6) % 2)", [6]),
        ("return torch.utils.data.Subset(Pairs(), [0, 1, 2])", [3]),
    ],
)
def test_data_sets_of_torch(code: str, sizes: list[int], tmp_path: Path) -> None:
    parts = returned(tmp_path, code).parts
    assert [len(part.x) for part in parts] == sizes
    assert parts[0].x[1].tolist() == [[4, 5], [6, 7]] and parts[0].y[:3].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "return X",
            "must return (train_x, train_y, test_x, test_y), (x, y), or one or two data sets of torch, got ndar",
        ),
        ("return X, Y, X", "got tuple of 3."),
        ("return None", "got NoneType."),
        ("return {'x': X, 'y': Y}", "got dict."),
        ("raise OSError('no disk')", "d.py:make' has raised OSError: no disk."),
        ("return Odd()", "must have one shape, got [(1, 2), (2, 2)]. Crop or pad them."),
        ("return Triples()", "/d.py:make' must be (x, y), got tuple."),
        ("return [[1, 2], [3]], [0, 1]", "/d.py:make' must be an array, got list: setting an array element"),
        ("return X, Y[:3]", "must have as many labels as examples, and at least one, got 6 examples and 3 labels."),
        ("return X, [None, *Y[1:]]", "must have a label, got 1 missing ones (None or NaN). Remove these"),
        ("return X, (*Y[2:], float('nan'), np.float32('nan'))", "must have a label, got 2 missing ones"),
        ("return X, np.array([None, *Y[1:]], dtype=object)", "must have a label, got 1 missing ones"),
        ("return Y, Y", "must be an array of numbers, one row for each example, got the type <U1"),
    ],
)
def test_a_function_that_returns_something_else(code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        returned(tmp_path, code)
    assert message in str(error.value)


def test_the_hash_follows_values_types_and_labels(tmp_path: Path) -> None:
    codes = [
        "return X, Y",
        "return X + 1, Y",
        "return X.astype(np.uint8), Y",
        "return X.reshape(6, 4), Y",
        "return X, np.array(['ab', 'b'] * 3)",
        "return X, np.arange(6) % 2",
        "return X, Y, X, Y",
    ]
    hashes = [returned(tmp_path, code).data_hash for code in codes]
    assert len(set(hashes)) == len(codes)
    assert returned(tmp_path, codes[0]).data_hash == hashes[0]
    # Neither the layout in memory nor the type of the texts is content.
    assert returned(tmp_path, "return np.asfortranarray(X), Y.astype(object)").data_hash == hashes[0]


def test_a_function_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be imported: there is no file .*none\.py\."):
        read_function(Request(f"{tmp_path}/none.py:make"))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("a/b.npz", "read_npz"),
        ("b.CSV", "read_csv"),
        ("b.parquet", "read_parquet"),
        ("sklearn:iris", "read_scikit_learn"),
        ("openml:61", "read_openml"),
        ("torchvision:USPS", "read_torchvision"),
        ("hf:ylecun/mnist", "read_hugging_face"),
        ("a/b.py:make", "read_function"),
        ("package.module:make", "read_function"),
    ],
)
def test_the_form_of_a_name_decides_who_reads_it(name: str, function: str) -> None:
    kind = kind_of(name)
    assert kind is not None and kind.read.__name__ == function


@pytest.mark.parametrize("name", ["MNIST", "a.tsv", "s3://bucket/a.csv", "a.py", "", "a b:c"])
def test_other_names_have_no_form(name: str) -> None:
    assert kind_of(name) is None
