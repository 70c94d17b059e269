"""Survival of grown weights: worked by hand, and the rule that ends the mask updates when it is low."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from dynsparse.config import Config
from dynsparse.methods import MaskUpdate
from dynsparse.planning.plan import EarlyStop
from dynsparse.training.survival import Survival
from dynsparse.training.trainer import Trainer

NAN = math.nan


def ones_at(*positions: int, n: int = 40) -> Tensor:
    """A mask of one output with ones at some inputs. Shapes: (1, n)."""
    return torch.tensor([[position in positions for position in range(n)]])


def update(*trials: tuple[Sequence[int], Sequence[int]]) -> MaskUpdate:
    """A layer after a mask update, from the active and the newly grown positions of each trial."""
    mask = torch.stack([ones_at(*active, *grown) for active, grown in trials])
    grown = torch.stack([ones_at(*grown) for _, grown in trials])
    return MaskUpdate(mask, mask & ~grown, grown, mask.sum((-2, -1)))


def layers(n: int, share: float) -> list[MaskUpdate]:
    """The nth update, from 0, of a hidden and a last layer: each grows four weights of its own.

    Of the four before, the hidden layer keeps a share, and the last layer all.
    """
    before, now = range(4 * (n - 1), 4 * n), range(4 * n, 4 * (n + 1))
    return [update((before[: round(4 * share)], now)), update((before, now))]


def test_survival_worked_example() -> None:
    survival = Survival(2, None)
    first = [
        update(((0, 1), (2, 3, 4, 5)), ((0, 1), (7,))),
        update(((0,), (1, 2)), ((0,), (1,))),
        update(((0,), (1,)), ((0,), ())),
    ]
    second = [
        # Of 2, 3, 4, 5 the first trial keeps 2, 3 and 4; of 7 the second keeps nothing. What grows now does not count.
        update(((0, 2, 3, 4), (8, 9)), ((0, 1), (3,))),
        update(((2,), (3, 4)), ((1,), (2,))),
        update(((1,), (2,)), ((0,), (1,))),
    ]
    after_first = survival.update(first)
    assert torch.stack([*after_first.layers, after_first.average, after_first.overall]).isnan().all()

    survivors = survival.update(second)
    assert torch.stack(survivors.layers).tolist()[:2] == [[3 / 4, 0], [1 / 2, 1]]
    # In the last layer the second trial had grown nothing.
    assert survivors.layers[2].tolist() == pytest.approx([1, NAN], nan_ok=True)
    assert survivors.average.tolist() == [(3 / 4 + 1 / 2) / 2, 1 / 2]
    assert survivors.overall.tolist() == [5 / 7, 1 / 2]

    # From now on the weights that the second update grew are followed, and no longer those of the first.
    survivors = survival.update(
        [update(((8,), ()), ((), ())), update(((2,), ()), ((2,), ())), update(((), ()), ((), ()))]
    )
    assert torch.stack(survivors.layers).tolist() == [[1 / 2, 0], [0, 1], [0, 0]]


def test_a_weight_that_is_dropped_and_grows_again_later_is_not_followed_twice() -> None:
    survival = Survival(1, None)
    survival.update([update(((0,), (1, 2))), update(((0,), (1,)))])
    survival.update([update(((0,), ())), update(((0,), ()))])
    survivors = survival.update([update(((0, 1), ())), update(((0,), ()))])
    assert survivors.layers[0].isnan().all(), "nothing had grown in the update before"


def test_a_single_layer_has_no_average_without_the_last() -> None:
    survival = Survival(1, None)
    survival.update([update(((0,), (1,)))])
    survivors = survival.update([update(((0, 1), (2,)))])
    assert survivors.layers[0].tolist() == survivors.overall.tolist() == [1]
    assert survivors.average.isnan().all()


# The rule that ends the updates


def stops_after(shares: Sequence[float], **rule: Any) -> int | None:
    """After how many updates of which survival is known a trial stops."""
    survival = Survival(1, EarlyStop(**{"threshold": 0.3, "window": 1, "patience": 0, **rule}))
    survival.update(layers(0, 0))
    for n, share in enumerate(shares, start=1):
        assert survival.update(layers(n, share)).average.tolist() == [share]
        if survival.stopped.all():
            return n
    return None


def test_updates_stop_when_the_mean_over_the_window_falls_below_the_threshold() -> None:
    assert stops_after([0.5, 0.5, 0.25]) == 3
    assert stops_after([0.5, 0.5, 0.5]) is None
    # Means of the last three: 0.75, 0.5, 0.25.
    assert stops_after([1.0, 0.75, 0.5, 0.25, 0.0], window=3) == 5
    # The window must be full, and it forgets.
    assert stops_after([0.0, 0.0, 0.0], window=3) == 3
    assert stops_after([0.0, 0.0], window=3) is None
    assert stops_after([0.0, 1.0, 1.0, 0.0, 0.0, 0.5], window=3) == 6


def test_low_means_strictly_below_the_threshold() -> None:
    assert stops_after([0.25], threshold=0.25) is None
    assert stops_after([0.25], threshold=0.2501) == 1


def test_patience_is_how_often_it_may_be_low_in_a_row_or_not() -> None:
    assert stops_after([0.0, 0.0, 0.0], patience=2) == 3
    assert stops_after([0.0, 0.0], patience=2) is None
    assert stops_after([0.0, 1.0, 0.0, 1.0, 0.0], patience=2) == 5


def test_an_update_before_which_nothing_had_grown_says_nothing_about_survival() -> None:
    survival = Survival(1, EarlyStop(threshold=1.0, window=2, patience=0))
    nothing = [update(((0, 1), ())), update(((0, 1), ()))]
    for _ in range(5):
        survival.update(nothing)
    assert not survival.stopped.any()


def test_each_trial_stops_by_itself_and_then_reports_no_survivors() -> None:
    survival = Survival(2, EarlyStop(threshold=0.5, window=1, patience=0))
    dies, lives = ((0,), (1, 2)), ((0, 1, 2), (3,))
    survival.update([update(dies, dies), update(dies, dies)])
    survivors = survival.update([update(((0,), (3,)), lives), update(((0,), (3,)), lives)])
    assert survivors.average.tolist() == [0, 1]
    assert survival.stopped.tolist() == [True, False]
    # The masks of the first trial stay, and all that it has grown is active; but its updates have ended.
    survivors = survival.update([update(((0, 3), ()), ((0, 3), (4,))), update(((0, 3), ()), ((0, 3), (4,)))])
    for share in (*survivors.layers, survivors.average, survivors.overall):
        assert share.tolist() == pytest.approx([NAN, 1], nan_ok=True)


@pytest.mark.parametrize("n_before", range(7))
def test_it_continues_from_its_state(n_before: int) -> None:
    rule = EarlyStop(threshold=0.6, window=2, patience=1)
    # The means of two are 0.625, 0.5, 0.5, ...: low for the second time after the fifth update.
    shares = [0.0, 0.5, 0.75, 0.25, 0.75, 0.25, 0.5]
    updates = [layers(n, share) for n, share in enumerate(shares)]

    def go(survival: Survival, part: list[list[MaskUpdate]]) -> str:
        return repr([(survival.update(each), survival.stopped) for each in part])

    undisturbed, interrupted, resumed = (Survival(1, rule) for _ in range(3))
    go(undisturbed, updates[:n_before])
    go(interrupted, updates[:n_before])
    resumed.load_state_dict(interrupted.state_dict())
    expected = go(undisturbed, updates[n_before:])
    assert undisturbed.stopped.all()
    assert go(resumed, updates[n_before:]) == expected
    assert go(interrupted, updates[n_before:]) == expected, "the one that it continues is left alone"


# In training


def test_a_trainer_stops_its_mask_updates_when_the_rule_says_so() -> None:
    # Survival below 1 counts as low. It is known from the second update on, twice in a window of two from the third;
    # patience 1: the fourth update is the last.
    rule = {"pruning_es": True, "pruning_es_threshold": 1.0, "pruning_es_window_size": 2, "pruning_es_patience": 1}
    values = {"dataset_name": "digits", "hidden_sizes": [20, 20], "batch_size": 500, "epochs": 8, "test_noise": False}
    trainer = Trainer([Config.of({**values, **rule, "model": "SET"})])
    changed, survival = [], []
    for _ in range(7):
        before = [mask.clone() for mask in trainer.engine.masks]
        (row,) = trainer.step()
        assert row is not None
        changed.append(not all(torch.equal(a, b) for a, b in zip(before, trainer.engine.masks, strict=True)))
        survival.append(not math.isnan(row["surviving_synapses_avg"]))
        if not changed[-1]:
            assert row["added_synapses_l0"] == row["missing_weights_l0"] == 0
            assert row["weight_keep_mask_l0"] == row["density_l0"]
    assert changed == [True, True, True, True, False, False, False]
    assert survival == [False, True, True, True, False, False, False]
