"""First trainings in memory: taken where they are the same, done again where anything differs, and never changed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dynsparse.config import Config
from dynsparse.engines.torch import TorchEngine
from dynsparse.training import first_training_cache
from dynsparse.training.trainer import Row, Trainer

SparseEngine = pytest.importorskip("dynsparse.engines.sparse.engine").SparseEngine
pytestmark = pytest.mark.usefixtures("one_thread", "blobs")

BASE = {
    "study": "ticket", "dataset_name": "blobs", "network": "MLP", "model": "Dense", "hidden_sizes": [24, 16],
    "batch_size": 32, "epochs": 3, "learning_rate": 0.05, "prune_ratio": 0.8, "prune_iter": 2,
}  # fmt: skip
# Epochs of a ticket, of its first training and of two rounds; and of a trial that has its first training from memory.
ALL, ROUNDS = 9, 6
ENGINES = pytest.mark.parametrize("engine", ["torch", "sparse"])


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    first_training_cache.clear()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of every epoch that an engine trains from now on."""
    seen: list[int] = []
    for engine in (TorchEngine, SparseEngine):
        train_epoch = engine.train_epoch

        def counted(self: Any, *data: Any, epoch: int, train_epoch: Any = train_epoch, **values: Any) -> Any:
            seen.append(epoch)
            return train_epoch(self, *data, epoch=epoch, **values)

        monkeypatch.setattr(engine, "train_epoch", counted)
    return seen


def trainer(*trials: dict[str, Any], **values: Any) -> Trainer:
    return Trainer([Config.of({**BASE, **values, **trial}) for trial in trials or ({},)])


def rest(each: Trainer) -> list[list[Row | None]]:
    rows = []
    while not each.is_done:
        rows.append(each.step())
    return rows


def n_trained(calls: list[int], *trials: dict[str, Any], **values: Any) -> int:
    """Return the number of epochs that a trial trains."""
    calls.clear()
    rest(trainer(*trials, **values))
    # An epoch that is interrupted to keep the network counts twice.
    return len(calls) - (1 if values.get("rewind_step", 0) and calls.count(1) == 2 else 0)


OTHER_ROUNDS = [
    {"prune_ratio": 0.5},
    {"prune_iter": 3},
    {"criterion": "random"},
    {"last_layer_rate": 1.0},
    {"prune_ratio": 0.0, "criterion": "random", "prune_iter": 1},
]


@ENGINES
@pytest.mark.parametrize("shared", [{}, {"rewind_step": 2, "optim_alg": "Adam", "learning_rate": 0.002}], ids=str)
@pytest.mark.parametrize("other", OTHER_ROUNDS, ids=str)
def test_a_second_ticket_takes_the_first_training_from_the_cache_and_gives_the_same_numbers(
    engine: str, shared: dict[str, Any], other: dict[str, Any], calls: list[int]
) -> None:
    values = {**shared, **other, "engine": engine}
    alone = trainer(**values)
    expected = rest(alone)
    first_training_cache.clear()

    rest(trainer(**shared, engine=engine))
    calls.clear()
    each = trainer(**values)
    for epoch in range(3):
        assert not each.is_done
        # NaN is equal to nothing; its text is.
        assert repr(each.step()) == repr(expected[epoch])
    assert calls == [], "the cached rows are replayed without training"
    assert repr(rest(each)) == repr(expected[3:])
    # The rounds, and only they: 3 epochs each, after the 3 of the first training.
    assert calls == list(range(4, 4 + 3 * other.get("prune_iter", 2)))
    torch.testing.assert_close(each.state_dict(), alone.state_dict(), rtol=0, atol=0, equal_nan=True)


def test_a_trainer_that_continues_from_the_cache_does_not_change_it() -> None:
    rows = [repr(rest(trainer(prune_ratio=0.9))) for _ in range(3)]
    assert rows[0] == rows[1] == rows[2]
    first = trainer()
    for row in (first.step() for _ in range(3)):
        row[0].clear()  # type: ignore[union-attr]  # as a caller may do that adds columns
    assert repr(rest(trainer(prune_ratio=0.9))) == rows[0]
    # The same if the cleared rows are those of the trial that filled the cache.
    first_training_cache.clear()
    second = trainer()
    for row in [second.step() for _ in range(2)]:
        row[0].clear()  # type: ignore[union-attr]
    second.step()[0].clear()  # type: ignore[union-attr]
    assert repr(rest(trainer(prune_ratio=0.9))) == rows[0]


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"learning_rate": 0.02},
        {"momentum": 0.5},
        {"weight_decay": 0.0},
        {"batch_size": 16},
        {"epochs": 4},
        {"hidden_sizes": [24, 17]},
        {"model": "SparseModel", "on_perc": 0.5},
        {"network": "MLPHeb", "kwinners": True},
        {"batch_norm": True},
        {"dropout": 0.1},
        {"optim_alg": "Adam"},
        {"val_fraction": 0.1},
        {"noise_level": 0.3},
        {"test_noise": False},
        {"debug_weights": False},
        {"debug_sparse": False},
        {"rewind_step": 5},
        {"engine": "torch"},
        {"dataset_name": "digits"},
    ],
    ids=str,
)
def test_another_first_training_is_trained(other: dict[str, Any], calls: list[int]) -> None:
    assert n_trained(calls, engine="auto") == ALL
    assert n_trained(calls, engine="auto") == ROUNDS
    assert n_trained(calls, **{"engine": "auto", **other}) == (12 if "epochs" in other else ALL)
    # The first is still there.
    assert n_trained(calls, engine="auto") == ROUNDS


