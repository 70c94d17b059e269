"""Grid searches over dynamically sparse networks on Ray Tune.

`Experiment` declares a grid, `run` trains it, and `load`, from the package `analysis`, reads it back. Each is imported
when it is first used, because Ray and torch take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis import load
    from dynsparse.config import Config
    from dynsparse.experiment import Experiment
    from dynsparse.tune import run

__all__ = ["Config", "Experiment", "__version__", "load", "run"]
__version__ = "0.2.0.dev0"

MODULES = {
    "Config": "dynsparse.config",
    "Experiment": "dynsparse.experiment",
    "load": "analysis",
    "run": "dynsparse.tune",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in MODULES:
        raise AttributeError(f"module 'dynsparse' has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *MODULES})
