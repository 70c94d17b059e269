"""Faults 5 and 6: the driver is killed, or told to stop; the same command goes on."""

import random
import signal
import time
from collections import Counter

import pytest
from support.fault_bed import CHECKPOINT_EPOCHS, N_EPOCHS, N_TRIALS, check_all, check_no_survivors

pytestmark = [pytest.mark.ray, pytest.mark.faults]


@pytest.mark.parametrize("seconds", [0.2, 1, 3, 6, 8, 10, 15])
def test_the_driver_is_killed_after_some_seconds(bed, reference, seconds):
    run = bed.start()
    time.sleep(seconds)
    run.kill()
    run.wait()
    goes_on_and_is_whole(bed, reference)


def test_the_driver_is_killed_during_the_last_trial(bed, reference):
    run = bed.start()
    bed.wait_for(lambda events: len(bed.complete()) == N_TRIALS - 1)
    run.kill()
    run.wait()
    goes_on_and_is_whole(bed, reference)


def test_the_driver_is_killed_again_and_again(bed, reference):
    chance = random.Random(5)
    for _ in range(3):
        n = len(bed.events()) + chance.randrange(8, 20)
        run = bed.start()
        bed.wait_for(lambda events, n=n: len(events) >= n)
        time.sleep(chance.random() * 0.3)
        run.kill()
        run.wait()
    goes_on_and_is_whole(bed, reference, interruptions=3)


def goes_on_and_is_whole(bed, reference, interruptions=1):
    """The same command, at once: what is left of the killed run must not be in its way."""
    done, before = bed.complete(), len(bed.events())
    run = bed.start()
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=interruptions)
    # Between the two, a worker may have gone on for a moment.
    again = {event["trial"] for event in bed.events()[before:] if event["time"] > run.started + 2}
    assert not again & done, "a finished trial runs no further epoch"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_polite_stop(bed, reference, number, code):
    run = bed.start()
    bed.wait_for(lambda events: len(events) >= 35)
    started = time.monotonic()
    run.kill(number)
    assert run.wait(40) == code, run.text
    assert time.monotonic() - started < 30
    check_no_survivors(bed)
    assert f"dynsparse run {bed.file} --storage {bed.storage}" in run.text
    assert "not finished" in run.text and "failed" not in run.text
    assert "Traceback" not in run.text
    rows = sum(map(len, bed.observer.rows.values()))
    assert rows >= 30
    done, before = bed.complete(), len(bed.events())
    run = bed.start()
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=1)
    assert not {event["trial"] for event in bed.events()[before:]} & done
    begun = Counter(event["trial"] for event in bed.events())
    assert sum(begun.values()) <= N_TRIALS * N_EPOCHS + 2 * CHECKPOINT_EPOCHS


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("seconds", [0, 1, 2.5])
def test_a_polite_stop_while_the_run_starts(bed, reference, number, code, seconds):
    run = bed.start()
    end = time.monotonic() + 60
    while "12 trials: 12 to run" not in run.text and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(seconds)
    run.kill(number)
    assert run.wait(30) == code, run.text
    assert "Traceback" not in run.text
    assert f"dynsparse run {bed.file} --storage {bed.storage}" in run.text
    check_no_survivors(bed)
    run = bed.start()
    assert run.wait() == 0, run.text
    check_all(bed, reference, interruptions=1)
