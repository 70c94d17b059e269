"""HyperBand decides as its paper says, and as Ray Tune does where both keep equally many trials."""

import math
import random

import pytest
from ray.tune.schedulers import HyperBandScheduler, TrialScheduler

from dynsparse.search import HyperBand

# Table 1 of the paper, R = 81 and eta = 3: number of trials and epoch of each rung, by bracket.
PAPER = {
    0: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    1: [(34, 3), (11, 9), (3, 27), (1, 81)],
    2: [(15, 9), (5, 27), (1, 81)],
    3: [(8, 27), (2, 81)],
    4: [(5, 81)],
}


def names(n):
    return [f"trial{number}" for number in range(n)]


def value_of(trial, epoch):
    draw = random.Random(trial)
    return draw.random() * (1 - 0.5**epoch) + 0.2 * random.Random(f"{trial}/{epoch}").random()


def train(rule, trials, failed=(), value=value_of, order=None):
    """Train rounds until nothing is left. Return the epochs of each trial, the decisions, and the rounds."""
    epochs, rounds = dict.fromkeys(trials, 0), []
    while True:
        values = {trial: {rung: value(trial, rung) for rung in rule.rungs if rung <= epochs[trial]} for trial in trials}
        decisions = rule.decide(values, set(failed))
        if not decisions.next_rung:
            return epochs, decisions, rounds
        rung = min(decisions.next_rung.values())
        wanted = [trial for trial, each in decisions.next_rung.items() if each == rung]
        if order is not None:
            # Only one trial moves on, as if the run was killed then.
            wanted = [order.choice(wanted)]
        epochs.update(dict.fromkeys(wanted, rung))
        rounds.append((rung, len(wanted)))


def test_the_numbers_of_trials_are_those_of_the_paper():
    trials = names(143)
    rule = HyperBand(grace=1, factor=3, epochs=81, trials=trials)
    epochs, decisions, rounds = train(rule, trials)
    for first, bracket in enumerate(rule.brackets):
        reached = [(sum(epochs[trial] >= rung for trial in bracket), rung) for rung in rule.rungs[first:]]
        assert reached == PAPER[first]
    # A trial that stops has trained until a rung, and the others to their end.
    assert all((epochs[trial] == 81) == (trial not in decisions.stopped) for trial in trials)
    assert [rung for rung, _ in rounds] == [1, 3, 9, 27, 81], "one round for each rung"


def test_each_number_of_trials_has_about_the_proportions_of_the_paper():
    sizes = [rungs[0][0] for rungs in PAPER.values()]
    for n in (10, 50, 143, 286, 400):
        found = [len(bracket) for bracket in HyperBand(1, 3, 81, names(n)).brackets]
        assert sum(found) == n
        assert found == pytest.approx([size * n / 143 for size in sizes], abs=1)


def test_more_trials_leave_the_brackets_of_the_earlier_ones():
    few, many = (HyperBand(1, 2, 16, names(n)).brackets for n in (20, 50))
    assert all(set(few[place]) == set(many[place]) & set(names(20)) for place in range(5))


class Controller:
    """The part of a Tune controller that HyperBandScheduler asks."""

    def __init__(self, scheduler):
        self.scheduler = scheduler

    def stop_trial(self, trial):
        trial.status = "TERMINATED"
        self.scheduler.on_trial_remove(self, trial)


class Trial:
    """A trial, as HyperBandScheduler reads and changes it."""

    is_saving = False

    def __init__(self, name):
        self.trial_id, self.status, self.epoch = name, "PENDING", 0


def tunes_epochs(brackets, seed, max_t=81):
    """The epochs that each trial trains under Ray's scheduler, which fills its last bracket first."""
    scheduler = HyperBandScheduler(metric="value", mode="max", max_t=max_t, reduction_factor=3)
    trials = [Trial(name) for bracket in reversed(brackets) for name in bracket]
    draw, controller = random.Random(seed), Controller(scheduler)
    for trial in trials:
        scheduler.on_trial_add(controller, trial)
    while True:
        paused = [trial for bracket in scheduler._hyperbands[0] for trial in bracket.trials_to_unpause]
        ready = [trial for trial in trials if trial.status == "PENDING" or trial in paused]
        if not ready:
            return {trial.trial_id: trial.epoch for trial in trials}
        trial = draw.choice(ready)
        trial.status, decision = "RUNNING", TrialScheduler.CONTINUE
        while decision == TrialScheduler.CONTINUE and trial.epoch < max_t:
            trial.epoch += 1
            result = {"training_iteration": trial.epoch, "value": value_of(trial.trial_id, trial.epoch)}
            decision = scheduler.on_trial_result(controller, trial, result)
        trial.status = "PAUSED" if decision == TrialScheduler.PAUSE else "TERMINATED"


