"""Test the cache of compiled kernels, in fresh processes with cache folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dynsparse

pytest.importorskip("numba")

ACTIVITY = """
import numpy as np
from dynsparse.engines.sparse.activity import record_activity
x, activity = np.ones((2, 64), np.float32), np.zeros((2, 8), np.uint64)
x[1] = -1
record_activity(x, np.float32(0), np.zeros(2, np.uint64), 0, 0, 64, activity, 0)
print(activity[:, 0].astype(bool).tolist(), len(record_activity.stats.cache_misses))
"""

TRAINING = """
import hashlib, torch
from dynsparse.config import Config
from dynsparse.training.trainer import Trainer
torch.set_num_threads(1)
values = {"dataset_name": "digits", "model": "SET", "on_perc": 0.2, "epochs": 1, "engine": "sparse", "kwinners": True}
trainer = Trainer([Config.of(values)])
trainer.step()
state = trainer.engine.state_dict()
content = b"".join(each.numpy().tobytes() for each in (*state["weights"], *state["biases"]))
print(hashlib.sha256(content).hexdigest())
"""


def run(code: str, cache: Path, package: Path) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(package)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, cwd=package, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.faults
def test_a_change_of_simd_compiles_the_kernels_again(tmp_path: Path) -> None:
    package = Path(dynsparse.__file__).parent
    shutil.copytree(package, tmp_path / "dynsparse", ignore=shutil.ignore_patterns("__pycache__"))
    assert run(ACTIVITY, tmp_path / "cache", tmp_path) == "[True, False] 1"
    assert run(ACTIVITY, tmp_path / "cache", tmp_path) == "[True, False] 0", "the second process reads the cache"
    simd = tmp_path / "dynsparse/engines/sparse/simd.py"
    text = simd.read_text()
    assert text.count('fcmp_ordered(">", values, splat') == 1
    simd.write_text(text.replace('fcmp_ordered(">", values', 'fcmp_ordered("<", values'))
    assert run(ACTIVITY, tmp_path / "cache", tmp_path) == "[False, True] 1"


@pytest.mark.faults
def test_training_is_bit_identical_with_kernels_just_compiled_and_from_the_cache(tmp_path: Path) -> None:
    package = Path(dynsparse.__file__).parents[1]
    compiled, cached = (run(TRAINING, tmp_path / "cache", package) for _ in range(2))
    assert compiled == cached
