"""Run the experiments behind the pages of results, save their trials, and draw their pictures.

    python docs/results/reproduce.py             # all pages: many hours
    python docs/results/reproduce.py baselines   # one page

It can be interrupted: the same command continues. The pictures need the extra `test` and a Chromium.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# `trials` and the pages, `make_pictures`, and the packages of the checkout.
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT)]

import baselines  # noqa: E402
import published  # noqa: E402
import tickets  # noqa: E402
import weight_vs_unit  # noqa: E402
from trials import save_trials  # noqa: E402

PAGES: dict[str, ModuleType] = {
    "baselines": baselines,
    "published": published,
    "weight_vs_unit": weight_vs_unit,
    "tickets": tickets,
}


def reproduce(page: ModuleType) -> None:
    """Run the experiments of a page, save their trials, and draw the pictures."""
    for name, run in page.RUNS.items():
        command = [sys.executable, "-m", "dynsparse.cli", "run", f"experiments/{run.experiment}.py", "--name", name]
        subprocess.run([*command, *run.options], cwd=ROOT, check=True)
        save_trials(ROOT / "results" / name, run.rows)
    if hasattr(page, "PICTURES"):
        # Playwright is needed for pictures only.
        from make_pictures import save_figures

        save_figures({name: figure(ROOT / "results") for name, figure in page.PICTURES.items()})


def main() -> None:
    """Reproduce the pages that the command line names, or all."""
    names = sys.argv[1:] or list(PAGES)
    unknown = [name for name in names if name not in PAGES]
    if unknown:
        sys.exit(f"Unknown page {unknown[0]!r}. Available: {', '.join(PAGES)}.")
    for name in names:
        reproduce(PAGES[name])


if __name__ == "__main__":
    main()
