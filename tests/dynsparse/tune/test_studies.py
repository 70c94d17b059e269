"""Studies on a real Ray, and continued from their folders: their rows are those of a Trainer of its own."""

import json
import math
from functools import cache

import pytest
import torch
from ray import tune as ray_tune
from support.packed_trials import begin

import analysis
from dynsparse import tune
from dynsparse.config import Config
from dynsparse.experiment import Experiment
from dynsparse.io.storage import open_folder
from dynsparse.planning.plan import steps
from dynsparse.results.trial_folder import State, TrialFolder, folder_name
from dynsparse.training import first_training_cache
from dynsparse.training.trainer import Trainer
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.trainable import SparseTrial

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("one_thread")]
SMALL = dict(dataset_name="digits", network="MLP", model="Dense", hidden_sizes=[16], batch_size=64, epochs=3)
SWEEP = dict(SMALL, study="sweep", sparsities=[0.5, 0.9], prune_kinds=["weight"], retrain_epochs=1)
TICKET = dict(SMALL, study="ticket", prune_iter=2, rewind_step=5)


@cache
def rows_of(config):
    """Return the rows that a Trainer logs for a trial alone."""
    first_training_cache.clear()
    trainer = Trainer([config])
    return [trainer.step()[0] for _ in trainer.plan.study.steps]


def assert_rows_of(folder, config):
    """Bit for bit, NaN equal to NaN; numbered, and `done` at the last one only."""
    rows = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
    expected = rows_of(config)
    assert len(rows) == len(expected) == len(steps(config))
    assert [row["training_iteration"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["done"] for row in rows] == [False] * (len(rows) - 1) + [True]
    for row, numbers in zip(rows, expected, strict=True):
        for name, number in numbers.items():
            is_nan = isinstance(number, float) and math.isnan(number)
            assert math.isnan(row[name]) if is_nan else row[name] == number, name
    assert TrialFolder(open_folder(str(folder))).state() is State.COMPLETE


def test_grids_of_studies_end_in_folders_with_the_numbers_of_each_trial_alone(tmp_path):
    arms = [
        *(dict(SWEEP, seed=seed) for seed in (0, 1)),
        # Of one first training, which a worker may have from its memory.
        *(dict(TICKET, prune_ratio=ratio) for ratio in (0.5, 0.9)),
    ]
    experiment = Experiment("studies", "?", dict(arm=ray_tune.grid_search(arms)), epochs=3)
    outcome = tune.run(experiment, tmp_path, checkpoint_epochs=2, in_process=True)
    assert (outcome.n_complete, outcome.n_unfinished, outcome.failures) == (4, 0, [])
    configs = experiment.configs()
    assert len(list((tmp_path / "studies").glob("trial_*"))) == len(configs) == 4
    for config in configs:
        assert_rows_of(tmp_path / "studies" / folder_name(config), config)

    df, history = analysis.load(tmp_path / "studies"), analysis.load_history(tmp_path / "studies")
    assert set(df["status"]) == {"complete"}
    # Three epochs, then two rows for each of two sparsities; or three epochs in each of three rounds.
    assert len(history) == 2 * (3 + 2 * 2) + 2 * (3 * 3)
    assert sorted(history.loc[history["study"] == "ticket", "round"]) == [0] * 6 + [1] * 6 + [2] * 6


def trainable_of(path):
    """The trainable of a run, as Tune makes it, without Ray."""

    class Trial(SparseTrial):
        def setup(self, config):
            begin(path, config)
            super().setup(config, WorkerOptions(str(path), checkpoint_epochs=2))

    return Trial


@pytest.mark.parametrize("values", [SWEEP, TICKET], ids=["sweep", "ticket"])
@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_trial_that_is_ended_after_any_row_continues_from_its_folder_bit_for_bit(tmp_path, values, is_remembered):
    config = Config.of(values)
    n_rows = len(steps(config))
    for ended_after in range(n_rows + 1):
        path = tmp_path / str(ended_after)
        first_training_cache.clear()
        if is_remembered:
            # By a ticket that had this first training before.
            other = Trainer([Config.of({**values, "prune_ratio": 0.3})])
            for _ in range(3):
                other.step()
        trial = trainable_of(path)(config.values())
        for _ in range(ended_after):
            trial.train()
        folder = path / folder_name(config)
        before = (folder / "result.json").read_bytes() if ended_after else b""
        if not is_remembered:
            first_training_cache.clear()
        later = trainable_of(path)(config.values())
        while not later.train()["done"]:
            pass
        assert (folder / "result.json").read_bytes().startswith(before), "a row is never written again"
        assert_rows_of(folder, config)


def test_a_trainable_is_reused_for_the_next_ticket(tmp_path):
    first, second = (Config.of(dict(TICKET, prune_ratio=ratio)) for ratio in (0.4, 0.8))
    first_training_cache.clear()
    trial = trainable_of(tmp_path)(first.values())
    while not trial.train()["done"]:
        pass
    assert trial.reset_config(second.values()) is True
    before = [weight.clone() for weight in trial.trainer.engine.weights]
    assert not trial.train()["done"]
    assert all(torch.equal(a, b) for a, b in zip(trial.trainer.engine.weights, before, strict=True)), "from memory"
    while not trial.train()["done"]:
        pass
    for config in (first, second):
        assert_rows_of(tmp_path / folder_name(config), config)


def test_a_checkpoint_from_before_the_studies_is_continued(tmp_path):
    config = Config.of(SMALL)
    trial = trainable_of(tmp_path)(config.values())
    trial.train(), trial.train()
    folder = TrialFolder(open_folder(str(tmp_path / folder_name(config))))
    # As it was then: each row was an epoch, and nothing was kept.
    state = {name: value for name, value in trial.trainer.state_dict().items() if name not in ("n_rows", "kept")}
    folder.save_checkpoint(2, state)
    later = trainable_of(tmp_path)(config.values())
    assert later.trainer.n_rows == 2
    assert later.train()["done"]
    assert_rows_of(tmp_path / folder_name(config), config)
