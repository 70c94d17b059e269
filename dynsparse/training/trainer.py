"""`Trainer` runs the steps of a study for a pack of trials: each step returns one row of metrics per trial."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from dynsparse import engines
from dynsparse.config import Config
from dynsparse.engines.base import Sums, UpdateContext, draw_parameters, tie_noise
from dynsparse.planning.plan import UpdateSteps, plan
from dynsparse.random import Purpose
from dynsparse.studies import Columns, NetworkState, Parameters, StepContext
from dynsparse.studies.base import Step
from dynsparse.training import first_training_cache
from dynsparse.training.exploration import Exploration
from dynsparse.training.first_training_cache import FirstTraining
from dynsparse.training.flops import TrainingFlops, inference_metrics
from dynsparse.training.initial_masks import masks_need_data, parameters_from_data
from dynsparse.training.metrics import (
    Metrics,
    Row,
    combine_mask_updates,
    connections,
    dead_units,
    mask_update_metrics,
    to_rows,
    weight_metrics,
)
from dynsparse.training.overlap import Overlap
from dynsparse.training.splits import TrialError, load_splits
from dynsparse.training.survival import Survival

# Entries of an engine's state that belong to the network, besides its parameters. No engine has all of them.
UNIT_STATE = ("gains", "shifts", "means", "variances", "duty", "boost", "others", "buffers", "kept_units", "n_seen")

ENDED_AS_IN_2019 = "a layer has no positive or no negative weight left, and here the 2019 code died"

__all__ = ["Row", "Trainer", "TrialError"]


class Trainer:
    """Trains the trials of a pack together; each trial gets the numbers that it gets alone.

    Attributes:
        plan: what the configurations ask for.
        engine: computes the epochs. A step that changes the network starts a new one.
        splits: the data.
        n_rows: the number of finished steps of the study.
        epoch: the number of the last epoch of training.
        errors: for each trial, why it ended early, or None.

    Raises: ValueError for trials that cannot be one pack; TrialError where the data set does not fit the
        configurations; DataError if it is missing.
    """

    def __init__(self, configs: Sequence[Config]) -> None:
        self.plan = plan(configs)
        self._configs = configs
        self._awaits_masks = masks_need_data(self.plan)
        self.errors: list[str | None] = [None] * len(configs)
        self.n_rows = self.epoch = 0
        self.engine = engines.start(self.plan)
        self.splits = load_splits(self.plan, self.engine.prepare)
        self._update_steps = self.plan.updates.steps(self.splits.n_batches) if self.plan.updates else None
        self._kept: dict[str, NetworkState] = {}  # networks that later steps of the study need
        self._survival = Survival(len(configs), self.plan.updates.early_stop if self.plan.updates else None)
        n_layers = len(self.plan.network.shapes)
        self._overlap = Overlap(len(configs), n_layers, self.plan.method.overlap_limit)
        # Shapes: (trials, layers). `dense_layers` has only layers that are dense in all trials of the pack.
        self._is_dense = torch.as_tensor(self.plan.method.density).cpu().expand(len(configs))[:, None] == 1
        self._is_dense = self._is_dense | torch.tensor([layer in self.plan.dense_layers for layer in range(n_layers)])
        self._flops = TrainingFlops(self.plan)
        self._exploration = Exploration(self.engine.masks)
        self._counts_when_kept: dict[str, Any] = {}  # of the network that is kept as "trained"
        shares_training = self.plan.study.shares_training
        self._cache_key = first_training_cache.cache_key(configs, self.plan) if shares_training else None
        self._first_rows: list[list[Row | None]] = []
        # While rows are replayed from the cache, the networks keep their initial values.
        self._replay = first_training_cache.load(self._cache_key)

    @property
    def is_done(self) -> bool:
        """Return True after the last step of the study."""
        return self.n_rows >= len(self.plan.study.steps)

    def step(self) -> list[Row | None]:
        """Do the next step of the study: change the network, train one epoch, evaluate, update the masks.

        Most steps do not change the network, and some do not train.

        Returns: the metrics of each trial, None for one that ended early. They are measured before the mask update,
        except for the metrics of the update itself.

        Raises: TrialError if a trial that begins as a copy has not loaded the state of the other trial.
        """
        self._check_start()
        if self._replay is not None:
            return self._replay_step(self._replay)
        self._draw_masks_from_data()
        rows = self._compute_step(self.plan.study.steps[self.n_rows])
        self.n_rows += 1
        if self._cache_key is not None and self.n_rows <= self.plan.epochs:
            self._cache_first_training(rows)
        return rows

    def try_out(self) -> list[str]:
        """Do everything that an epoch does, with one training batch. Compilation and failures happen here.

        The Trainer cannot be used for training afterwards.

        Returns: The metrics that the rows of the study have.
        """
        self._draw_masks_from_data()
        batch = self.splits.unshuffled()[:, : self.plan.batch_size]
        rates = self.plan.learning_rates(0, 1, self.splits.n_batches)
        sums = self.engine.train_epoch(
            self.splits.train, batch, epoch=1, rates=rates, class_weights=self.splits.class_weights
        )
        columns = self.splits.scores("train", sums, self.splits.n_train) | self._evaluate() | self._flops.metrics()
        update = mask_update_metrics(self.engine.masks, None, self._survival.unknown(len(self.engine.masks)))
        if self._update_steps is not None and self._update_steps.n_updates:
            update, _ = self._update_masks(self._update_steps, self._update_steps.interval)
        self.engine.end_epoch()
        of_steps = (name for step in self.plan.study.steps for name in step.columns)
        return list(dict.fromkeys([*columns, *(update if self.plan.debug_sparse else ()), *of_steps]))

    def parameters(self) -> Parameters:
        """Return a copy of the current weights, biases and masks."""
        self._draw_masks_from_data()
        engine = self.engine
        return Parameters(
            *([each.clone() for each in layers] for layers in (engine.weights, engine.biases, engine.masks))
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that a Trainer of the same configurations needs to continue bit for bit after this step."""
        return {
            "n_rows": self.n_rows if self._replay is None else 0,
            "epoch": self.epoch,
            "kept": {name: [*kept.parameters, dict(kept.units)] for name, kept in self._kept.items()},
            "errors": list(self.errors),
            "engine": self.engine.state_dict(),
            "survival": self._survival.state_dict(),
            "overlap": self._overlap.state_dict(),
            "counts": self._counts(),
            "counts_when_kept": self._counts_when_kept,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self._replay, self._first_rows = None, []
        self.n_rows, self.epoch = state["n_rows"], state["epoch"]
        self._awaits_masks = masks_need_data(self.plan) and self.n_rows == 0
        self._kept = {
            # An engine moves units to its device itself; the parameters are pruned before an engine gets them.
            name: NetworkState(
                Parameters(*([each.to(self.plan.device) for each in layers] for layers in parameters)), units
            )
            for name, (*parameters, units) in state["kept"].items()
        }
        self.errors = list(state["errors"])
        self.engine.load_state_dict(state["engine"])
        self._survival.load_state_dict(state["survival"])
        self._overlap.load_state_dict(state["overlap"])
        self._load_counts(state["counts"])
        self._counts_when_kept = state["counts_when_kept"]

    def _counts(self) -> dict[str, Any]:
        """Return what the trials' training has added up to so far."""
        return {"flops": self._flops.state_dict(), "exploration": self._exploration.state_dict()}

    def _load_counts(self, counts: dict[str, Any]) -> None:
        self._flops.load_state_dict(counts["flops"])
        self._exploration.load_state_dict(counts["exploration"])

    # The first training, shared by several trials

    def _replay_step(self, first_training: FirstTraining) -> list[Row | None]:
        """Take a row from the cache; after the last one continue from the cached state."""
        rows: list[Row | None] = copy.deepcopy(first_training.rows[self.n_rows])
        self.n_rows += 1
        if self.n_rows == self.plan.epochs:
            self.load_state_dict(first_training.state)
        return rows

    def _cache_first_training(self, rows: list[Row | None]) -> None:
        """Collect rows, and cache the first training at its end if it was computed here from its first epoch on."""
        self._first_rows.append(copy.deepcopy(rows))
        if self.n_rows == len(self._first_rows) == self.plan.epochs:
            first_training_cache.store(self._cache_key, self._first_rows, self.state_dict())

    # One step

    def _check_start(self) -> None:
        """Check that a copy does not start anew: it must have loaded a state. Raises: TrialError."""
        if self.n_rows < max(self.plan.n_rows_copied):
            starts = ", ".join(dict.fromkeys(each.starts_from for each in self._configs if each.starts_from))
            raise TrialError(
                f"A trial with starts_from must continue from the state that it names, got starts_from={starts} after "
                f"{self.n_rows} rows. Load that state (load_state_dict), restore the trial's result.json and "
                "checkpoint, or leave starts_from out."
            )

    def _draw_masks_from_data(self) -> None:
        """Replace the initial network if its masks depend on the data. The state after a step has the masks."""
        if self._awaits_masks:
            self._awaits_masks = False
            self.engine = engines.start(self.plan, parameters_from_data(self._configs, self.plan, self.splits))

    def _compute_step(self, step: Step) -> list[Row | None]:
        if step.begin is not None:
            self._replace_network(step.begin(self._step_context()))
        if step.epoch is not None:
            # Back to the trained network, and to what its training took.
            self.epoch = step.epoch
            self._load_counts(self._counts_when_kept)
        columns: Metrics = {}
        updates: list[Metrics] = []
        failed = None
        if step.train:
            self.epoch += 1
            sums, updates = self._train_epoch()
            columns |= self.splits.scores("train", sums, self.splits.n_train)
        columns |= self._evaluate()
        if step.keep:
            # As it was evaluated, before its masks change and boosting fades.
            self._kept["trained"] = self._network()
            self._counts_when_kept = self._counts()
        if step.train:
            # The update after the last step of an epoch follows the evaluation.
            more, failed = self._update_masks_if_due(self.epoch * self.splits.n_batches)
            updates += more
            self.engine.end_epoch()
        columns |= self._flops.metrics()
        if self.plan.debug_sparse:
            no_update = mask_update_metrics(self.engine.masks, None, self._survival.unknown(len(self.engine.masks)))
            columns |= combine_mask_updates(updates or [no_update])
        return self._rows(columns, step.columns, failed)

    def _train_epoch(self) -> tuple[Sums, list[Metrics]]:
        """Train on all training examples once, in the order given by seed and epoch.

        Returns: The sums over all examples; and the metrics of each mask update between two steps of the epoch.
        """
        order, n_batches, size = self.splits.order(self.epoch), self.splits.n_batches, self.plan.batch_size
        # Each round of a ticket, and each retraining of a sweep, restarts the schedule.
        first_step = (self.epoch - 1) % self.plan.epochs * n_batches
        rates = self.plan.learning_rates(first_step, n_batches, n_batches)
        sums, updates = [], []
        for begin, end in pairwise(self._bounds_of_parts()):
            steps_done = (self.epoch - 1) * n_batches + begin
            if steps_done == self.plan.study.rewind_step:
                self._kept["early"] = self._network()
            if begin > 0:
                # No update fails here: those of rules="legacy_2019" follow whole epochs.
                updates += self._update_masks_if_due(steps_done)[0]
            sums.append(self._train(order[:, begin * size : end * size], rates[begin:end], steps_done))
        # Sum along the last dimension: along the first, the order of additions would depend on the number of trials.
        return Sums(*(torch.stack(each, dim=1).sum(1) for each in zip(*sums, strict=True))), updates

    def _train(self, order: Tensor, rates: Tensor, steps_done: int) -> Sums:
        """Train on the examples of `order`, with the masks as they are. Shapes: as in `Engine.train_epoch`."""
        has_ended = self._update_steps is None or steps_done >= self._update_steps.last
        self._flops.add_steps(self.engine.masks, order.shape[1], updated_later=~(self._survival.stopped | has_ended))
        self._exploration.add(self.engine.masks)
        return self.engine.train_epoch(
            self.splits.train, order, epoch=self.epoch, rates=rates, class_weights=self.splits.class_weights
        )

    def _bounds_of_parts(self) -> list[int]:
        """Return the steps of the epoch, from 0, between which it is trained in one go.

        Between two parts the masks are updated, or the network is kept to rewind to.
        """
        n_batches = self.splits.n_batches
        steps_before = range((self.epoch - 1) * n_batches, self.epoch * n_batches)
        inner = [
            number
            for number, before in enumerate(steps_before)
            if before == self.plan.study.rewind_step or (self._update_steps and self._update_steps.due(before))
        ]
        return sorted({0, *inner, n_batches})

    def _evaluate(self) -> Metrics:
        """Return the metrics of the network as it is."""
        columns: Metrics = {}
        test = "val" if self.splits.val is None else "test"
        for name, (x, labels) in self.splits.evaluated().items():
            result, n_examples = self.engine.evaluate(x, labels), labels.shape[1]
            columns |= self.splits.scores(name, result, n_examples)
            if name == test and self.plan.debug_sparse:
                columns |= dead_units(result)
        network = self.plan.network
        columns |= inference_metrics(self.engine.masks, network.positions) | self._exploration.metrics()
        columns |= connections(self.engine.masks) if network.is_chain else {}
        is_logged = self.plan.debug_weights or self.plan.debug_sparse
        return columns | weight_metrics(
            self.engine.weight_sums() if is_logged else [],
            self.engine.masks,
            debug_weights=self.plan.debug_weights,
            debug_sparse=self.plan.debug_sparse,
        )

    def _update_masks_if_due(self, step: int) -> tuple[list[Metrics], Tensor | None]:
        """Update the masks if an update follows this step of the training, counted from 1.

        Returns: The metrics of the update, if there is one; and (trials,) True for trials that it ends.
        """
        steps = self._update_steps
        if steps is None or not steps.due(step) or bool(self._survival.stopped.all()):
            return [], None
        metrics, failed = self._update_masks(steps, step)
        return [metrics], failed

    def _update_masks(self, steps: UpdateSteps, step: int) -> tuple[Metrics, Tensor]:
        stopped = self._survival.stopped.to(self.plan.device)
        self._flops.add_mask_update(~stopped)
        when = UpdateContext(
            epoch=self.epoch,
            share_done=steps.share_done(step),
            drop_scale=steps.drop_scale(step),
            stopped=stopped,
            step=step % self.splits.n_batches,
            stopped_layers=(self._overlap.stopped | self._is_dense).to(self.plan.device),
        )
        updates, failed = self.engine.update_masks(when)
        self._overlap.update(updates)
        # Survival is followed even where nobody logs it, because it may end the mask updates.
        survivors = self._survival.update(updates)
        return mask_update_metrics(self.engine.masks, updates, survivors), failed

    def _rows(self, columns: Metrics, of_step: Columns, failed: Tensor | None) -> list[Row | None]:
        """Return one row per trial, None for one that has ended; note in `errors` the trials that end now."""
        per_trial = {name: value for name, value in of_step.items() if isinstance(value, Tensor)}
        same_for_all = {name: value for name, value in of_step.items() if not isinstance(value, Tensor)}
        if failed is None:
            failed = torch.zeros(len(self.errors), dtype=torch.bool, device=self.plan.device)
        rows, has_failed = to_rows(columns | per_trial, failed.to(self.plan.device))
        for i in range(len(rows)):
            if has_failed[i] and self.errors[i] is None:
                self.errors[i] = f"epoch {self.epoch}: {ENDED_AS_IN_2019}"
        return [None if error else row | same_for_all for row, error in zip(rows, self.errors, strict=True)]

    # Changes of the network between two steps

    def _network(self) -> NetworkState:
        """Return a copy of the current networks, including the state of their units."""
        state = self.engine.state_dict()
        units = {name: state[name] for name in UNIT_STATE if name in state}
        return NetworkState(self.parameters(), copy.deepcopy(units))

    def _replace_network(self, network: NetworkState) -> None:
        """Start a new engine, with fresh optimizer state."""
        self.engine = engines.start(self.plan, network.parameters)
        self.engine.load_state_dict({**self.engine.state_dict(), **network.units})

    def _step_context(self) -> StepContext:
        """Return the networks and random numbers that a step of the study may use."""
        layers = range(len(self.plan.network.shapes))
        return StepContext(
            now=self._network(),
            kept=self._kept,
            noise=lambda number: [tie_noise(self.plan, Purpose.PRUNE_TRAINED, layer, number) for layer in layers],
            draw=partial(draw_parameters, self.plan),
        )
