"""Results of trials in random orders, and what Ray Tune's schedulers and our rules decide about them."""

import random

from ray.tune.schedulers import TrialScheduler


class Trial:
    """A trial, as Tune's schedulers read it."""

    def __init__(self, name):
        self.trial_id = name


class Controller:
    """The part of a Tune controller that its schedulers ask: no trial waits."""

    def get_live_trials(self):
        return []


def tune_decisions(scheduler, results):
    trials, decisions = {}, []
    for name, epoch, value in results:
        if name not in trials:
            trials[name] = Trial(name)
            scheduler.on_trial_add(Controller(), trials[name])
        result = {"training_iteration": epoch, "value": value}
        decision = scheduler.on_trial_result(Controller(), trials[name], result)
        decisions.append(decision == TrialScheduler.STOP)
        if decisions[-1]:
            results.stopped.add(name)
    return decisions


class Results:
    """Results of trials in a random order, each trial's epochs in order; a trial that has stopped reports no more."""

    def __init__(self, seed, n_trials=30, n_epochs=20):
        self.draw, self.n_epochs = random.Random(seed), n_epochs
        self.next_epoch = {f"trial{place}": 1 for place in range(n_trials)}
        self.levels = {name: self.draw.random() for name in self.next_epoch}
        self.stopped = set()

    def __iter__(self):
        while True:
            left = [
                name for name, epoch in self.next_epoch.items() if epoch <= self.n_epochs and name not in self.stopped
            ]
            if not left:
                return
            name = self.draw.choice(left)
            epoch = self.next_epoch[name]
            self.next_epoch[name] += 1
            yield name, epoch, self.levels[name] * (1 - 0.5**epoch) + 0.1 * self.draw.random()


def our_decisions(rule, results):
    decisions = []
    for name, epoch, value in results:
        decisions.append(rule.reason_to_stop(name, epoch, value) is not None)
        rule.learn(name, epoch, value)
        if decisions[-1]:
            results.stopped.add(name)
    return decisions
