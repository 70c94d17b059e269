"""`PackRunner`: trains the trials of a run as packs on Ray Tune."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from ray import tune

from dynsparse.config import Config
from dynsparse.io.terminal import say
from dynsparse.planning.packs import WIDEST
from dynsparse.results.fence import fenced
from dynsparse.results.grid_status import scan
from dynsparse.results.progress import plural
from dynsparse.results.trial_folder import folder_name
from dynsparse.search import packs_of
from dynsparse.tune.callbacks import RecordFailures, ShowProgress
from dynsparse.tune.compat import largest_memory_kill
from dynsparse.tune.interrupts import Interrupts, StopTune
from dynsparse.tune.packed_trial import WorkerOptions
from dynsparse.tune.param_space import PACK, param_space
from dynsparse.tune.preflight import CheckedRun
from dynsparse.tune.remote_judge import RemoteJudge
from dynsparse.tune.rounds import Round
from dynsparse.tune.trainable import SparseTrial
from dynsparse.tune.trial_events import TellOfTrials, TrialEvents

# Tune writes its folders of packs inside this folder of the experiment. In the experiment's folder itself, a reader
# would take them for trials.
PACKS_FOLDER = ".packs"


# How long the run waits after Ray lost trials, before it starts them again.
RAY_WAITS_SECONDS = (5, 30, 60)


class PackRunner:
    """Trains trials in packs, and again after packs were lost: in smaller packs if a pack may be the cause."""

    def __init__(self, run: CheckedRun, token: str, interrupts: Interrupts, events: TrialEvents) -> None:
        self._run, self._token, self._interrupts, self.events = run, token, interrupts, events
        self._memory_kills: Counter[str] = Counter()  # of each trial, by the name of its folder
        self._waits_for_ray = list(reversed(RAY_WAITS_SECONDS))
        self._bests: dict[str, float] = {}  # the best value of each trial, for the display of progress
        self._largest_group = WIDEST  # trials of a group in a pack; smaller once a pack was lost

    def train(self, round_: Round, pack_size: int) -> None:
        """Train the trials of a round until all have ended or the run is interrupted.

        If the worker of a pack of several trials dies too often, or takes too much memory, the unfinished trials
        continue in packs of half the size.

        Args:
            round_: the trials to train; their folders exist.
            pack_size: largest number of trials in a pack.
        """
        while round_.trials:
            lost = self._fit(round_, pack_size)
            if lost is None:
                return
            if lost:
                pack_size = self._largest_group = max(max(map(len, lost)) // 2, 1)
                print(f"\nthe unfinished trials continue in packs of at most {pack_size}", file=sys.stderr)
            round_ = round_.left(scan(self._run.folder, round_.trials))

    def _fit(self, round_: Round, pack_size: int) -> list[list[int]] | None:
        """Run Tune once. Return the packs that were lost if trials are left to train, or None if the run has ended."""
        folder, trials = self._run.folder, round_.trials
        progress = ShowProgress(folder, round_, self._bests, quiet=self._run.options.quiet)
        failures = RecordFailures(fenced(folder, self._token), trials, self._run.options)
        try:
            # The last one: it is told of a failure when its text has been written.
            callbacks = [progress, failures, TellOfTrials(self.events, trials, self._run.options.max_failures)]
            self._tuner(round_, pack_size, callbacks).fit()
        except OSError as error:
            # Tune could not write outside the trial folders, usually in Ray's temporary folder.
            where = f"the storage {folder.path} or {os.environ.get('RAY_TMPDIR', '/tmp')}"
            say(f"\nthe run ends: {error} (in {where}). Written results are kept.")
            return None
        except RuntimeError as error:
            return self._lost_to_memory_monitor(error, trials, failures)
        if self._interrupts.received() is not None:
            return None
        if failures.to_split:
            print("\nthe process of a pack died too often", file=sys.stderr)
            return failures.to_split
        if failures.lost_to_ray and self._waits_for_ray:
            wait = self._waits_for_ray.pop()
            print(f"\nRay lost a node or a process of its own; the trials resume in {wait} s", file=sys.stderr)
            for _ in range(wait):
                self._interrupts.check()
                time.sleep(1)
            return []
        return None

    def _lost_to_memory_monitor(
        self, error: RuntimeError, trials: Sequence[Config], failures: RecordFailures
    ) -> list[list[int]]:
        """Return the packs that were lost when the memory monitor of a cluster killed a trial.

        Tune then gives up all trials. They resume from their checkpoints, without the trial that took the memory once
        it has been killed too often.

        Raises:
            RuntimeError: The error itself, if it has another reason.
        """
        kill = largest_memory_kill(error)
        indices = failures.trials_of(kill[0]) if kill else []
        if kill is None or not indices:
            raise error
        what = f"OutOfMemoryError: the trial took {kill[1]:g} GB when the node was out of memory, and Ray killed it"
        if len(indices) > 1:
            print(f"\n{what}", file=sys.stderr)
            return [indices, *failures.to_split]
        name = folder_name(trials[indices[0]])
        print(f"\n{name}: {what}. The other trials resume from their checkpoints.", file=sys.stderr)
        self._memory_kills[name] += 1
        if self._memory_kills[name] > self._run.options.max_failures:
            failures.fail(indices[0], what)
            self.events.fail(trials[indices[0]], what)
        return failures.to_split

    def _tuner(self, round_: Round, pack_size: int, callbacks: list[tune.Callback]) -> tune.Tuner:
        run, options, trials = self._run, self._run.options, round_.trials
        packs = packs_of(trials, pack_size, options.stopping, self._largest_group)
        is_packed = any(len(pack) > 1 for pack in packs)
        if is_packed and not options.quiet:
            print(f"in {plural(len(packs), 'pack')} of up to {max(map(len, packs))} trials", file=sys.stderr)
        judge = None
        if options.stopping is not None and not round_.pauses:
            judge = RemoteJudge(options.stopping, run.configs, run.folder.path)
        worker_options = WorkerOptions.of_round(run, self._token, round_, judge)
        dirnames = [_dirname([trials[index] for index in pack]) for pack in packs]
        return tune.Tuner(
            tune.with_resources(
                tune.with_parameters(SparseTrial, options=worker_options), {"cpu": run.cpus, "gpu": run.gpus}
            ),
            param_space=param_space(trials, packs, worker_options.axis_names),
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                trial_dirname_creator=lambda trial: dirnames[trial.config[PACK]],
            ),
            run_config=tune.RunConfig(
                name=PACKS_FOLDER if is_packed else run.name,
                storage_path=run.folder.path if is_packed else run.storage,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=options.max_failures),
                # None would mean True for a class trainable.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[*callbacks, StopTune(self._interrupts)],
            ),
        )


def _dirname(configs: Sequence[Config]) -> str:
    """Return the name of Tune's folder for a pack; for a single trial it is the trial folder."""
    names = [folder_name(config) for config in configs]
    return names[0] if len(names) == 1 else f"pack_{hashlib.sha256(','.join(names).encode()).hexdigest()[:12]}"
