"""Own data as a data set: splits and standardization against scikit-learn, the shared copy, and data that changed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.preprocessing import StandardScaler
from support.doctests import run_examples

from dynsparse.config import Config
from dynsparse.data import DataChangedError, DataError, Dataset, OwnData, load_data, load_dataset, preparation, split


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    preparation._load.cache_clear()
    yield
    preparation._load.cache_clear()


def wine(**values: Any) -> Dataset:
    return load_data(Config(dataset_name="sklearn:wine", **values))


def places(part: torch.Tensor, whole: np.ndarray, scaler: StandardScaler) -> list[int]:
    """The index of each example of a part in the whole."""
    near = np.abs(scaler.transform(whole)[None] - part.numpy()[:, None]).max(2)
    assert near.min(1).max() < 1e-5
    return near.argmin(1).tolist()


def test_the_training_part_is_standardized_as_scikit_learn_does_it() -> None:
    data, (x, y) = wine(test_fraction=0.25), load_wine(return_X_y=True)
    assert data.train_x.dtype == data.test_x.dtype == torch.float32
    np.testing.assert_allclose(data.train_x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.train_x.std(0, correction=0), 1, atol=1e-6)
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = np.array(data.feature_mean), 1 / np.array(data.feature_scale)
    train, test = places(data.train_x, x, scaler), places(data.test_x, x, scaler)
    assert sorted([*train, *test]) == list(range(len(y)))
    assert data.train_y.tolist() == y[train].tolist() and data.test_y.tolist() == y[test].tolist()
    # The moments are those of the training part alone.
    right = StandardScaler().fit(x[train])
    np.testing.assert_allclose(data.test_x, right.transform(x[test]), rtol=1e-4, atol=1e-5)
    assert data.feature_names == tuple(load_wine().feature_names)
    assert data.class_names == ("class_0", "class_1", "class_2")


@pytest.mark.parametrize("share", [0.2, 0.25, 0.5])
def test_a_test_part_has_as_many_of_each_class_as_that_of_scikit_learn(share: float) -> None:
    y = load_wine().target
    data = wine(test_fraction=share)
    theirs = np.bincount(train_test_split(y, test_size=len(data.test_y), stratify=y, random_state=0)[1])
    # Where a share is not whole, either may round another class up.
    assert np.abs(data.test_y.bincount().numpy() - theirs).max() <= 1
    np.testing.assert_allclose(data.test_y.bincount().numpy(), np.bincount(y) * share, atol=1)


def test_folds_are_a_partition_with_the_classes_of_scikit_learn() -> None:
    x, y = load_wine(return_X_y=True)
    parts = [wine(fold=fold) for fold in range(5)]
    theirs = [np.bincount(y[test]) for _, test in StratifiedKFold(5).split(x, y)]
    ours = [part.test_y.bincount().numpy() for part in parts]
    np.testing.assert_allclose(sorted(map(tuple, ours)), sorted(map(tuple, theirs)), atol=1)
    assert np.sum(ours, axis=0).tolist() == np.bincount(y).tolist()
    seen = []
    for part in parts:
        raw = part.test_x.double().numpy() / np.array(part.feature_scale) + np.array(part.feature_mean)
        seen += [int(np.abs((x - row) / x.std(0)).max(1).argmin()) for row in raw]
    assert sorted(seen) == list(range(len(y)))


def test_held_out_examples_have_the_share_of_each_class() -> None:
    data = wine(test_fraction=0.2)
    _, held_out = split(data, 0.2, seed=3)
    exact = 0.2 * data.train_y.bincount()
    assert ((data.train_y[held_out].bincount() - exact).abs() < 1).all()


def test_images_stay_bytes_and_are_normalised_by_the_moments_of_the_training_part(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (30, 4, 4), dtype=np.uint8), np.arange(30) % 3 + 7
    np.savez(tmp_path / "d.npz", train_x=x[:20], train_y=y[:20], test_x=x[20:], test_y=y[20:])
    config = Config(dataset_name=str(tmp_path / "d.npz"))
    data = load_data(config)
    assert data.train.pixels.dtype == np.uint8 and data.train.pixels.shape == (20, 16)
    np.testing.assert_allclose(data.test_x, (x[20:].reshape(10, 16) - x[:20].mean()) / x[:20].std(), rtol=1e-5)
    np.testing.assert_allclose(load_data(config, "unit").train_x, x[:20].reshape(20, 16) / x[:20].max(), rtol=1e-6)
    assert data.class_names == ("7", "8", "9") and data.train_y[:3].tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_data_that_are_constant_in_the_training_part_become_0(tmp_path: Path, dtype: Any) -> None:
    x, y = np.full((8, 3), 5, dtype=dtype), np.arange(8) % 2
    np.savez(tmp_path / "d.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    data = load_data(Config(dataset_name=str(tmp_path / "d.npz")))
    assert (data.train_x == 0).all() and (data.test_x == 0).all()


def test_the_source_is_read_once_per_machine(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": np.arange(20.0), "class": np.arange(20) % 2}).to_csv(path, index=False)
    config = Config(dataset_name=str(path), target="class", test_fraction=0.3)
    data = load_data(config)
    path.unlink()
    code = (
        "from dynsparse.config import Config; from dynsparse.data import load_data; import json, sys\n"
        "print(load_data(Config.saved(json.loads(sys.argv[1]))).train_x.sum(1).tolist())"
    )
    values = json.dumps(config.values())
    done = subprocess.run([sys.executable, "-c", code, values], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == data.train_x.sum(1).tolist()


def test_data_that_have_changed_since_the_trial_was_created(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,class\n1,x\n2,y\n3,x\n4,y\n")
    config = Config(dataset_name=str(path), target="class", test_fraction=0.5)
    path.write_text("a,class\n1,x\n2,y\n3,x\n5,y\n")
    with pytest.raises(DataChangedError, match=rf"must have the hash {config.data_hash} of the trial, got \w{{16}} on"):
        load_data(config)


def test_a_function_that_returns_other_data_each_time(tmp_path: Path) -> None:
    (tmp_path / "d.py").write_text(
        "import random\ndef make():\n    return [[random.random()] for _ in 'abcd'], [0, 1] * 2\n"
    )
    config = replace(Config(dataset_name=f"{tmp_path}/d.py:make", test_fraction=0.5), data_hash="0" * 16)
    with pytest.raises(DataChangedError, match="A function must return the same data each time"):
        load_data(config)


def test_own_data_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,class\n1,x\n2,y\n3,x\n,y\n")
    own = OwnData(target="class", test_fraction=0.5, impute="mean")
    assert len(load_dataset("t.csv", own=own).train_y) == 2
    with pytest.raises(DataError, match="needs test_fraction or fold, got neither"):
        load_dataset("t.csv", own=replace(own, test_fraction=None))
    with pytest.raises(DataError, match=r"must not have missing values, got some in 1 columns: 'a' \(1\)"):
        load_dataset("t.csv", own=replace(own, impute=None))


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        (
            "xxxy",
            {"test_fraction": 0.5},
            "must have at least 2 examples, for the training part and the test part, got 1",
        ),
        ("xyxy", {"test_fraction": 0.1}, "must have at least one example, got none. Raise test_fraction"),
        ("xyxy", {"test_fraction": 0.9}, "got none of the class"),
    ],
)
def test_parts_that_cannot_be_made(labels: str, values: dict[str, Any], message: str, tmp_path: Path) -> None:
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    (tmp_path / "t.csv").write_text(f"a,class\n{rows}")
    config = Config(dataset_name=str(tmp_path / "t.csv"), target="class", **values)
    with pytest.raises(DataError) as error:
        load_data(config)
    assert message in str(error.value)


def test_the_features_of_breast_cancer_are_those_of_the_scaler_of_scikit_learn() -> None:
    data = load_data(Config(dataset_name="sklearn:breast_cancer", fold=2))
    x = load_breast_cancer().data
    raw = data.train_x.double().numpy() / np.array(data.feature_scale) + np.array(data.feature_mean)
    index = [int(np.abs((x - row) / x.std(0)).max(1).argmin()) for row in raw]
    np.testing.assert_allclose(data.train_x, StandardScaler().fit_transform(x[index]), rtol=1e-4, atol=1e-5)


def test_further_inputs_are_normalised_like_those_of_the_data(tmp_path: Path) -> None:
    run_examples(Dataset.normalise)
    data = wine(test_fraction=0.2)
    raw = data.train_x.double().numpy() / np.array(data.feature_scale) + np.array(data.feature_mean)
    torch.testing.assert_close(data.normalise(raw), data.train_x, rtol=1e-4, atol=1e-5)
    x, y = np.arange(96, dtype=np.uint8).reshape(8, 4, 3), np.arange(8) % 2
    np.savez(tmp_path / "d.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    images = load_data(Config(dataset_name=str(tmp_path / "d.npz")))
    torch.testing.assert_close(images.normalise(x), images.train_x)
