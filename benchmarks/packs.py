"""Check and time packs of trials on one GPU; on a CPU, the same with smaller sizes.

1. The limits of the machine are measured.
2. The results of packs are checked against single trials. The packed engine is compared with the torch engine, a step
   recorded as a CUDA graph with the same step run directly, and a trial with itself at another place of a pack. If a
   check fails, nothing is timed.
3. Timed are a training step at each width, the phases of a step and of an epoch, the whole grid of 2019 against its
   trials one at a time, and a step in tf32.

The script ends within --seconds, and writes the results after each part. It needs neither Ray nor torchvision.

    PYTHONPATH=. python benchmarks/packs.py --json benchmarks/packs.json
    PYTHONPATH=. python benchmarks/packs.py --json benchmarks/packs_whole.json --parts grid --whole
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch
from packs_checks import AT_PLACES, all_checks
from packs_grid import BATCH, DATA, SIZES, measure_grid, register_data, summary
from packs_machine import Rates, about, measured
from packs_steps import WIDTH_TITLES, is_no_slower, measure_epoch, measure_step, measure_width, width_line
from turns import write

from dynsparse.data import load_dataset
from dynsparse.planning.packs import WIDTHS

# The defaults on a GPU and on a CPU.
USUAL: dict[str, dict[str, Any]] = {
    "cuda": {"widths": [2**i for i in range(10)], "width": 432, "steps": 50, "images": 60_000, "trials": 432},
    "cpu": {"widths": [1, 8, 32], "width": 32, "steps": 5, "images": 1280, "trials": 8},
}
# Approximate seconds of each part on a GPU: it is skipped if less time is left.
TAKES = {"check": 30, "widths": 30, "phases": 30, "grid": 60, "tf32": 10}


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--seconds", type=float, default=420, help="within which it ends, whatever is left to do")
    parser.add_argument(
        "--parts", nargs="+", choices=TAKES, default=list(TAKES), help="what is done; all, if not given"
    )
    parser.add_argument("--widths", nargs="+", type=int, choices=WIDTHS, metavar="N", help="of the steps")
    parser.add_argument("--width", type=int, choices=WIDTHS, metavar="N", help="of the phases and the step in tf32")
    parser.add_argument("--steps", type=int, help="in a row, at each width")
    parser.add_argument("--calls", type=int, default=5, help="of each phase, in a row")
    parser.add_argument("--repeats", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--images", type=int, help="to train on; a sixth as many to test")
    parser.add_argument("--trials", type=int, help="of the grid")
    parser.add_argument("--pack", type=int, default=WIDTHS[-1], help="trials of the grid in a pack, at most")
    parser.add_argument("--epochs", type=int, default=3, help="of each pack of the grid, after one that warms up")
    parser.add_argument("--whole", action="store_true", help="all epochs of the grid")
    parser.add_argument("--singles", type=int, default=4, help="trials one at a time")
    parser.add_argument("--single-epochs", type=int, default=1, help="of each of them")
    parser.add_argument("--storage", help="where results are written; the system's temporary folder if not given")
    known, _ = parser.parse_known_args()
    parser.set_defaults(**USUAL[torch.device(known.device).type])
    return parser.parse_args()


class Bench:
    """One run of the script: its remaining time, and its results so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.device = options, torch.device(options.device)
        self.began = time.monotonic()
        self.found: dict[str, Any] = {"options": vars(options), "complete": False}
        self.has_failed = False

    def left(self) -> float:
        """Return the remaining seconds, without a few that are needed to finish."""
        return self.options.seconds - 5 - (time.monotonic() - self.began)

    def do(self, part: str, title: str, action: Callable[[], Any]) -> None:
        """Run a part and write its results. If it raises, print the error and go on with the other parts."""
        if part not in self.options.parts:
            return
        if self.left() < TAKES[part]:
            print(f"\n{title}: skipped, {max(self.left(), 0):.0f} s are left and it takes about {TAKES[part]}")
            self.found[part] = {"skipped": f"{self.left():.0f} s left"}
        else:
            print(f"\n{title}", flush=True)
            try:
                self.found[part] = action()
            except Exception as error:
                # GPU time is scarce: an error in one part must not lose the results of the others.
                self.has_failed = True
                traceback.print_exc()
                self.found[part] = {"error": f"{type(error).__name__}: {error}"}
        self.write()

    def write(self) -> None:
        write(self.options.json, {**self.found, "seconds": time.monotonic() - self.began})


