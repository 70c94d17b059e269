"""The study "train": one training."""

from __future__ import annotations

from dynsparse.studies.base import Study, train_steps
from dynsparse.studies.settings import StudySettings


def train(config: StudySettings) -> Study:
    """Train for `epochs` epochs; each gives a row."""
    return Study(train_steps(config.epochs))
