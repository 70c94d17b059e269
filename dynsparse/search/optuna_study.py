"""Optuna's sampler proposes settings, and learns what they have reached."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from dynsparse.experiment import ExperimentError
from dynsparse.io.storage import Folder
from dynsparse.sampling import distribution_of, round_value, with_values
from dynsparse.search.objectives import direction

JOURNAL = "optuna_journal.log"
# The attribute of the study with the names of what it has been told.
OBJECTIVES = "objectives"
# The attribute of a proposal with the names of the folders of its trials.
TRIALS = "trials"
# Proposals at random, before there is something to learn from.
N_RANDOM = 6


class OptunaStudy:
    """A study in a journal, a file that Optuna's tools read too.

    Each proposal follows from the search seed, its number, and what earlier ones have reached. So a search that was
    killed goes on as it would have gone on: the journal keeps the proposals whose result is not known yet.

    Args:
        space: key to value, with domains of Ray Tune.
        objectives: what the proposals are told, such as val_acc_max.
        search_seed: other seeds give other proposals.
        folder: the experiment's folder.

    Raises: ExperimentError if Optuna is not installed, or the journal is damaged or that of other objectives; OSError
        if the storage fails.
    """

    def __init__(self, space: Mapping[str, Any], objectives: Sequence[str], search_seed: int, folder: Folder) -> None:
        try:
            # Only searches need it.
            import optuna

            from dynsparse.search.journal import FolderJournal
        except ImportError as error:
            raise ExperimentError(
                f"searcher='optuna' needs the package optuna, which cannot be imported ({error}). Install it: pip "
                "install 'dynsparse[search]'."
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self.space, self._seed = optuna, space, search_seed
        self._objectives, directions = list(objectives), [direction(each) for each in objectives]
        try:
            storage = optuna.storages.JournalStorage(FolderJournal(folder, JOURNAL))
            self._study = optuna.create_study(
                storage=storage, study_name="search", directions=directions, load_if_exists=True
            )
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
            # Optuna believes every line that is JSON.
            raise ExperimentError(
                f"The journal {folder.path}/{JOURNAL} must be one that Optuna has written, and cannot be read "
                f"({type(error).__name__}: {error}). Restore it from a copy, or delete it to search anew: trials that "
                "are complete are not trained again."
            ) from error
        found = [each.name.lower() for each in self._study.directions]
        told = self._study.user_attrs.get(OBJECTIVES, self._objectives)
        if told != self._objectives or found != directions:
            of_folder, given = (told, self._objectives) if told != self._objectives else (found, directions)
            raise ExperimentError(
                f"The objectives must be those of the search in {folder.path} ({', '.join(of_folder)}), got "
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
            stored = _StoredValues(each.params)
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

    def failed(self) -> list[int]:
        """Return the numbers of the proposals that have failed."""
        return [each.number for each in self._study.trials if each.state.name == "FAIL"]

    def propose(self) -> None:
        """Add a proposal. Raises: ExperimentError if the domains have changed."""
        number = len(self._study.trials)
        digest = hashlib.sha256(f"{self._seed}/{number}".encode()).digest()
        # A sampler for each proposal, so that a resumed search draws what it would have drawn.
        self._study.sampler = self._optuna.samplers.TPESampler(
            seed=int.from_bytes(digest[:4]), n_startup_trials=N_RANDOM, constant_liar=True
        )
        trial = self._study.ask()
        try:
            with_values(self.space, _SuggestedValues(trial).draw)
        except ValueError as error:
            raise ExperimentError(
                f"The search in the folder has another space: {error} Change the space back, or give another --name."
            ) from error

    def check_trials(self, names: Mapping[int, Sequence[str]]) -> None:
        """Check that the trials of each proposal are those that it began with; note them the first time.

        Args:
            names: number of the proposal, from 0, to the names of its trials' folders.

        Raises: ExperimentError if they are others: what they have reached would be taken for the result of these.
        """
        for each in self._study.trials:
            trials = list(names.get(each.number, ()))
            noted = each.user_attrs.get(TRIALS)
            if noted is None and trials and not each.state.is_finished():
                self._trial(each).set_user_attr(TRIALS, trials)
            elif noted is not None and trials and noted != trials:
                raise ExperimentError(
                    f"The search in the folder must have the trials that it began with, and setting {each.number + 1} "
                    "has others: the space, --set, --repeats, the data or a function has changed since. Change it "
                    "back, or give another --name."
                )

    def _trial(self, stored: Any) -> Any:
        """Return the Optuna trial of a stored proposal that waits for its result."""
        # Optuna has no public way to a trial of an earlier process.
        return self._optuna.trial.Trial(self._study, stored._trial_id)

    def tell(self, number: int, values: Sequence[float] | None, stopped_at: int | None = None) -> None:
        """Report the result of a proposal.

        Args:
            number: of the proposal, from 0.
            values: of the objectives; None: its trials have failed.
            stopped_at: the epoch at which a rule of early stopping ended its trials; None: it did not.
        """
        states = self._optuna.trial.TrialState
        if values is None or not all(map(math.isfinite, values)):
            # Says nothing about the objectives: they may be wrong, and corrected.
            self._study.tell(number, state=states.FAIL)
            return
        self._study.set_user_attr(OBJECTIVES, self._objectives)
        if stopped_at is not None and len(values) == 1:
            self._trial(self._study.trials[number]).report(values[0], stopped_at)
            self._study.tell(number, state=states.PRUNED)
        else:
            self._study.tell(number, list(values))

    def tell_diverged(self, number: int) -> None:
        """Report that a trial of a proposal has diverged: it is never the best.

        With one objective it counts as pruned without a value, which the sampler ranks below all others. With several
        objectives, Optuna has no pruned proposals, so it counts as failed.
        """
        states = self._optuna.trial.TrialState
        is_single = len(self._study.directions) == 1
        self._study.tell(number, state=states.PRUNED if is_single else states.FAIL)

    def best(self) -> list[tuple[int, list[float]]]:
        """Return number and values of the best proposal, or of all that no other one beats in every objective."""
        complete = [each for each in self._study.trials if each.state.name == "COMPLETE"]
        # Several proposals with equal values are one setting.
        different = {repr(each.params): each for each in reversed(self._study.best_trials if complete else [])}
        return [(each.number, list(each.values)) for each in reversed(different.values())]


class _SuggestedValues:
    """Draws values by the suggestions of an Optuna trial."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def draw(self, domain: Any, name: str) -> Any:
        if hasattr(domain, "categories"):
            return domain.categories[self._trial.suggest_categorical(name, list(range(len(domain.categories))))]
        kind, lower, upper, step, is_whole = distribution_of(domain, name)
        is_log = kind == "LogUniform"
        if is_whole and step is None:
            return self._trial.suggest_int(name, lower, upper - 1, log=is_log)
        if is_whole and not is_log and step is not None:
            least, most = math.ceil(lower / step) * step, math.floor(upper / step) * step
            return self._trial.suggest_int(name, least, most, step=step)
        value = self._trial.suggest_float(name, lower, upper, log=is_log, step=None if is_log else step)
        return _trial_value(value, step, is_whole)


class _StoredValues:
    """Draws the values of a stored Optuna trial again."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self.missing: list[str] = []  # names without a value

    def draw(self, domain: Any, name: str) -> Any:
        value = self._params.get(name)
        is_choice = hasattr(domain, "categories")
        if value is None or (is_choice and value >= len(domain.categories)):
            self.missing.append(name)
            return None
        if is_choice:
            return domain.categories[value]
        *_, step, is_whole = distribution_of(domain, name)
        return _trial_value(value, step, is_whole)


def _trial_value(value: float, step: float | None, is_whole: bool) -> float:
    """Return a value as trials get it: with few digits, and a multiple of the step."""
    if not is_whole:
        return round_value(value, step)
    multiple = 1 if step is None else step
    return int(round(value / multiple) * multiple)