def machine(bench: Bench) -> Rates:
    options, device = bench.options, bench.device
    what = about(device)
    print(", ".join(f"{name} {value}" for name, value in what.items()))
    data = register_data(options.images)
    print(f"data: {data}")
    rates = measured(SIZES, options.width, BATCH, device, options.repeats)
    print(f"copying reads and writes {rates.bandwidth / 1e9:.0f} GB/s")
    for shape, each in (("first layer as one", rates.first), (f"{SIZES[1]} x {SIZES[2]} in a batch", rates.others)):
        said = ", ".join(f"{speed / 1e12:.3g} TFLOP/s in {precision}" for precision, speed in each.items())
        print(f"products of {options.width} trials, {shape}: {said}")
    bench.found |= {"machine": what, "data": data, "rates": rates._asdict()}
    bench.write()
    return rates


def widths(bench: Bench, rates: Rates) -> list[dict[str, Any]]:
    print(WIDTH_TITLES)
    found: list[dict[str, Any]] = []
    for width in bench.options.widths:
        started = time.monotonic()
        found.append(measure_width(width, bench.device, rates, bench.options))
        alone = found[0]["milliseconds_per_trial"] if found[0]["width"] == 1 else None
        print(width_line(found[-1], alone), flush=True)
        taken = time.monotonic() - started
        if width != bench.options.widths[-1] and bench.left() < 4 * taken:
            print(f"wider packs: skipped, {bench.left():.0f} s are left and this one took {taken:.0f}")
            break
    if bench.device.type == "cpu" and len(found) > 1 and found[0]["width"] == 1:
        print(is_no_slower(found))
    return found


def phases(bench: Bench, rates: Rates) -> dict[str, Any]:
    width = bench.options.width
    step = measure_step(width, bench.device, rates, bench.options)
    total = {name: sum(each[name] for each in step.values()) for name in ("milliseconds", "least")}
    print(f"{'of a step':<42} {'ms':>9} {'limit ms':>9} {'share':>6}")
    for phase, each in {**step, "all, each by itself": total}.items():
        share = each["least"] / each["milliseconds"]
        print(f"{phase:<42} {each['milliseconds']:>9.3f} {each['least']:>9.3f} {share:>6.0%}")
    whole = measure_width(width, bench.device, rates, bench.options)
    taken, least = whole["milliseconds"], whole["least_milliseconds"]
    print(f"{'a step as it is trained':<42} {taken:>9.3f} {least:>9.3f} {least / taken:>6.0%}")
    epoch = measure_epoch(width, bench.device, bench.options)
    n_steps = -(-len(load_dataset(DATA).train_y) // BATCH)
    print(f"{'of an epoch':<42} {'ms':>9}\n{f'{n_steps} steps':<42} {n_steps * whole['milliseconds']:>9.1f}")
    for what, taken in epoch.items():
        print(f"{what:<42} {taken:>9.1f}")
    return {"width": width, "step": step, "whole_step": whole, "epoch": epoch}


def grid(bench: Bench) -> dict[str, Any]:
    found = measure_grid(bench.options, bench.left())
    print("\n".join(summary(found)))
    return found


def tf32(bench: Bench, rates: Rates) -> dict[str, Any]:
    if bench.device.type == "cpu":
        print("a CPU has no tf32")
        return {"skipped": "a CPU has no tf32"}
    found = measure_width(bench.options.width, bench.device, rates, bench.options, precision="tf32")
    print(f"{WIDTH_TITLES}\n{width_line(found, None)}")
    return found


def stop_if_wrong(bench: Bench) -> None:
    found = bench.found.get("check", {})
    # A library may split the product of all trials so that a sum depends on the place. It is reported, and no failure.
    wrong = [n for n, each in found.items() if isinstance(each, dict) and not each["is_right"] and n != AT_PLACES]
    if wrong or "error" in found:
        what = ", ".join(wrong) or found["error"]
        sys.exit(f"\nthe check failed: {what}; so nothing is timed. --parts takes parts without it")


def main() -> None:
    options = read_options()
    bench = Bench(options)
    # The results so far are on the disk, whatever hangs.
    faulthandler.dump_traceback_later(options.seconds, exit=True)
    # Small networks gain nothing from a second thread; and threads split a sum by its size, so a pack would differ.
    torch.set_num_threads(1)
    if bench.device.index is not None:
        torch.cuda.set_device(bench.device)
    bench.write()
    rates = machine(bench)
    bench.do("check", "Packs give what single trials give", lambda: all_checks(options.device))
    stop_if_wrong(bench)
    bench.do("widths", "A training step by the width of the pack", lambda: widths(bench, rates))
    bench.do("phases", f"Where the time goes at width {options.width}", lambda: phases(bench, rates))
    bench.do("grid", "The grid of 2019 in packs", lambda: grid(bench))
    bench.do("tf32", f"A training step at width {options.width} in tf32", lambda: tf32(bench, rates))
    bench.found["complete"] = not bench.has_failed
    bench.write()
    print(f"\n{time.monotonic() - bench.began:.0f} s" + ("; a part has failed, see above" if bench.has_failed else ""))
    sys.exit(bench.has_failed)


if __name__ == "__main__":
    main()
