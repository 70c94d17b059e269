"""`Launch`: the trials of a run, given to Tune in packs."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ray import tune

from dynsparse.config import Config
from dynsparse.experiment import axes
from dynsparse.io.storage import Folder
from dynsparse.planning.packs import group_into_packs
from dynsparse.results.grid_status import scan
from dynsparse.results.trial_folder import State, folder_name
from dynsparse.tune.callbacks import RecordFailures, ShowProgress
from dynsparse.tune.compat import largest_memory_kill
from dynsparse.tune.interrupts import Signals
from dynsparse.tune.packed_trial import Job
from dynsparse.tune.param_space import PACK, space
from dynsparse.tune.trainable import SparseTrial

# What Tune notes of packs is in a folder of its own in that of the experiment: whoever reads that one, ours or not,
# finds there the folders of trials, and would take that of a pack for one of them.
OF_PACKS = ".packs"


@dataclass(frozen=True)
class Launch:
    """How the trials of a run are given to Tune."""

    folder: Folder
    storage: str
    name: str
    job: Job
    cpus: float
    gpus: float
    max_failures: int
    callbacks: Sequence[tune.Callback]
    signals: Signals

    def train(self, todo: Sequence[Config], width: int, n_complete: int) -> None:
        """Train the trials in packs of at most `width`, most often in one go.

        Where the memory monitor of a cluster ends a trial, Tune gives up all of them. They go on from their
        checkpoints, and without the one that took the memory when it has done so too often.

        A pack of several that took the memory, or whose process died once too often, goes on in packs half as wide.
        """
        deaths: Counter[str] = Counter()
        while todo:
            progress = ShowProgress(self.folder, todo, n_complete)
            failures = RecordFailures(self.folder, todo, self.job.epoch_seconds)
            try:
                self._tuner(todo, width, [progress, failures, *self.callbacks]).fit()
                lost = failures.to_split
                if not lost or self.signals.received() is not None:
                    return
                what = "the process of a pack has died too often"
            except OSError as error:
                # Tune could not write beside its trials: into Ray's temporary folder, most often.
                where = f"the storage {self.folder.path} or {os.environ.get('RAY_TMPDIR', '/tmp')}"
                print(f"\nthe run ends here: {error} (in {where}); what is written is kept", file=sys.stderr)
                return
            except RuntimeError as error:
                ended = largest_memory_kill(error)
                places = failures.trials_of(ended[0]) if ended else []
                if ended is None or not places:
                    raise
                lost = [places, *failures.to_split]
                what = (
                    f"OutOfMemoryError: the trial took {ended[1]:g} GB of a machine that had no more, and Ray ended it"
                )
                if len(places) == 1:
                    lost = failures.to_split
                    name = folder_name(todo[places[0]])
                    print(f"\n{name}: {what}; the others go on from their checkpoints", file=sys.stderr)
                    deaths[name] += 1
                    if deaths[name] > self.max_failures:
                        failures.fail(places[0], what)
            if lost:
                width = max(max(map(len, lost)) // 2, 1)
                print(f"\n{what}; what is left goes on in packs of at most {width}", file=sys.stderr)
            grid = scan(self.folder, todo)
            n_complete += len(grid.in_state(State.COMPLETE))
            todo = grid.todo(retry_failed=False)

    def _tuner(self, configs: Sequence[Config], width: int, callbacks: list[tune.Callback]) -> tune.Tuner:
        packs = group_into_packs(configs, width) if width > 1 else [[place] for place in range(len(configs))]
        is_packed = any(len(pack) > 1 for pack in packs)
        if is_packed:
            n = len(packs)
            print(f"in {n} pack{'s' * (n > 1)} of up to {max(map(len, packs))} trials", file=sys.stderr)
        varying = tuple(axes(configs))
        job = replace(self.job, varying=varying)
        names = [_dirname([configs[place] for place in pack]) for pack in packs]
        return tune.Tuner(
            tune.with_resources(tune.with_parameters(SparseTrial, job=job), {"cpu": self.cpus, "gpu": self.gpus}),
            param_space=space(configs, packs, varying),
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                trial_dirname_creator=lambda trial: names[trial.config[PACK]],
            ),
            run_config=tune.RunConfig(
                name=OF_PACKS if is_packed else self.name,
                storage_path=self.folder.path if is_packed else self.storage,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=self.max_failures),
                # None would become True for a class like ours.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=callbacks,
            ),
        )


def _dirname(configs: Sequence[Config]) -> str:
    """The name of the folder in which Tune notes something: of a trial its own."""
    names = [folder_name(config) for config in configs]
    return names[0] if len(names) == 1 else f"pack_{hashlib.sha256(','.join(names).encode()).hexdigest()[:12]}"