def test_the_best_go_on_as_with_ray_tune():
    trials = names(143)
    rule = HyperBand(1, 3, 81, trials)
    ours, _, _ = train(rule, trials)
    theirs = tunes_epochs(rule.brackets, seed=1)
    for first in (0, 4):
        # Here the numbers of trials are powers of three, which need no rounding.
        assert {trial: ours[trial] for trial in rule.brackets[first]} == {
            trial: theirs[trial] for trial in rule.brackets[first]
        }
    # Ray rounds up, so that a few more go on.
    assert all(ours[trial] <= theirs[trial] for trial in trials)


@pytest.mark.parametrize("seed", range(3))
def test_decisions_do_not_depend_on_the_order_in_which_trials_arrive(seed):
    trials = names(40)
    rule = HyperBand(1, 3, 27, trials)
    epochs, decisions, _ = train(rule, trials)
    again, others, _ = train(rule, trials, order=random.Random(seed))
    assert (again, others.stopped) == (epochs, decisions.stopped)


@pytest.mark.parametrize(("grace", "factor", "epochs", "rungs"), [
    (1, 3, 9, [1, 3, 9]), (1, 3, 10, [1, 3, 10]), (2, 3, 27, [3, 9, 27]), (4, 2, 30, [8, 15, 30]),
    (1, 2.5, 10, [2, 4, 10]),
])  # fmt: skip
def test_rungs_lead_to_the_last_epoch(grace, factor, epochs, rungs):
    assert HyperBand(grace, factor, epochs, names(5)).rungs == rungs


def test_trials_that_fail_drop_out_and_their_places_stay_empty():
    trials = names(9)
    rule = HyperBand(1, 3, 3, trials)
    first = rule.brackets[0]
    n_left = len(first) // 3
    worst = sorted(first, key=lambda trial: value_of(trial, 1))
    epochs, decisions, _ = train(rule, trials, failed=worst[:2])
    assert sum(epochs[trial] == 3 for trial in first) == n_left
    assert not {*worst[:2]} & decisions.stopped.keys()
    nobody, decisions, _ = train(rule, trials, failed=first)
    assert not decisions.stopped and all(nobody[trial] == 3 * (trial not in first) for trial in trials)


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_values_that_are_not_finite_never_go_on(bad):
    trials = names(9)
    rule = HyperBand(1, 3, 3, trials)
    lost = set(rule.brackets[0][1:])
    epochs, decisions, _ = train(rule, trials, value=lambda trial, epoch: bad if trial in lost else 0.5)
    assert decisions.stopped == dict.fromkeys(lost, "the value at epoch 1 is not finite")
    assert epochs[rule.brackets[0][0]] == 3
    _, decisions, _ = train(rule, trials, value=lambda trial, epoch: bad)
    assert decisions.stopped.keys() == set(rule.brackets[0])


def test_the_reason_has_the_value_and_the_numbers():
    rule = HyperBand(1, 3, 3, names(8))
    _, decisions, _ = train(rule, names(8), value=lambda trial, epoch: 0.1 + int(trial[-1]) / 10)
    first = sorted(rule.brackets[0])
    value, n = 0.1 + int(first[0][-1]) / 10, len(first)
    assert decisions.stopped[first[0]] == f"{value:g} at epoch 1 is not among the best {n // 3} of {n} in its bracket"


def test_the_epochs_after_a_rung_are_those_of_the_paper():
    rule = HyperBand(1, 3, 81, names(143))
    total = sum(n * (rung - before) for rungs in PAPER.values() for (n, rung), (_, before) in zip(
        rungs, [(0, 0), *rungs[:-1]], strict=True))  # fmt: skip
    assert rule.epochs_after(0) == total
    assert rule.epochs_after(27) == 1 * 54 + 1 * 54 + 1 * 54 + 2 * 54 + 5 * 81
    assert rule.epochs_after(81) == 0


def test_a_single_rung_is_refused():
    with pytest.raises(ValueError, match=r"^scheduler='hyperband' needs epochs of at least grace \* reduction_factor"):
        HyperBand(2, 3, 5, names(3))
