"""The folders of the Ray that is installed, class and function trainables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analysis

ray = pytest.importorskip("ray")
tune = pytest.importorskip("ray.tune")
pytestmark = pytest.mark.ray


def trainables() -> dict[str, Any]:
    # Defined in here, they travel to the workers by value; a worker cannot import this file.
    class Counter(tune.Trainable):
        def setup(self, config: dict) -> None:
            self.config, self.n = config, 0

        def step(self) -> dict:
            self.n += 1
            if self.config["on_perc"] == 0.2 and self.n == 2:
                raise ValueError("the second epoch fails")
            return {
                "val_acc": self.n * self.config["on_perc"],
                "nan_acc": np.float64("nan"),
                "inner": {"loss": np.float32(0.5)},
                "done": self.n == 3,
            }

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            Path(checkpoint_dir, "n.json").write_text(json.dumps(self.n))

        def load_checkpoint(self, checkpoint: str) -> None:
            self.n = json.loads(Path(checkpoint, "n.json").read_text())

    def count(config: dict) -> None:
        for n in range(3):
            tune.report({"val_acc": n * config["on_perc"]})

    return {"class": Counter, "function": count}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # No _temp_dir below pytest's: long paths break Ray's sockets.
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            for name, trainable in trainables().items():
                space = {
                    "on_perc": tune.grid_search([0.1, 0.2]),
                    "hidden_sizes": [3, 2],
                    "optim": {"lr": 0.1},
                }
                run_config = tune.RunConfig(name=name, storage_path=str(storage), verbose=0)
                tune.Tuner(trainable, param_space=space, run_config=run_config).fit()
        finally:
            ray.shutdown()
    return storage


def test_a_class(storage: Path) -> None:
    df = analysis.load(storage / "class", metrics=["val_acc", "nan_acc", "inner/loss"])
    assert df["Experiment Name"].tolist() == ["0_on_perc=0.1000", "1_on_perc=0.2000"]
    assert df["status"].tolist() == ["complete", "error"]
    assert df["error"].tolist()[1] == "ValueError: the second epoch fails"
    assert df["epochs"].tolist() == [3, 1]
    assert df["val_acc_max"].tolist() == pytest.approx([0.3, 0.2])
    assert df["nan_acc_max"].isna().all() and df["inner/loss_max"].tolist() == [0.5, 0.5]
    assert df["hidden_sizes"].tolist() == [(3, 2)] * 2 and df["optim/lr"].tolist() == [0.1, 0.1]
    assert analysis.issues(df).empty


def test_a_function(storage: Path) -> None:
    df = analysis.load(storage / "function")
    assert df["status"].tolist() == ["complete", "complete"]
    assert df["val_acc_max"].tolist() == pytest.approx([0.2, 0.4])
    assert analysis.issues(df).empty


def test_history_has_no_bookkeeping(storage: Path) -> None:
    df = analysis.load_history(storage / "class")
    metrics, config = ["val_acc", "nan_acc", "inner/loss"], ["on_perc", "hidden_sizes", "optim/lr", "seed"]
    assert set(df.columns) == {"trial_id", "trial_dir", "epoch", "diverged", *metrics, *config}
    assert df["epoch"].tolist() == [1, 2, 3, 1]


def test_progress_csv_gives_the_same(storage: Path) -> None:
    expected = analysis.load(storage / "class")
    for path in (storage / "class").glob("*/result.json"):
        path.unlink()
    df = analysis.load(storage / "class")
    names = ["val_acc_max", "val_acc_last", "epochs", "status", "trial_id", "on_perc"]
    assert df[names].equals(expected[names])
    assert len(analysis.issues(df)) == 2
