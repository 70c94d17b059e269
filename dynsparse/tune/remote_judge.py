"""The judge of early stopping as an actor of Ray, which the workers of a run ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.search import Judge, Measurement, StoppingOptions


class _JudgeActor:
    """A Judge in a process of its own. If the process dies, Ray starts another, which reads the rows again."""

    def __init__(self, options: StoppingOptions, configs: Sequence[Config], path: str) -> None:
        self._judge = Judge(options, configs, open_folder(path))

    def judge(self, reports: Mapping[str, Measurement]) -> dict[str, str]:
        """Return the trials that stop, with the reason."""
        return self._judge.judge(reports)


class RemoteJudge:
    """Asks the actor; an object that workers receive.

    Args:
        options: the rule, and what makes a group.
        configs: all trials of the grid.
        path: path or URI of the experiment's folder.
    """

    def __init__(self, options: StoppingOptions, configs: Sequence[Config], path: str) -> None:
        remote: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_JudgeActor)
        self._actor = remote.remote(options, list(configs), path)

    def __call__(self, reports: Mapping[str, Measurement]) -> dict[str, str]:
        """Return the trials that stop, with the reason.

        Raises: OSError if the actor cannot answer. Tune then resumes the pack in another process.
        """
        try:
            return dict(ray.get(self._actor.judge.remote(reports)))
        except ray.exceptions.RayError as error:
            raise OSError(f"The process that decides which trials stop does not answer: {error}") from error
