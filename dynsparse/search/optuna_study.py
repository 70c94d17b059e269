"""Optuna's sampler proposes settings, and learns what they have reached."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynsparse.experiment import ExperimentError
from dynsparse.sampling import distribution_of, round_value, with_values
from dynsparse.search.objectives import direction

JOURNAL = "optuna_journal.log"
# The attribute of the study with the names of what it has been told.
OBJECTIVES = "objectives"
# The attribute of a proposal with the options of tune.choice that it has, as texts. Its parameters are their places.
OPTIONS = "options"


class OptunaStudy:
    """A study in a journal, a file that Optuna's tools read too.

    Each proposal follows from the search seed, its number, and what earlier ones have reached. So a search that was
    killed goes on as it would have gone on: the journal keeps the proposals whose result is not known yet.

    Args:
        space: key to value, with domains of Ray Tune.
        objectives: what the proposals are told, such as val_acc_max.
        search_seed: other seeds give other proposals.
        folder: the experiment's folder.

    Raises: ExperimentError if Optuna is not installed, or the journal is that of other objectives.
    """

    def __init__(self, space: Mapping[str, Any], objectives: Sequence[str], search_seed: int, folder: Path) -> None:
        try:
            # Only searches need it.
            import optuna
            from optuna.storages.journal import JournalFileBackend
        except ImportError as error:
            raise ExperimentError(
                f"searcher='optuna' needs the package optuna, which cannot be imported ({error}). Install it: pip "
                "install 'dynsparse[search]'."
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self.space, self._seed = optuna, space, search_seed
        self._objectives, directions = list(objectives), [direction(each) for each in objectives]
        folder.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
        self._study = optuna.create_study(
            storage=storage, study_name="search", directions=directions, load_if_exists=True
        )
        found = [each.name.lower() for each in self._study.directions]
        told = self._study.user_attrs.get(OBJECTIVES, self._objectives)
        if told != self._objectives or found != directions:
            of_folder, given = (told, self._objectives) if told != self._objectives else (found, directions)
            raise ExperimentError(
                f"The objectives must be those of the search in {folder} ({', '.join(of_folder)}), got "
                f"{', '.join(given)}. Give the same objectives, or another --name."
            )
        for each in self._study.trials:
            if not each.state.is_finished() and self._spaces_of([each]) == {}:
                # The process was killed between the values of a proposal.
                self._study.tell(each.number, state=optuna.trial.TrialState.FAIL)

    def settings(self) -> dict[int, dict[str, Any]]:
        """Return the space of each proposal by its number, with values in place of domains."""
        return self._spaces_of(self._study.trials)

    def _spaces_of(self, trials: Sequence[Any]) -> dict[int, dict[str, Any]]:
        spaces = {}
        for each in trials:
            stored = _StoredValues(each.params, each.user_attrs.get(OPTIONS, {}))
            space = with_values(self.space, stored.draw)
            if not stored.missing:
                spaces[each.number] = space
            elif each.state.name in ("COMPLETE", "PRUNED"):
                raise ExperimentError(
                    f"The search in the folder has no value of {stored.missing[0]}: the space has changed since. Give "
                    "another --name."
                )
        return spaces

    def waiting(self) -> list[int]:
        """Return the numbers of the proposals whose result is not known yet, from 0."""
        return [each.number for each in self._study.trials if not each.state.is_finished()]

    def propose(self) -> None:
        """Add a proposal."""
        number = len(self._study.trials)
        digest = hashlib.sha256(f"{self._seed}/{number}".encode()).digest()
        # A sampler for each proposal, so that a resumed search draws what it would have drawn.
        self._study.sampler = self._optuna.samplers.TPESampler(seed=int.from_bytes(digest[:4]), constant_liar=True)
        trial = self._study.ask()
        suggested = _SuggestedValues(trial)
        with_values(self.space, suggested.draw)
        trial.set_user_attr(OPTIONS, suggested.options)

    def tell(self, number: int, values: Sequence[float] | None, stopped_at: int | None = None) -> None:
        """Report the result of a proposal.

        Args:
            number: of the proposal, from 0.
            values: of the objectives; None: its trials have failed.
            stopped_at: the epoch at which a rule of early stopping ended its trials; None: it did not.
        """
        states = self._optuna.trial.TrialState
        self._study.set_user_attr(OBJECTIVES, self._objectives)
        if values is None or not all(map(math.isfinite, values)):
            self._study.tell(number, state=states.FAIL)
        elif stopped_at is not None and len(values) == 1:
            # Optuna has no public way to a trial of an earlier process.
            trial_id = self._study.trials[number]._trial_id
            self._optuna.trial.Trial(self._study, trial_id).report(values[0], stopped_at)
            self._study.tell(number, state=states.PRUNED)
        else:
            self._study.tell(number, list(values))

    def best(self) -> list[tuple[int, list[float]]]:
        """Return number and values of the best proposal, or of all that no other one beats in every objective."""
        complete = [each for each in self._study.trials if each.state.name == "COMPLETE"]
        return [(each.number, list(each.values)) for each in self._study.best_trials] if complete else []


class _SuggestedValues:
    """Draws values by the suggestions of an Optuna trial."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial
        self.options: dict[str, str] = {}  # of tune.choice, as texts

    def draw(self, domain: Any, name: str) -> Any:
        if hasattr(domain, "categories"):
            option = domain.categories[self._trial.suggest_categorical(name, list(range(len(domain.categories))))]
            self.options[name] = option_text(option)
            return option
        kind, lower, upper, step, is_whole = distribution_of(domain, name)
        if kind == "Normal":
            raise ExperimentError(
                f"{name} must have bounds for searcher='optuna', got tune.randn. Give tune.uniform or tune.loguniform."
            )
        is_log = kind == "LogUniform"
        if is_whole and step is None:
            return self._trial.suggest_int(name, lower, upper - 1, log=is_log)
        if is_whole and not is_log and step is not None:
            least, most = math.ceil(lower / step) * step, math.floor(upper / step) * step
            return self._trial.suggest_int(name, least, most, step=step)
        value = self._trial.suggest_float(name, lower, upper, log=is_log, step=None if is_log else step)
        return _trial_value(value, step, is_whole)


