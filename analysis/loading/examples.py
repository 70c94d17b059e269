"""Packaged results of small real runs, so that everything can be tried without training."""

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from analysis.frame.suggest import unknown
from analysis.loading.load import load, load_history

# Each file holds the trial folders of one experiment; docs/make_examples.py makes them.
FOLDER = Path(__file__).parents[1] / "examples"


@contextlib.contextmanager
def example_folder(name: str) -> Iterator[Path]:
    """Unpack a packaged example into an experiment folder, which is deleted at the end of the context.

    Args:
        name: an example of `load_example`.

    Yields:
        The path of the folder. It is called like the example.

    Raises:
        ValueError: if there is no such example.

    Example:
        >>> from analysis import example_folder, load
        >>> with example_folder("sweep") as folder:
        ...     df = load(folder)
        >>> len(df)
        5
    """
    names = sorted(path.stem for path in FOLDER.glob("*.zip"))
    if name not in names:
        raise ValueError(unknown("example", name, names))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, name)
        with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
            archive.extractall(folder)
        yield folder


def load_example(name: str, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Return what `load` gives for a packaged example; `experiment_file_name` is the name of the example.

    All examples are small networks on scikit-learn's digits:
    - `quickstart`: three methods at three densities, 3 seeds; 27 trials of 8 epochs.
    - `sweep`: weights and units pruned after training to six sparsities, 5 seeds; 5 trials.
    - `tickets`: lottery tickets with their first weights and with new ones, to three sparsities, in 1 and 3 rounds,
      3 seeds; 36 trials.
    - `time_limit`: three sizes of network at two densities, 2 seeds, with 10 seconds for each trial: 12 trials, of
      which 4 failed.

    Args:
        name: one of the names above.
        metrics: as in `load`.

    Raises:
        ValueError: if there is no such example, or no trial logged one of `metrics`.

    Example:
        >>> from analysis import load_example
        >>> df = load_example("quickstart")
        >>> df[["model", "on_perc", "seed", "val_acc_max", "status"]].head(3)
          model  on_perc  seed  val_acc_max    status
        0  RigL     0.02     0     0.576389  complete
        1  RigL     0.02     1     0.638889  complete
        2  RigL     0.02     2     0.826389  complete
    """
    with example_folder(name) as folder:
        return load(folder, metrics).assign(experiment_file_name=name)


def load_example_history(name: str, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Return what `load_history` gives for a packaged example.

    Args:
        name: an example of `load_example`.
        metrics: as in `load_history`.

    Raises:
        ValueError: if there is no such example, or no trial logged one of `metrics`.

    Example:
        >>> from analysis import load_example_history
        >>> history = load_example_history("quickstart")
        >>> history[["trial_id", "epoch", "val_acc", "model", "on_perc", "seed"]].head(3)
               trial_id  epoch   val_acc model  on_perc  seed
        0  880afb25a320      1  0.208333  RigL     0.02     0
        1  880afb25a320      2  0.277778  RigL     0.02     0
        2  880afb25a320      3  0.347222  RigL     0.02     0
    """
    with example_folder(name) as folder:
        return load_history(folder, metrics)
