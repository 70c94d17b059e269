"""`run`: train the trials of an experiment: those of its grid, or those that a searcher proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynsparse.experiment import Experiment, load_experiment
from dynsparse.tune.driver import Outcome, run_grid
from dynsparse.tune.options import RunOptions
from dynsparse.tune.search_run import search


def run(
    experiment: Experiment | str | Path,
    storage: str | Path = "results",
    *,
    overrides: Mapping[str, Sequence[Any]] | None = None,
    **options: Any,
) -> Outcome:
    """Train the trials of an experiment. Return when all have ended or the run was stopped (Ctrl-C, SIGTERM).

    Complete trials in the folder do not run again, unfinished trials resume from their last checkpoint, and failed
    trials stay as they are. A trial that fails does not affect the others.

    Args:
        experiment: an experiment, or the path of its file.
        storage: folder or URI (s3://bucket/folder); the trial folders go to storage/name.
        overrides: key to the values that replace the experiment's; several values are an axis.
        **options: other fields of `RunOptions`, such as name, limit, scheduler, searcher or address. They replace the
            experiment's `run_options`.

    Returns:
        The number of complete and unfinished trials, and the failed trials; of a search, also the best settings.

    Raises:
        ConfigError, ExperimentError, DataError: If a check fails, before any trial starts.
        LockedError: If another process runs the experiment.
        LockLostError: If another process took over the experiment while this one was stopped.

    Example:
        >>> import tempfile
        >>> from dynsparse.experiment import Experiment
        >>> from dynsparse.tune import run
        >>> space = {"dataset_name": "digits", "model": "SET", "on_perc": 0.1}
        >>> experiment = Experiment(name="first", question="Does it run?", space=space, epochs=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     outcome = run(experiment, storage=folder, cpus_per_trial=1)
        >>> outcome.n_complete, outcome.failures
        (1, [])
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment)
    run_options = RunOptions.of(experiment, storage=storage, **options)
    if run_options.searcher is None:
        return run_grid(experiment, experiment.configs(overrides), run_options, overrides or ())
    return search(experiment, run_options, overrides).outcome
