"""Fuzz everything that reads files or words of anybody:  python tests/fuzz.py --minutes 10

Each round calls each target of `support.fuzz_targets` with new inputs. A target that fails is not called again; its
inputs are reduced and printed with the seed of the round, and the exit code is 1. `--seed` repeats a round.
"""

import argparse
import random
import time
import traceback
from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from support.fuzz_targets import TARGETS

EXAMPLES_IN_A_ROUND = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="call each target once, with the inputs of this seed")
    parser.add_argument("--only", default="", metavar="TEXT", help="targets with this text in their names")
    arguments = parser.parse_args()
    options = settings(
        max_examples=EXAMPLES_IN_A_ROUND,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        # The known inputs are those of the tests.
        phases=[Phase.generate, Phase.shrink],
    )
    left = [name for name in TARGETS if arguments.only in name]
    n_failed, n_inputs, seconds = 0, Counter[str](), Counter[str]()
    end = time.monotonic() + 60 * arguments.minutes
    while left and time.monotonic() < end:
        number = random.randrange(2**32) if arguments.seed is None else arguments.seed
        for name in list(left):
            started = time.monotonic()
            try:
                TARGETS[name].run(options, number)
            except Exception:
                traceback.print_exc()
                print(f"{name} has failed: --only {name} --seed {number}", flush=True)
                left.remove(name)
                n_failed += 1
            n_inputs[name] += EXAMPLES_IN_A_ROUND
            seconds[name] += round(time.monotonic() - started)
        if arguments.seed is not None:
            break
    for name, n in n_inputs.items():
        print(f"{name}: {n} inputs in {seconds[name]} s")
    return 1 if n_failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