def test_tickets_with_new_values_share_the_first_training_of_those_that_go_back_to_the_beginning(
    calls: list[int],
) -> None:
    assert n_trained(calls, engine="auto") == ALL
    assert n_trained(calls, engine="auto", init="reinit") == ROUNDS
    assert n_trained(calls, engine="auto", init="reinit", rewind_step=5) == ROUNDS


def test_a_key_that_the_first_training_does_not_read_does_not_matter() -> None:
    keys = [
        first_training_cache.cache_key([each], trainer().plan)
        for each in (Config.of(BASE), Config.of({**BASE, "percent_on": 0.9}))
    ]
    assert keys[0] == keys[1]


def test_a_pack_is_cached_as_a_pack(calls: list[int]) -> None:
    pair = {"seed": 1}, {"seed": 2}
    assert n_trained(calls, *pair) == ALL
    others = [{**trial, "prune_ratio": ratio} for trial, ratio in zip(pair, (0.3, 0.6), strict=True)]
    assert n_trained(calls, *others) == ROUNDS
    for other in (pair[:1], pair[1:], pair[::-1]):
        assert n_trained(calls, *other) == ALL


@pytest.mark.parametrize("study", ["train", "sweep"])
def test_other_studies_do_not_use_the_cache(study: str, calls: list[int]) -> None:
    assert n_trained(calls, study=study, retrain_epochs=0) == 3
    assert n_trained(calls) == ALL
    assert n_trained(calls, study=study, retrain_epochs=0) == 3


def test_the_least_recently_used_entry_is_dropped(calls: list[int]) -> None:
    assert first_training_cache.MAX_ENTRIES == 4
    for seed in range(4):
        assert n_trained(calls, seed=seed) == ALL
    assert n_trained(calls, seed=0) == ROUNDS
    assert n_trained(calls, seed=4) == ALL
    # Seed 1 was dropped for it.
    assert [n_trained(calls, seed=seed) for seed in (0, 2, 3, 4)] == [ROUNDS] * 4
    assert n_trained(calls, seed=1) == ALL
    assert n_trained(calls, seed=0) == ALL


def test_a_training_that_started_in_another_trainer_is_not_cached(calls: list[int]) -> None:
    begun = trainer()
    begun.step()
    continued = trainer()
    continued.load_state_dict(begun.state_dict())
    rest(continued)
    assert n_trained(calls) == ALL


def test_a_training_whose_state_was_replaced_is_not_cached(calls: list[int]) -> None:
    # After two of its own epochs it loads the state of another engine: rows and state belong to two networks.
    other = trainer(engine="sparse")
    other.step(), other.step()
    each = trainer(engine="torch")
    each.step(), each.step()
    each.load_state_dict(other.state_dict())
    rest(each)
    assert n_trained(calls, engine="torch") == ALL


def test_a_state_that_is_loaded_ends_the_replay(calls: list[int]) -> None:
    whole = rest(trainer())
    for n_before in range(3):
        begun = trainer()
        for _ in range(n_before):
            begun.step()
        state = begun.state_dict()
        assert state["n_rows"] == 0
        calls.clear()
        continued = trainer()
        continued.step()
        continued.load_state_dict(state)
        assert repr(rest(continued)) == repr(whole)
        assert len(calls) == ALL


def test_after_the_replay_a_trainer_has_the_cached_state() -> None:
    trained = trainer()
    for _ in range(3):
        trained.step()
    each = trainer()
    before = each.parameters()
    for n_rows in (1, 2):
        each.step()
        assert (each.n_rows, each.epoch) == (n_rows, 0)
        torch.testing.assert_close(each.parameters(), before, rtol=0, atol=0)
    each.step()
    assert (each.n_rows, each.epoch) == (3, 3)
    torch.testing.assert_close(each.parameters(), trained.parameters(), rtol=0, atol=0)
