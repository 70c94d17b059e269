"""Data sets of scikit-learn, OpenML, torchvision and Hugging Face, without a network."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
from support.idx_files import write_idx

from dynsparse.data import DataError
from dynsparse.data.features import feature_names, n_features
from dynsparse.data.sources import Request, Table
from dynsparse.data.sources.hugging_face import read_hugging_face
from dynsparse.data.sources.openml import read_openml
from dynsparse.data.sources.scikit_learn import CLASSIFICATION, REGRESSION, read_scikit_learn
from dynsparse.data.sources.torchvision_classes import read_torchvision

# scikit-learn


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_the_data_sets_of_scikit_learn(name: str) -> None:
    content, loaded = read_scikit_learn(Request(f"sklearn:{name}")), getattr(sklearn.datasets, f"load_{name}")()
    [part] = content.parts
    assert isinstance(part.x, Table)
    np.testing.assert_array_equal(part.x.numbers, loaded.data)
    assert part.x.names == tuple(loaded.feature_names)
    assert part.y.tolist() == loaded.target_names[loaded.target].tolist()
    assert read_scikit_learn(Request(f"sklearn:{name}")).data_hash == content.data_hash


@pytest.mark.parametrize("name", REGRESSION)
def test_the_data_sets_of_regression(name: str) -> None:
    [part] = read_scikit_learn(Request(f"sklearn:{name}", is_regression=True)).parts
    np.testing.assert_array_equal(part.y, getattr(sklearn.datasets, f"load_{name}")().target)


def test_data_sets_of_another_loss_and_misspelt_ones_are_refused() -> None:
    with pytest.raises(DataError, match="loss must be 'mse' for 'sklearn:diabetes', whose labels are numbers"):
        read_scikit_learn(Request("sklearn:diabetes"))
    with pytest.raises(DataError, match="loss must be 'cross_entropy' for 'sklearn:wine', whose labels are classes"):
        read_scikit_learn(Request("sklearn:wine", is_regression=True))
    with pytest.raises(DataError, match=r"Unknown data set of scikit-learn 'whine'\. Did you mean 'wine'\?"):
        read_scikit_learn(Request("sklearn:whine"))


# OpenML


def write_openml(folder: Path) -> None:
    """The answers of openml.org for data set 61, which scikit-learn has for its own tests, where it keeps them."""
    answers = Path(sklearn.datasets.__file__).parent / "tests" / "data" / "openml" / "id_61"
    if not answers.is_dir():
        pytest.skip("this scikit-learn comes without its tests")
    kept = folder / "openml" / "openml.org"
    description = json.loads(gzip.decompress((answers / "api-v1-jd-61.json.gz").read_bytes()))["data_set_description"]
    url = description["url"].split("/", 3)[3]
    for answer, path in {
        "api-v1-jd-61.json.gz": "api/v1/json/data/61.gz",
        "api-v1-jdf-61.json.gz": "api/v1/json/data/features/61.gz",
        "api-v1-jdq-61.json.gz": "api/v1/json/data/qualities/61.gz",
        "data-v1-dl-61.arff.gz": f"{url}.gz",
    }.items():
        (kept / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(answers / answer, kept / path)


def test_a_data_set_of_openml_that_was_downloaded_before(tmp_path: Path) -> None:
    write_openml(tmp_path)
    [part] = read_openml(Request("openml:61", str(tmp_path))).parts
    assert feature_names(part.x) == ("sepallength", "sepalwidth", "petallength", "petalwidth")
    assert set(part.y.tolist()) == {"Iris-setosa", "Iris-versicolor", "Iris-virginica"}
    [other] = read_openml(Request("openml:61", str(tmp_path), target="petalwidth")).parts
    # The class is a feature now: one for each of its three values.
    assert n_features(other.x) == 6 and other.y.dtype == np.float64


def test_a_data_set_of_openml_that_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A port of this machine on which nothing listens, so that no request leaves it.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"^'openml:61' cannot be downloaded from openml\.org into .* Check the number"):
        read_openml(Request("openml:61", str(tmp_path)))


def test_a_data_set_of_openml_has_a_number() -> None:
    with pytest.raises(DataError, match=r"must have the number of a data set, got 'openml:iris'\. .* of iris is 61\."):
        read_openml(Request("openml:iris"))


# torchvision


def test_a_class_of_torchvision(tmp_path: Path) -> None:
    arrays = write_idx(tmp_path, "KMNIST")
    train, test = read_torchvision(Request("torchvision:KMNIST", str(tmp_path))).parts
    for found, expected in zip((train.x, train.y, test.x, test.y), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert train.x.dtype == np.uint8


def test_classes_of_torchvision_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"with an argument `train`, got 'SVHN'\. Available: .*MNIST.*USPS"):
        read_torchvision(Request("torchvision:SVHN", str(tmp_path)))
    with pytest.raises(DataError, match=r"got 'Mnist'"):
        read_torchvision(Request("torchvision:Mnist", str(tmp_path)))
    with pytest.raises(DataError, match=r"'torchvision:FakeData'|got 'FakeData'"):
        read_torchvision(Request("torchvision:FakeData", str(tmp_path)))


# Hugging Face


def test_without_the_package_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it raises an ImportError
    with pytest.raises(DataError, match=r"'hf:x' needs the package datasets, .* Install it: pip install"):
        read_hugging_face(Request("hf:x"))


@pytest.fixture
def hf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    # Read when the package is imported first.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets


def test_a_table_of_hugging_face(tmp_path: Path, hf: Any) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "kind": ["u", "v", "u", "w"], "label": ["x", "y", "x", "y"]})
    folder = tmp_path / "table"
    folder.mkdir()
    frame[:3].to_csv(folder / "train.csv", index=False)
    frame[3:].to_csv(folder / "test.csv", index=False)
    train, test = read_hugging_face(Request(f"hf:{folder}")).parts
    # The value "w" is a feature, although no training example has it.
    assert feature_names(train.x) == feature_names(test.x) == ("a", "kind=u", "kind=v", "kind=w")
    assert train.y.tolist() == ["x", "y", "x"] and test.y.tolist() == ["y"]
    with pytest.raises(DataError, match=r"target must be the name of the label column .*, got 'labels'. Did you mean"):
        read_hugging_face(Request(f"hf:{folder}", target="labels"))


def test_images_of_hugging_face(tmp_path: Path, hf: Any) -> None:
    from PIL import Image

    for part, n in (("train", 4), ("test", 2)):
        for i in range(n):
            path = tmp_path / "images" / part / ("cat" if i % 2 else "dog") / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((3, 5, 3), i, dtype=np.uint8)).save(path)
    train, test = read_hugging_face(Request(f"hf:{tmp_path / 'images'}")).parts
    assert (train.x.shape, train.x.dtype, test.x.shape) == ((4, 3, 3, 5), np.uint8, (2, 3, 3, 5))
    assert sorted(train.y.tolist()) == ["cat", "cat", "dog", "dog"]


def test_a_data_set_of_hugging_face_that_does_not_exist(tmp_path: Path, hf: Any) -> None:
    with pytest.raises(DataError, match="cannot be downloaded"):
        read_hugging_face(Request(f"hf:{tmp_path / 'none'}/x/y"))
