"""The check of the first trial: what it says, and the columns that it knows."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from ray.tune.schedulers import ASHAScheduler

from dynsparse.config import Config
from dynsparse.engines.sparse.sources import DIGEST
from dynsparse.experiment import Experiment, ExperimentError
from dynsparse.tune import preflight, run


class SlowTrainer:
    """A Trainer whose first trial takes longer than the user's patience."""

    def __init__(self, configs: Sequence[Config]) -> None:
        pass

    def try_out(self) -> list[str]:
        time.sleep(0.5)
        return []


@pytest.mark.parametrize(
    ("engine", "compiled", "notice"),
    [
        ("sparse", None, True),
        ("sparse", "0123456789abcdef", True),
        ("sparse", DIGEST, False),
        ("torch", None, False),
    ],
    ids=["never compiled", "an older version compiled", "compiled", "another engine"],
)
def test_a_compilation_is_announced_only_where_it_will_happen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: str,
    compiled: str | None,
    notice: bool,
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    if compiled is not None:
        (tmp_path / f"kernels.multiply_{compiled}-27.py311.1.nbc").touch()
    monkeypatch.setattr(preflight, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(preflight, "Trainer", SlowTrainer)
    preflight.check_first_trial([Config(dataset_name="digits", model="SET", engine=engine)])
    said = capsys.readouterr().err
    assert said.startswith("checking the first trial")
    assert ("compiling the sparse engine" in said) == notice


def test_a_quick_check_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(preflight, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(preflight, "Trainer", SlowTrainer)
    preflight.check_first_trial([Config(dataset_name="digits", model="SET")])
    assert capsys.readouterr().err == ""


def test_the_columns_are_those_of_a_row(tmp_path: Path) -> None:
    space = {"dataset_name": "digits", "model": "RigL", "hidden_sizes": [8], "batch_size": 64, "val_fraction": 0.1}
    experiment = Experiment("columns", "Which?", space, epochs=1)
    columns = preflight.check_first_trial(experiment.configs())
    run(experiment, tmp_path, in_process=True)
    [file] = tmp_path.glob("columns/trial_*/result.json")
    row = json.loads(file.read_text())
    numbers = [name for name, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    assert sorted(columns) == sorted(numbers)


def test_a_scheduler_whose_metric_no_trial_logs_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    experiment = Experiment("unknown", "Which?", {"dataset_name": "digits", "val_fraction": 0.1}, epochs=1)
    scheduler = ASHAScheduler(metric="val_accuracy", mode="max", max_t=1)
    problem = r"^The metric of the scheduler must be a column .* Unknown column 'val_accuracy'\. Did you mean 'val_acc'"
    with pytest.raises(ExperimentError, match=problem):
        run(experiment, tmp_path, scheduler=scheduler, in_process=True)
    assert not list(tmp_path.iterdir())
