"""The ordinary trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynsparse.studies.base import Study, training

if TYPE_CHECKING:
    from dynsparse.config import Config


def train(config: Config) -> Study:
    """Train once."""
    return Study(training(config.epochs))
