"""Signals during a run."""

import os
import signal
import time

import pytest

from dynsparse.tune.interrupts import Interrupts


def test_the_first_signal_ends_a_step_that_has_written_nothing_and_is_remembered():
    interrupts = Interrupts()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupts, interrupts.ending_at_once():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    assert time.monotonic() - started < 5 and interrupts.received() == signal.SIGINT
