"""Many random kills of a run and its processes: each round ends with the rows of a run that nobody disturbed.

A round is drawn from its number: which processes are killed or stopped, when, and whether trials train in packs. Of
the 300 actions of all rounds, about three quarters are kills. A round that fails is repeated with
pytest tests/faults/test_faults_campaign.py -m faults -k "a_round[17]".
"""

import os
import random
import signal
import time
from collections import Counter

import pytest
from support.fault_bed import Bed, check_complete, check_no_survivors, check_numbers, check_observer, held, numbers

pytestmark = [pytest.mark.ray, pytest.mark.faults]

N_ROUNDS, KILLS_PER_ROUND = 60, 5
# The share of the actions that wait until the run trains: it starts for seconds, in which it has no workers.
WHILE_TRAINING = 0.7
# A process that is killed again and again before a row is written is no failure of the trial here.
OPTIONS = {"single": ["--max-failures", "50"], "packed": ["--max-failures", "50", "--pack", "3"]}
IN_COMMAND = {"raylet": "raylet/raylet", "gcs": "gcs_server", "agent": "ray::DashboardAgent"}
# What is done, how often, and the exit codes with which the run may end of it.
ACTIONS = {
    "kill driver": (4, {-signal.SIGKILL}),
    "kill worker": (6, set()),
    "kill raylet": (2, {1}),
    "kill gcs": (2, {1}),
    "kill agent": (1, {1}),
    # -SIGTERM, -SIGINT: the signal came before the command could handle it, or after it had ended.
    "ask driver to stop": (2, {130, 143, -signal.SIGTERM, -signal.SIGINT}),
    "stop driver for a while": (1, set()),
    "stop worker for a while": (2, set()),
}
DONE: Counter[str] = Counter()


@pytest.fixture(scope="session")
def rows_of(tmp_path_factory):
    """The rows of each trial of a run that nobody disturbed, one trial or several per process."""
    found = {}

    def make(kind):
        if kind not in found:
            bed = Bed(tmp_path_factory.mktemp(kind))
            try:
                run = bed.start(*OPTIONS[kind])
                assert run.wait() == 0, run.text
            finally:
                bed.end()
            found[kind] = numbers(bed)
        return found[kind]

    return make


@pytest.mark.parametrize("number", range(N_ROUNDS))
def test_a_round(number, rows_of, tmp_path):
    chance = random.Random(number)
    kind = chance.choice(list(OPTIONS))
    reference = rows_of(kind)
    bed = Bed(tmp_path)
    try:
        with bed.observer:
            done = disturb(bed, kind, chance)
            check_complete(bed)
            check_numbers(bed, reference)
            check_observer(bed)
            check_no_survivors(bed)
    finally:
        bed.end()
    DONE.update(done)
    held(f"round of {kind} trials: {', '.join(done)}; so far {sum(DONE.values())} in all")


def disturb(bed, kind, chance):
    """Run, disturb and resume until all trials are complete. Return what was done."""
    done, may_end_with = [], set()
    run = bed.start(*OPTIONS[kind])
    while True:
        pause = chance.uniform(0.2, 5)
        if len(done) < KILLS_PER_ROUND and chance.random() < WHILE_TRAINING:
            wait_until_it_trains(run, bed)
            pause = chance.uniform(0, 2)
        code = wait(run, pause if len(done) < KILLS_PER_ROUND else 240)
        if code == 0:
            return done
        if code is not None:
            assert code in may_end_with, f"exit code {code} after {done}:\n{run.text}"
            assert "Traceback" not in run.text and "failed:" not in run.text, f"after {done}:\n{run.text}"
            run, may_end_with = bed.start(*OPTIONS[kind]), set()
            continue
        assert len(done) < KILLS_PER_ROUND, f"the run did not end within 240 s after {done}:\n{run.text}"
        [name] = chance.choices(list(ACTIONS), [often for often, _ in ACTIONS.values()])
        pid = process_of(name.split()[1], run, bed, chance)
        if pid is not None and act(name.split()[0], pid, chance):
            done.append(name)
            may_end_with |= ACTIONS[name][1]


def wait_until_it_trains(run, bed):
    """Wait until the run has begun an epoch, or has ended."""
    end = time.monotonic() + 120
    while run.process.poll() is None and not any(event["time"] > run.started for event in bed.events()):
        assert time.monotonic() < end, f"the run trained nothing within 120 s:\n{run.text}"
        time.sleep(0.02)


def wait(run, seconds):
    """Return the exit code of a run, or None if it has not ended within some time."""
    end = time.monotonic() + seconds
    while (code := run.process.poll()) is None and time.monotonic() < end:
        time.sleep(0.02)
    return code


def process_of(who, run, bed, chance):
    """Return the id of a process of the run, or None if it has none of this kind now."""
    if who == "driver":
        return run.process.pid
    alive = run.survivors()
    if who == "worker":
        found = sorted({event["pid"] for event in bed.events()} & alive.keys())
    else:
        found = sorted(pid for pid, command in alive.items() if IN_COMMAND[who] in command)
    return chance.choice(found) if found else None


def act(what, pid, chance):
    """Kill, stop or interrupt a process. Return False if it has ended meanwhile."""
    numbers_of = {"kill": [signal.SIGKILL], "ask": [signal.SIGINT, signal.SIGTERM], "stop": [signal.SIGSTOP]}
    try:
        os.kill(pid, chance.choice(numbers_of[what]))
        if what == "stop":
            time.sleep(chance.uniform(0.5, 3))
            os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return False
    return True
