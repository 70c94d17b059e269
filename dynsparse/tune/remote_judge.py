"""The judge of early stopping as an actor of Ray, which the workers of a run ask."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray import cloudpickle

from dynsparse.config import Config
from dynsparse.io.storage import open_folder
from dynsparse.search import Judge, Measurement, SchedulerError, StoppingOptions


class _JudgeActor:
    """A Judge in a process of its own. If the process dies, Ray starts another, which reads the rows again."""

    def __init__(self) -> None:
        # Not an argument: Ray warns that it may be lost when a process is started again.
        self._judge: Judge | None = None

    def judge(self, reports: Mapping[str, Measurement], about: Sequence[Any]) -> dict[str, str]:
        """Return the trials that stop, with the reason."""
        if self._judge is None:
            options, configs, path = ray.get(about[0])
            self._judge = Judge(options, configs, open_folder(path))
        return self._judge.judge(reports)


@contextmanager
def _source_sent_along(scheduler: object) -> Iterator[None]:
    """Pickle a scheduler of the user's own with its class, whose module the actor may not find."""
    module = sys.modules.get(type(scheduler).__module__)
    if module is None or module.__name__.partition(".")[0] in ("builtins", "ray", "__main__"):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


class RemoteJudge:
    """Asks the actor; an object that workers receive.

    Args:
        options: the rule, and what makes a group.
        configs: all trials of the grid.
        path: path or URI of the experiment's folder.
    """

    def __init__(self, options: StoppingOptions, configs: Sequence[Config], path: str) -> None:
        remote: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_JudgeActor)
        with _source_sent_along(options.scheduler):
            # In a list, because Ray would send what a reference itself refers to with every question.
            self._about = [ray.put((options, list(configs), path))]
        self._actor = remote.remote()

    def __call__(self, reports: Mapping[str, Measurement]) -> dict[str, str]:
        """Return the trials that stop, with the reason.

        Raises:
            OSError: If the actor cannot answer. Tune then resumes the pack in another process.
            SchedulerError: If the scheduler cannot decide.
        """
        try:
            return dict(ray.get(self._actor.judge.remote(reports, self._about)))
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError) and isinstance(error.cause, SchedulerError):
                raise SchedulerError(str(error.cause)) from None
            raise OSError(f"The process that decides which trials stop does not answer: {error}") from error
