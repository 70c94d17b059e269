"""Several ways of doing one thing, timed in turns, so that whatever else the machine does meets all of them."""

import json
import statistics
import time
from pathlib import Path


def seconds_in_turns(ways, repeats):
    """Seconds of each way, `repeats` times; a first round warms up and is not counted.

    Args:
        ways: name to a function without arguments.
    """
    seconds = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            taken = time.perf_counter() - started
            if repeat:
                seconds[name].append(taken)
            print(f"{repeat} of {repeats}: {name} {taken:.3f} s", flush=True)
    return seconds


def rows(seconds, base):
    """Name, median, least, most, and how many times the median of `base` the median is."""
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        [name, median[name], min(times), max(times), median[name] / median[base]] for name, times in seconds.items()
    ]


HEADERS = ["one epoch", "median s", "min", "max", "ratio"]


def write(path, figures):
    """Figures as JSON, if a file is named."""
    if path:
        Path(path).write_text(json.dumps(figures, indent=1))
