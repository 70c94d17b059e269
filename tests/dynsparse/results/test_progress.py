"""The line that says how far a run is."""

import io
import math

from dynsparse.results.progress import LOG_INTERVAL_SECONDS, Display, Progress, format_duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_counts_and_names_the_best():
    progress = Progress(n_trials=4, n_epochs=40, started=100.0)
    assert progress.line(now=100.0) == "0 of 4 trials done, 0 running"
    progress.running = 2
    progress.add_epoch("a", 1, 0.5, now=130.0)
    for epoch, value in enumerate((0.75, math.nan, None, 0.25), start=1):
        progress.add_epoch("b", epoch, value, now=130 + 4.0 * epoch)
    # An epoch takes 4 s. The other 35 take 70 s, two at a time. The 30 s of the start are not counted.
    assert progress.line(now=146.0) == "0 of 4 trials done, 2 running, 0:01:10 left, best val_acc 0.75 (b)"


def test_trials_of_a_pack_end_their_epochs_together():
    progress = Progress(n_trials=100, n_epochs=1000, started=0.0, running=50)
    for epoch in (1, 2, 3):
        for trial in range(50):
            progress.add_epoch(str(trial), epoch, 0.5, now=60.0 + 2 * epoch)
    assert progress.seconds_left(now=66.0) == 2 * 17


def test_a_trial_that_diverged_is_never_the_best():
    progress = Progress(n_trials=3, n_epochs=30)
    for trial, value in (("a", 0.5), ("b", 0.9), ("c", 0.7)):
        progress.add_epoch(trial, 1, value)
    assert (progress.best_trial, progress.best) == ("b", 0.9)
    progress.add_epoch("b", 2, 0.95, diverged=True)
    assert (progress.best_trial, progress.best) == ("c", 0.7)
    # A loss that is finite again: the trial counts from here.
    progress.add_epoch("b", 3, 0.6)
    progress.add_epoch("c", 2, None, diverged=True)
    assert (progress.best_trial, progress.best) == ("b", 0.6)
    for trial in "ab":
        progress.add_epoch(trial, 4, 0.1, diverged=True)
    assert progress.status(running=True)["best"] is None and "best" not in progress.line()


def test_the_best_of_earlier_rounds_stays():
    bests = {}
    for value, best in ((0.9, 0.9), (0.5, 0.9), (0.95, 0.95)):
        progress = Progress(n_trials=1, n_epochs=1, bests=bests)
        progress.add_epoch(f"trial_{value}", 1, value)
        assert progress.status(running=True)["best"] == best
        assert f"best val_acc {best} (trial_{best})" in progress.line()


def test_of_equal_trials_the_best_is_the_one_that_was_first():
    progress = Progress(n_trials=2, n_epochs=4)
    for trial, epoch, value in (("a", 1, 0.5), ("b", 1, 0.9), ("a", 2, 0.9)):
        progress.add_epoch(trial, epoch, value)
    assert (progress.best_trial, progress.best) == ("b", 0.9)


def test_epochs_that_are_not_run_here_are_off_the_account():
    progress = Progress(n_trials=3, n_epochs=30, started=0.0)
    for epoch in (1, 2, 3, 4):
        progress.add_epoch("fails", epoch, math.nan)
    progress.end_trial("fails", 10, failed=True)
    assert progress.line(now=4.0) == "0 of 3 trials done, 0 running, 1 failed, 0:00:20 left"
    for epoch in (6, 7, 8, 9, 10):
        progress.add_epoch("continued", epoch, math.nan)
    progress.end_trial("continued", 10, failed=False)
    assert progress.line(now=9.0) == "1 of 3 trials done, 0 running, 1 failed, 0:00:10 left"


def test_an_epoch_that_is_run_again_is_counted_once():
    progress = Progress(n_trials=1, n_epochs=4, started=0.0)
    for epoch in (1, 2, 3, 2, 3):
        progress.add_epoch("a", epoch, math.nan)
    assert progress.seconds_left(now=6.0) == 2.0


def test_the_first_epochs_tell_no_pace():
    progress = Progress(n_trials=100, n_epochs=1000, started=0.0)
    for number in range(19):
        progress.add_epoch(str(number), 1, math.nan)
    assert progress.seconds_left(now=30.0) is None
    progress.add_epoch("last", 1, math.nan)
    assert progress.seconds_left(now=40.0) == 2 * 980


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
    assert [format_duration(s) for s in (0, 59.6, 3725)] == ["0:00:00", "0:01:00", "1:02:05"]


def test_an_epoch_that_is_reported_again_does_not_change_the_pace():
    progress = Progress(n_trials=1, n_epochs=10, started=0.0, running=1)
    for epoch, now in ((1, 0.0), (2, 4.0), (2, 50.0), (3, 54.0)):
        progress.add_epoch("a", epoch, 0.5, now=now)
    assert progress.seconds_left(now=54.0) == 4 * 7
