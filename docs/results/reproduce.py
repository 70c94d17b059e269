"""Run the experiments behind the pages of results, save their trials, and draw their pictures.

    python docs/results/reproduce.py             # all pages: many hours
    python docs/results/reproduce.py baselines   # one page

It can be interrupted: the same command continues. The pictures need the extra `test` and a Chromium.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# `trials` and the pages, `make_pictures`, and the packages of the checkout.
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT)]

import baselines  # noqa: E402
import mlp_heb  # noqa: E402
import published  # noqa: E402
import tickets  # noqa: E402
import weight_vs_unit  # noqa: E402
from trials import TrialsError, save_trials  # noqa: E402

PAGES: dict[str, ModuleType] = {
    "baselines": baselines,
    "published": published,
    "weight_vs_unit": weight_vs_unit,
    "tickets": tickets,
    "mlp_heb": mlp_heb,
}


def reproduce(page: ModuleType) -> None:
    """Run the experiments of a page, save their trials, and draw the pictures.

    Raises:
        TrialsError: If trials are not complete after a run, or its folder holds other trials.
    """
    if hasattr(page, "PICTURES"):
        # Playwright is needed for pictures only. If it or Chromium is missing, fail before the runs, which take hours.
        from make_pictures import browser_page, save_figures

        with browser_page():
            pass
    for name, run in page.RUNS.items():
        command = [sys.executable, "-m", "dynsparse.cli", "run", *run.command(), "--name", name]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        # 1: some trials failed or are not complete, which `save_trials` judges.
        if code not in (0, 1):
            sys.exit(code)
        save_trials(ROOT / "results" / name, run, run.configs())
    if hasattr(page, "PICTURES"):
        save_figures({name: figure(ROOT / "results") for name, figure in page.PICTURES.items()})


def main() -> None:
    """Reproduce the pages that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", help=f"any of {', '.join(PAGES)}; none: all")
    names = parser.parse_args().pages or list(PAGES)
    unknown = [name for name in names if name not in PAGES]
    if unknown:
        sys.exit(f"Unknown page {unknown[0]!r}. Available: {', '.join(PAGES)}.")
    for name in names:
        try:
            reproduce(PAGES[name])
        except TrialsError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            sys.exit(f"Stopped. To continue, rerun: python docs/results/reproduce.py {' '.join(names)}")


if __name__ == "__main__":
    main()
