"""Runs with methods of the user's own: functions in the experiment file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.packed_trials import assert_as_alone

import analysis
from dynsparse import tune
from dynsparse.config import Config, ConfigError
from dynsparse.experiment import load_experiment
from dynsparse.results.trial_folder import identity
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = """
from ray import tune
from dynsparse import Experiment
from dynsparse.methods.base import Method, at_random, highest, lowest
from dynsparse.ops.scores import gradient, magnitude

SHARE = 0.3


def by_gradient(settings):
    return Method(settings.on_perc, lowest(magnitude, SHARE), highest(gradient), needs=frozenset({"gradient"}))


def returns_text(settings):
    return "RigL"


def raises(settings):
    return settings.hebian_prune_perc


def without_argument():
    return None


experiment = Experiment(
    name="own",
    question="Does a method of my own train?",
    space=dict(
        dataset_name="digits",
        hidden_sizes=(20,),
        batch_size=128,
        model=tune.grid_search([by_gradient, "SET"]),
        on_perc=tune.grid_search([0.1, 0.3]),
        pruning_es=False,
    ),
    epochs=3,
)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "code" / "mine.py"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


def run(file: Path, results: Path, **options: Any) -> None:
    outcome = tune.run(load_experiment(file), results, **options)
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (4, 0, [])


@pytest.mark.parametrize("pack", ["off", 2])
def test_a_run_alone_and_in_packs(file: Path, tmp_path: Path, pack: str | int) -> None:
    run(file, tmp_path, in_process=True, pack=pack)
    for config in load_experiment(file).configs():
        assert_as_alone(tmp_path / "own", config)
    df = analysis.load(tmp_path / "own")
    assert sorted(set(df["model"])) == ["SET", "mine.py:by_gradient"]
    assert df.loc[df["model"] != "SET", "model_hash"].str.len().eq(12).all()


@pytest.mark.parametrize("engine", ["sparse", "torch", "packed"])
def test_a_function_with_the_rules_of_rigl_gives_its_masks(file: Path, engine: str) -> None:
    values = dict(dataset_name="digits", hidden_sizes=(20,), batch_size=64, on_perc=0.2, epochs=3, pruning_es=False)
    values |= dict(engine=engine, weight_prune_perc=0.3, pruning_interval=1)
    ours, rigl = (Trainer([Config.of({**values, "model": model})]) for model in (f"{file}:by_gradient", "RigL"))
    dropped = 0
    for _ in range(3):
        before = ours.parameters().masks[0]
        ours.step(), rigl.step()
        for mine, theirs in zip(ours.parameters().masks, rigl.parameters().masks, strict=True):
            assert (mine == theirs).all()
        dropped += int((before & ~ours.parameters().masks[0]).sum())
    assert dropped > 0


def test_a_changed_function_is_another_trial_and_a_moved_file_is_not(file: Path, tmp_path: Path) -> None:
    before = [identity(config) for config in load_experiment(file).configs()]
    file.write_text(FILE.replace("SHARE = 0.3", "SHARE = 0.2"))
    after = [identity(config) for config in load_experiment(file).configs()]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, False, True, True]
    file.write_text(FILE)
    moved = file.rename(tmp_path / "mine.py")
    assert [identity(config) for config in load_experiment(moved).configs()] == before


def test_a_saved_trial_of_a_changed_function_is_refused(file: Path) -> None:
    values = json.loads(json.dumps(load_experiment(file).configs()[0].values()))
    assert Config.saved(values).model == f"{file}:by_gradient"
    file.write_text(FILE.replace("SHARE = 0.3", "SHARE = 0.2"))
    with pytest.raises(ConfigError, match=r"model_hash must be .* the source of its function differs\. Leave"):
        Config.saved(values)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("returns_text", "model='.*:returns_text' returns str. It must take the settings of a trial and return a dyns"),
        ("raises", "model='.*:raises' fails: AttributeError: .*hebian_prune_perc.* It must take the settings"),
        ("without_argument", "model='.*:without_argument' fails: TypeError: .* It must take the settings of a trial"),
        ("misspelt", "must name a function, but .*mine.py has no such name. Correct the name"),
    ],
)
def test_functions_that_are_no_methods(file: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(model=f"{file}:{name}", dataset_name="digits")
