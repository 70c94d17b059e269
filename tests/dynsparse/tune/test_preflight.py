"""What a run says while it checks its first trial."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dynsparse.config import Config
from dynsparse.engines.sparse.sources import DIGEST
from dynsparse.tune import preflight


class SlowTrainer:
    """A Trainer whose first trial takes longer than the user's patience."""

    def __init__(self, configs: Sequence[Config]) -> None:
        pass

    def try_out(self) -> None:
        time.sleep(0.5)


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