class _StoredValues:
    """Draws the values of a stored Optuna trial again, which has some options of tune.choice."""

    def __init__(self, params: Mapping[str, Any], options: Mapping[str, str]) -> None:
        self._params, self._options = params, options
        self.missing: list[str] = []  # names without a value

    def draw(self, domain: Any, name: str) -> Any:
        if name not in self._params:
            self.missing.append(name)
            return None
        value = self._params[name]
        if hasattr(domain, "categories"):
            option = domain.categories[value] if value < len(domain.categories) else None
            if option_text(option) != self._options.get(name, option_text(option)):
                self.missing.append(name)
            return option
        *_, step, is_whole = distribution_of(domain, name)
        return _trial_value(value, step, is_whole)


def option_text(option: Any) -> str:
    """Return a text that differs if an option of tune.choice was replaced by another, and is the same in each process.

    Example:
        >>> from dynsparse.search.optuna_study import option_text
        >>> option_text({"model": "RigL", "sizes": [10, 5]}), option_text(print)
        ("{model: 'RigL', sizes: [10, 5]}", 'print')
    """
    if isinstance(option, Mapping):
        return f"{{{', '.join(f'{name}: {option_text(value)}' for name, value in option.items())}}}"
    if isinstance(option, list | tuple):
        return f"[{', '.join(map(option_text, option))}]"
    # The repr of a function or a domain has an address.
    is_plain = option is None or isinstance(option, str | int | float)
    return repr(option) if is_plain else getattr(option, "__name__", type(option).__name__)


def _trial_value(value: float, step: float | None, is_whole: bool) -> float:
    """Return a value as trials get it: with few digits, and a multiple of the step."""
    if not is_whole:
        return round_value(value, step)
    multiple = 1 if step is None else step
    return int(round(value / multiple) * multiple)
