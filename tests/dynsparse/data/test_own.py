"""Configurations of trials on own data: what follows the data, what is refused, and what a trial's identity is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray import tune

from dynsparse.config import Config, ConfigError
from dynsparse.experiment import Experiment, load_experiment
from dynsparse.planning.plan import keys_read
from dynsparse.results.trial_folder import identity

TABLE = "a,kind,class\n1,u,x\n2,v,y\n3,u,x\n4,v,y\n5,u,x\n6,v,y\n"
FUNCTION = """
import pathlib
import numpy as np

def make():
    pathlib.Path(__file__).with_name("called").touch()
    return np.arange(40.0).reshape(20, 2), np.arange(20) % 4
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "d.py").write_text(FUNCTION)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (20, 5, 4), dtype=np.uint8)
    np.savez(
        tmp_path / "images.npz", train_x=images, train_y=np.arange(20) % 2, test_x=images, test_y=np.arange(20) % 2
    )
    np.savez(tmp_path / "waves.npz", x=generator.normal(size=(20, 3, 8)), y=np.arange(20) % 2)
    return tmp_path


def table(**values: Any) -> Config:
    return Config(**{"dataset_name": "t.csv", "target": "class", "test_fraction": 0.5, **values})


@pytest.mark.usefixtures("folder")
def test_sizes_shape_and_hash_follow_the_data() -> None:
    config = table()
    assert (config.input_size, config.num_classes, config.input_shape) == (3, 2, None)
    assert len(str(config.data_hash)) == 16
    images = Config(dataset_name="images.npz")
    assert (images.input_size, images.num_classes, images.input_shape) == (20, 2, (1, 5, 4))
    assert Config(dataset_name="waves.npz", fold=0).input_shape == (3, 8)
    assert Config(dataset_name="d.py:make", fold=0).num_classes == 4
    assert Config(dataset_name="sklearn:wine", fold=0).input_size == 13
    # They may be given, as in params.json.
    assert Config.of(json.loads(json.dumps(images.values()))) == images


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset_name": "none.csv"}, "The data file 'none.csv' does not exist."),
        (
            {"test_fraction": None},
            "'t.csv' has no test part, and needs test_fraction or fold, got neither. Set test_fra",
        ),
        ({"fold": 1}, "needs test_fraction or fold, got test_fraction and fold."),
        ({"test_fraction": None, "fold": 5}, "fold must be below n_folds=5, got 5. Raise n_folds."),
        ({"test_fraction": 1}, "test_fraction must be in (0, 1), got 1."),
        ({"target": None}, "target must be the name of the label column of 't.csv', got None."),
        ({"dataset_name": "images.npz"}, "test_fraction must be left out for 'images.npz', which has a test part."),
        ({"input_size": 7}, "input_size must be 3 for dataset_name='t.csv', got 7. Leave input_size out."),
        ({"num_classes": 3}, "num_classes must be 2 for dataset_name='t.csv', got 3."),
        ({"data_hash": "0123"}, " for dataset_name='t.csv', got '0123'. Leave data_hash out."),
        ({"input_shape": [3]}, "input_shape must be None for dataset_name='t.csv', got (3,)."),
        (
            {"dataset_name": "digits", "data_hash": "0123"},
            "data_hash must be None for dataset_name='digits', got 0123.",
        ),
        ({"dataset_name": "MNISTT"}, "Unknown dataset_name 'MNISTT'. Did you mean 'MNIST'"),
        (
            {"dataset_name": "qqqq"},
            "Or one of these forms: FILE.npz, FILE.csv, FILE.parquet, sklearn:NAME, openml:NUMBER",
        ),
        ({"dataset_name": "none.py:make"}, "cannot be imported: there is no file"),
        ({"dataset_name": "d.py:makes"}, "has no such name"),
        ({"dataset_name": lambda: 3}, "must be defined at the top level of a Python file"),
        ({"dataset_name": 3}, "dataset_name must be one of digits, MNIST"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        table(**values)
    assert message in str(error.value)


def test_missing_values_are_refused_by_name_or_replaced(folder: Path) -> None:
    (folder / "t.csv").write_text(TABLE.replace("2,v", ",v").replace("3,u", ",") + "7,u,y\n")
    with pytest.raises(ConfigError) as error:
        table()
    assert "must not have missing values, got some in 2 columns: 'a' (2), 'kind' (1). Remove them, or set" in str(
        error.value
    )
    assert table(impute="median").input_size == 3


@pytest.mark.usefixtures("folder")
def test_a_path_is_a_name() -> None:
    assert table(dataset_name=Path("t.csv")) == table()


def test_own_data_are_identified_by_their_content(folder: Path) -> None:
    usual = identity(table())
    (folder / "elsewhere").mkdir()
    (folder / "t.csv").rename(folder / "elsewhere" / "u.csv")
    for moved in (table(dataset_name="elsewhere/u.csv"), table(dataset_name="u.csv", data_dir="elsewhere")):
        assert identity(moved) == usual
    (folder / "t.csv").write_text(TABLE.replace("6,v", "7,v"))
    others = [table(), table(dataset_name="elsewhere/u.csv", test_fraction=0.3)]
    others += [table(dataset_name="elsewhere/u.csv", test_fraction=None, fold=fold) for fold in range(2)]
    assert len({usual, *map(identity, others)}) == 5


def test_a_changed_file_has_another_hash_at_once(folder: Path) -> None:
    before = table().data_hash
    status = (folder / "t.csv").stat()
    (folder / "t.csv").write_text(TABLE.replace("6,v", "7,v"))
    os.utime(folder / "t.csv", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert table().data_hash != before


def test_the_values_of_a_saved_trial_run_no_code(folder: Path) -> None:
    values = Config(dataset_name="d.py:make", fold=0).values()
    (folder / "called").unlink()
    assert Config.saved(values).data_hash == values["data_hash"]
    (folder / "d.py").write_text("1 / 0")
    assert Config.saved(values).num_classes == 4
    with pytest.raises(ConfigError, match=r"must have data_hash, input_size, num_classes\. Restore the file"):
        Config.saved({**values, "data_hash": None})
    assert not (folder / "called").exists()


@pytest.mark.usefixtures("folder")
def test_keys_of_own_data_are_read_where_they_apply() -> None:
    of_own = {"target", "impute", "test_fraction", "fold", "n_folds", "data_hash"}
    assert of_own & keys_read(table()) == {"target", "impute", "test_fraction", "fold", "data_hash"}
    assert of_own & keys_read(table(test_fraction=None, fold=0)) == {"target", "impute", "fold", "n_folds", "data_hash"}
    assert "target" not in keys_read(Config(dataset_name="images.npz"))
    assert not of_own & keys_read(Config(dataset_name="digits"))


def test_an_experiment_looks_for_data_in_the_folder_of_its_file(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "e.py").write_text(
        FUNCTION
        + """
from ray import tune
from dynsparse import Experiment
experiment = Experiment(
    name="own",
    question="?",
    space=dict(
        dataset_name=tune.grid_search(["waves.npz", make, "d.py:make", "sklearn:iris"]),
        fold=tune.grid_search(range(3)),
        n_folds=3,
    ),
)
"""
    )
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    configs = load_experiment(folder / "e.py").configs()
    assert [config.input_size for config in configs[::3]] == [24, 2, 2, 4]
    assert [config.fold for config in configs[:3]] == [0, 1, 2]
    assert [config.dataset_name for config in configs[::3]] == [
        "waves.npz",
        f"{folder}/e.py:make",
        f"{folder}/d.py:make",
        "sklearn:iris",
    ]
    assert configs[0].data_dir == str(folder)
    # As in the file, so on the command line.
    for name in ("t.csv", "d.py:make"):
        given = {"dataset_name": name, "target": "class"}
        [first, *_] = load_experiment(folder / "e.py").configs(given)
        assert first.input_size == {"t.csv": 3, "d.py:make": 2}[name]


def test_another_folder_for_data_of_an_experiment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    space = {"dataset_name": "t.csv", "target": "class", "fold": tune.grid_search([0, 1]), "n_folds": 2}
    assert len(Experiment("own", "?", space, folder=folder).configs()) == 2
    assert len(Experiment("own", "?", {**space, "data_dir": str(folder)}).configs()) == 2
    with pytest.raises(ConfigError, match="does not exist"):
        Experiment("own", "?", space).configs()
