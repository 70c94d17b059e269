"""compile=True: against the same trials without compilation, after a resume, and where there is no compiler."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.own_modules import PATCHES, SmallNet

from dynsparse.config import Config, ConfigError
from dynsparse.data import DATASETS
from dynsparse.engines.module import ModuleEngine
from dynsparse.nn.modules import MODULES
from dynsparse.planning.packs import join_trials, select_trials
from dynsparse.planning.plan import keys_read
from dynsparse.results.trial_folder import identity
from dynsparse.training.saved_states import checked_state
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread", "tables")

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))), reason="there is no C++ compiler"
)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "patches", PATCHES)
    monkeypatch.setitem(MODULES, "small", SmallNet)


def config(**values: Any) -> Config:
    keys = {"dataset_name": "patches", "network": "small", "on_perc": 0.4, "epochs": 3, "batch_size": 48}
    return Config.of({**keys, "learning_rate": 0.02, "test_noise": False, **values})


@pytest.mark.faults
@needs_compiler
def test_a_compiled_pack_is_the_uncompiled_one_to_rounding_and_resumes_bit_for_bit() -> None:
    # With dropout, batch norm, and a last batch that is smaller.
    trials = [config(model="RigL", compile=True, seed=seed) for seed in (1, 2)]
    whole = Trainer(trials)
    assert isinstance(whole.engine, ModuleEngine)
    assert whole.engine.one_by_one == "compile=True compiles the network of one trial"
    first_row, state, *rows = whole.step(), copy.deepcopy(whole.state_dict()), whole.step(), whole.step()
    resumed = Trainer(trials)
    parts = [select_trials(state, [place]) for place in (0, 1)]
    resumed.load_state_dict(
        join_trials([checked_state(part, trial) for part, trial in zip(parts, trials, strict=True)])
    )
    assert repr([resumed.step(), resumed.step()]) == repr(rows)

    plain = Trainer([config(model="RigL", seed=seed) for seed in (1, 2)])
    row = plain.step()
    for mine, other in zip(first_row, row, strict=True):
        assert mine is not None and other is not None
        assert mine["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
    plain.step(), plain.step()
    for mine, other in zip(whole.engine.masks, plain.engine.masks, strict=True):
        assert torch.equal(mine, other)
    engines = whole.engine, plain.engine
    numbers = [[*each.state_dict()["weights"], *each.state_dict()["buffers"]] for each in engines]
    for mine, other in zip(*numbers, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-2, atol=1e-3)
    assert not all(torch.equal(mine, other) for mine, other in zip(*numbers, strict=True)), "nothing was compiled"


def test_steps_that_count_coactivation_are_not_compiled_and_count_the_same() -> None:
    engines = [Trainer([config(model="DSNNHeb", compile=compile_)]).engine for compile_ in (True, False)]
    x, y = torch.rand(1, 48, 144), torch.arange(48)[None] % 5
    counts = []
    for engine in engines:
        assert isinstance(engine, ModuleEngine)
        engine.train_batch(x, y, epoch=1, rate=torch.tensor([0.1]))
        counts.append(engine.coactivation)
    assert counts[0] is not None and counts[1] is not None
    for mine, other in zip(*counts, strict=True):
        assert torch.equal(mine, other) and mine.any()


PROGRAM = """
from dynsparse.config import Config
from dynsparse.tune.preflight import check_first_trial

keys = {"dataset_name": "digits", "network": "ResidualMLP", "model": "SET", "epochs": 1}
check_first_trial([Config.of(keys), Config.of({**keys, "compile": True})])
"""


@pytest.mark.faults
def test_a_missing_compiler_is_named_before_the_first_trial(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    hidden = {"PATH": str(tmp_path / "bin"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    environment = {name: value for name, value in os.environ.items() if name != "CXX"} | hidden
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    message = ended.stderr.splitlines()[-1]
    assert message.startswith("dynsparse.grid.ExperimentError: compile=True fails: torch.compile raises ")
    assert message.endswith("needs a C++ compiler, such as g++. Install it if it is missing, or set compile=False.")


def test_compilation_is_part_of_the_identity_of_torch_modules_alone() -> None:
    assert identity(config(compile=True)) != identity(config()) == identity(config(compile=False))
    assert "compile" in keys_read(config()) and "compile" not in keys_read(config(network="MLP"))


def test_only_torch_modules_are_compiled() -> None:
    with pytest.raises(ConfigError, match="compile=True is for networks that are torch modules, got network='MLP'"):
        config(network="MLP", compile=True)
