"""`ReportedTrial`: a trial as callbacks of Tune know it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial

from dynsparse.config import Config
from dynsparse.io.storage import Folder
from dynsparse.results.trial_folder import TrialFolder, folder_name, identity
from dynsparse.tune.param_space import experiment_tag

ERROR_FILE = "error.txt"


class ReportedTrial(Trial):
    """A trial as callbacks of Tune know it. Tune itself knows packs only, so this one has no actor and no storage.

    Args:
        config: the trial.
        axis_names: the keys in which the trials of the run differ. Their values are `evaluated_params`.
        folder: the experiment's folder.
        files: folder on this machine where callbacks may write into a folder of the trial.
    """

    def __init__(self, config: Config, axis_names: Collection[str], folder: Folder, files: Path) -> None:
        name = folder_name(config)
        super().__init__(
            "SparseTrial",
            config=config.values(),
            trial_id=identity(config),
            evaluated_params={key: getattr(config, key) for key in axis_names},
            experiment_tag=experiment_tag(config, axis_names) or name,
            trial_name_creator=lambda trial: name,
            # Tune would look for the class of the trial, and for its resources.
            stub=True,
            _setup_default_resource=False,
        )
        self.relative_logdir = name  # type: ignore[assignment]  # None at first
        self._folder, self._files = folder, files
        self._error: str | None = None
        self.n_rows = 0  # rows that callbacks have seen

    @property
    def experiment_dir_name(self) -> str:
        """Name of the experiment's folder."""
        # The options of a URI follow "?".
        return self._folder.path.partition("?")[0].rpartition("/")[2]

    @property
    def remote_experiment_path(self) -> str:
        """Path or URI of the experiment's folder."""
        return self._folder.path

    @property
    def local_experiment_path(self) -> str:
        """Folder on this machine that holds those of the trials."""
        return str(self._files)

    @property
    def path(self) -> str:
        """Path or URI of the trial's folder."""
        return self._folder.sub(str(self.relative_logdir)).path

    @property
    def local_path(self) -> str:
        """The trial's folder on this machine."""
        return str(self._files / str(self.relative_logdir))

    def init_local_path(self) -> None:
        """Create the trial's folder on this machine."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    @property
    def has_ended(self) -> bool:
        """True if the trial is complete, or has failed."""
        return self.status in (Trial.TERMINATED, Trial.ERROR)

    def written_rows(self) -> list[dict[str, Any]]:
        """Return the rows in the trial's folder. Raises: OSError."""
        return TrialFolder(self._folder.sub(str(self.relative_logdir))).rows()

    def mark(self, status: str) -> None:
        """Set the status: RUNNING, PAUSED, TERMINATED or ERROR."""
        self.set_status(status)  # type: ignore[no-untyped-call]

    def add_row(self, row: dict[str, Any]) -> None:
        """Note the newest row."""
        # `update_last_result` would also update statistics of each metric, which take a millisecond.
        self.run_metadata.last_result = row

    def fail(self, text: str) -> None:
        """Note the error with which the trial failed."""
        self.mark(Trial.ERROR)
        self._error = text
        # The trial's process, or RecordFailures, has written it. The files of a remote storage are not on this machine.
        if Path(self.local_path, ERROR_FILE).exists():
            self.run_metadata.error_filename = ERROR_FILE  # type: ignore[assignment]  # None at first

    def get_error(self) -> str | None:  # type: ignore[override]  # Ray's own returns a text, too
        """Return the text of the error with which the trial failed; None if it has not failed."""
        return self._error
