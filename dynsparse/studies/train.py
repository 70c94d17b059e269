"""The ordinary trial."""

from __future__ import annotations

from dynsparse.studies.base import Study, training
from dynsparse.studies.settings import StudySettings


def train(config: StudySettings) -> Study:
    """Train once."""
    return Study(training(config.epochs))
