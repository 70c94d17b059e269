"""The run that `submit` and `cluster-file` send elsewhere: an experiment file with the options of `run`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dynsparse.cli import trials
from dynsparse.cli.parsing import Grouped, Refusal, Setting, expand, given_options, read_experiment

if TYPE_CHECKING:
    from dynsparse.config import Config
    from dynsparse.experiment import Experiment
    from dynsparse.tune import RunOptions

# The options of `run`, without those that are different on a cluster.
NOT_ON_A_CLUSTER = ("file", "settings", "storage", "address", "in_process")
OF_THE_GRID = ("num_samples", "yes")  # options of `run` that decide which trials there are
run_options = [each for each in trials.run.params if each.name not in NOT_ON_A_CLUSTER]
arguments: list[click.Parameter] = [
    click.Argument(["file"], type=click.Path()),
    click.Option(["--set", "settings"], multiple=True, metavar=Setting.name, help="As for run."),
    click.Option(["--storage"], required=True, help="Folder that all nodes share, or a URL such as s3://bucket/x."),
    click.Option(["--shared"], is_flag=True, help="Accept any folder as storage: all nodes share it."),
]


class RunElsewhere(Grouped):
    """A command with the arguments of `run`, for a run on other machines."""

    def __init__(self, name: str | None, **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.params = [*arguments, *self.params, *run_options]
        self.groups = {"As for run": run_options}


@dataclass(frozen=True)
class RequestedRun:
    """An experiment, its trials, the options of `run`, and the words of the command line after FILE and --storage."""

    experiment: Experiment
    configs: list[Config]
    options: RunOptions
    words: list[str]

    @property
    def name(self) -> str:
        """Name of the experiment's folder."""
        return self.experiment.name if self.options.name is None else self.options.name

    @property
    def data_files(self) -> list[str]:
        """The files of own data in the folder of the experiment file, relative to it."""
        from dynsparse.data.own import files_in

        return files_in(Path(self.experiment.folder or "."), self.configs)


def requested_run(context: click.Context) -> RequestedRun:
    """Read the run that a command line asks for.

    Raises:
        Refusal: if `run` would refuse it, or the nodes would not find its data.
    """
    parameters = context.params
    # The experiment file may print. Keep that out of a cluster file on stdout.
    with redirect_stdout(sys.stderr):
        settings = [Setting().convert(text, None, None) for text in parameters["settings"]]
        experiment = read_experiment(parameters["file"], settings, parameters["num_samples"])
        with refusing():
            from dynsparse.tune import RunOptions, pbt_rounds, search_run

            names = [str(each.name) for each in run_options if each.name not in OF_THE_GRID]
            typed = given_options(context, {name: parameters[name] for name in names})
            options = RunOptions.of(experiment, storage=parameters["storage"], **typed)
            if options.in_process or options.address:
                raise Refusal(
                    "run_options of the experiment must not give in_process or address for a run on other machines: it "
                    f"uses the Ray of those machines. Got in_process={options.in_process}, "
                    f"address={options.address!r}. Take them out of the file."
                )
            if options.searcher is None:
                configs = expand(experiment, settings, yes=parameters["yes"], limit=options.limit)
                if options.scheduler == "pbt":
                    # Raises an error if the run would refuse the options or the trials.
                    pbt_rounds.PbtRounds(experiment, configs, options, dict(settings))
            else:
                search_run.check_search(experiment, options, dict(settings))
                configs = search_run.example_trials(experiment, dict(settings))
    for config in configs:
        if config.data_dir and "://" not in config.data_dir and not Path(config.data_dir).is_absolute():
            raise Refusal(f"data_dir must be an absolute path or a URL on a cluster, got {config.data_dir!r}.")
    if options.mlflow and not _is_absolute(options.mlflow):
        raise Refusal(
            "--mlflow must be the URL of a server on a cluster, or a database with an absolute path such as "
            f"sqlite:////shared/mlflow.db, got {options.mlflow!r}."
        )
    words = [word for text in parameters["settings"] for word in ("--set", text)]
    words += [word for option in run_options for word in typed_words(context, option)]
    return RequestedRun(experiment, configs, options, words)


def _is_absolute(uri: str) -> bool:
    """Return True for a URI that does not depend on the current folder."""
    scheme, _, place = uri.partition("://")
    # After sqlite:// comes an empty host, and so an absolute path begins with two slashes.
    return place.startswith("//") if scheme == "sqlite" else bool(place) or Path(uri).is_absolute()


def typed_words(context: click.Context, option: click.Parameter) -> list[str]:
    """Return the words with which an option was typed, none if it was not."""
    if context.get_parameter_source(str(option.name)) is not ParameterSource.COMMANDLINE:
        return []
    value = context.params[str(option.name)]
    if isinstance(option, click.Option) and option.is_flag:
        return [option.opts[0] if value else option.secondary_opts[0]]
    return [word for each in (value if isinstance(value, tuple) else [value]) for word in (option.opts[0], str(each))]


@contextmanager
def refusing() -> Iterator[None]:
    """Turn errors of a cluster or of the user's input into a message without a traceback.

    Raises:
        Refusal: in place of an ImportError, OSError or ValueError.
    """
    try:
        yield
    except ImportError as error:
        raise Refusal(f"{error.name} is not installed. Install it: pip install 'dynsparse[cluster]'.") from error
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error
