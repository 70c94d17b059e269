"""Time several functions in turns, so that other load on the machine affects all of them."""

import json
import statistics
import time
from pathlib import Path


def seconds_in_turns(ways, repeats, clock=time.perf_counter):
    """Return the seconds of each function in each round; a first round warms up and is not counted.

    Args:
        ways: the functions by name; they have no arguments.
        repeats: the number of rounds.
        clock: returns the time in seconds.
    """
    seconds = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            started = clock()
            way()
            taken = clock() - started
            if repeat:
                seconds[name].append(taken)
            print(f"{repeat} of {repeats}: {name} {taken:.3f} s", flush=True)
    return seconds


def rows(seconds, base):
    """Return name, median, minimum, maximum, and the ratio of the median to that of `base`."""
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        [name, median[name], min(times), max(times), median[name] / median[base]] for name, times in seconds.items()
    ]


HEADERS = ["one epoch", "median s", "min", "max", "ratio"]


def write(path, figures):
    """Write figures as JSON if a path is given."""
    if path:
        Path(path).write_text(json.dumps(figures, indent=1))
