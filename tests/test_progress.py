"""The line that says how far a run is."""

import io
import math

from dynsparse.progress import LOG_INTERVAL_SECONDS, Display, Progress, clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_counts_and_names_the_best():
    progress = Progress(n_trials=4, n_epochs=40, started=100.0)
    assert progress.line(now=100.0) == "0 of 4 trials done, 0 running"
    progress.running = 2
    for value in (0.5, 0.75, math.nan, None, 0.25):
        progress.row("a" if value == 0.5 else "b", value)
    # 5 epochs in 10 s: the other 35 take 70 s.
    assert progress.line(now=110.0) == "0 of 4 trials done, 2 running, best val_acc 0.75 (b), 0:01:10 left"


def test_a_failed_trial_takes_its_epochs_off_the_account():
    progress = Progress(n_trials=2, n_epochs=20, started=0.0)
    for _ in range(4):
        progress.row("a", math.nan)
    progress.end(failed=True, epochs_left=6)
    assert progress.line(now=4.0) == "0 of 2 trials done, 0 running, 1 failed, 0:00:10 left"
    for _ in range(10):
        progress.row("b", math.nan)
    progress.end(failed=False)
    assert progress.line(now=14.0) == "1 of 2 trials done, 0 running, 1 failed"


def test_in_a_terminal_the_line_rewrites_itself():
    progress, stream = Progress(1, 2), Terminal()
    display = Display(progress, stream)
    display.show()
    progress.running = 100
    display.show(last=True)
    progress.running = 1
    display.show(last=True)
    text = stream.getvalue()
    assert text.startswith("\r0 of 1 trials done, 0 running\r0 of 1 trials done, 100 running\n")
    assert text.endswith("\r0 of 1 trials done, 1 running  \n"), "what was longer before is overwritten"


def test_in_a_log_there_is_a_line_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = io.StringIO()
    display = Display(Progress(1, 2, started=0.0), stream)
    for now[0] in range(2 * LOG_INTERVAL_SECONDS):
        display.show()
    assert stream.getvalue() == "0 of 1 trials done, 0 running\n" * 2


def test_clock():
    assert [clock(s) for s in (0, 59.6, 3725)] == ["0:00:00", "0:01:00", "1:02:05"]
