"""`Trainer`: a pack of one or more trials; one epoch in, one dict of numbers per trial out; state in and out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dynsparse import engines
from dynsparse.config import Config
from dynsparse.data import Images, epoch_order, load_dataset, noise_images, split
from dynsparse.engines.base import Sums, UpdateContext, initial_parameters, tie_noise
from dynsparse.methods import MaskUpdate
from dynsparse.ops import masks
from dynsparse.planning.plan import plan
from dynsparse.random import Purpose
from dynsparse.studies import Columns, Network, Occasion, Parameters
from dynsparse.training import first_training_cache
from dynsparse.training.survival import Survival

Row = dict[str, float | str]

# Of what an engine saves, that which makes up a network beside its parameters.
OF_UNITS = ("gains", "shifts", "means", "variances", "duty", "boost", "n_seen")

ENDED_AS_IN_2019 = "a layer has no positive or no negative weight left, and here the 2019 code died"


class TrialError(RuntimeError):
    """A trial that cannot go on; the message says why."""


class Trainer:
    """Trains the trials of a pack together; each gives the numbers that it gives alone.

    `n_rows` counts the steps of the study that are done, `epoch` is the number of the last epoch of training. `errors`
    has, for each trial, why it ended early, or None.

    Raises: ValueError for trials that cannot be one pack; DataError if the data set is missing.
    """

    def __init__(self, configs: Sequence[Config]) -> None:
        self.plan = plan(configs)
        self.errors: list[str | None] = [None] * len(configs)
        self.n_rows = self.epoch = 0
        self.engine = engines.start(self.plan)
        self._load_data()
        self._kept: dict[str, Network] = {}
        self._survival = Survival(len(configs), self.plan.updates.early_stop if self.plan.updates else None)
        self._first_training = (
            first_training_cache.cache_key(configs, self.plan) if self.plan.study.shares_training else None
        )
        self._first_rows: list[list[Row | None]] = []
        # While it lasts, rows are taken from it, and the networks are as they begin.
        self._replay = first_training_cache.load(self._first_training)

    def _load_data(self) -> None:
        """The data set as the engine wants it; trials of one seed share what is drawn from it."""
        want, dataset = self.plan, load_dataset(self.plan.dataset_name, self.plan.data_dir, self.plan.pixels)
        # If all trials have one seed, the batch has one copy of each example and is expanded; else one per trial.
        self._seeds = want.seeds[:1] if len(set(want.seeds)) == 1 else want.seeds
        splits = {seed: split(dataset, want.val_fraction, seed) for seed in dict.fromkeys(self._seeds)}
        self._train_index = {seed: train for seed, (train, _) in splits.items()}
        self._n_train = len(self._train_index[self._seeds[0]])
        n_held_out = len(dataset.train_y) - self._n_train
        if self._n_train == 0 or (want.val_fraction > 0 and n_held_out == 0):
            raise TrialError(
                f"val_fraction={want.val_fraction} of {len(dataset.train_y)} training examples leaves {self._n_train} "
                f"to train on and {n_held_out} to validate on; neither may be 0"
            )
        if (self._n_train - 1) % want.batch_size == 0 and want.network.batch_norm:
            raise TrialError(
                f"batch_norm cannot train on the last batch, of 1 example, of {self._n_train}; change batch_size"
            )
        self._n_batches = -(-self._n_train // want.batch_size)
        if (want.study.rewind_step or 0) >= self._n_batches * want.epochs:
            raise TrialError(
                f"rewind_step={want.study.rewind_step} is not within the first training, which has "
                f"{self._n_batches * want.epochs} steps (epochs={want.epochs} of {self._n_batches})"
            )
        prepare, distinct = self.engine.prepare, list(splits)
        self._examples = prepare([dataset.train], dataset.train_y[None])
        self._test = prepare([dataset.test], dataset.test_y[None])
        self._validation, self._noisy = None, None
        if want.val_fraction > 0:
            parts = {seed: dataset.train.at(held_out) for seed, (_, held_out) in splits.items()}
            labels = torch.stack([dataset.train_y[splits[seed][1]] for seed in self._seeds])
            self._validation = prepare([parts[seed] for seed in self._seeds], labels)
        if want.noise_level is not None:
            noisy = {s: Images(noise_images(dataset.test.normalise(), want.noise_level, s).numpy()) for s in distinct}
            labels = dataset.test_y.expand(len(self._seeds), -1)
            self._noisy = prepare([noisy[seed] for seed in self._seeds], labels)

    def try_out(self) -> None:
        """All that an epoch does, with one batch to train on: what is to be compiled is, and what fails fails here.

        The Trainer is not as it was afterwards.
        """
        order = torch.stack([self._train_index[seed] for seed in self._seeds])
        self.engine.train_epoch(self._examples, order[:, : self.plan.batch_size], epoch=1)
        for held in (self._test, self._validation, self._noisy):
            if held is not None:
                self.engine.evaluate(*held)
        self._update_masks_after(1)
        self.engine.end_epoch()

    @property
    def is_done(self) -> bool:
        """Whether the last step of the study is done."""
        return self.n_rows >= len(self.plan.study.steps)

    def step(self) -> list[Row | None]:
        """The next step of the study: change the network, train one epoch, test, test on noise, update the masks.

        In this order; most steps do not change the network, and some do not train.

        Returns: the numbers of each trial, None for one that ended early. They are those before the mask update, but
        for the numbers of the update itself.
        """
        rows = self._step() if self._replay is None else copy.deepcopy(self._replay.rows[self.n_rows])
        self.n_rows += 1
        if self._replay is not None and self.n_rows == self.plan.epochs:
            self.load_state_dict(self._replay.state)
        elif self._first_training is not None and self.n_rows <= self.plan.epochs:
            self._remember(rows)
        return rows

    def _remember(self, rows: list[Row | None]) -> None:
        """Keep what the first training gives, if it was seen from its first epoch on."""
        self._first_rows.append(copy.deepcopy(rows))
        if self.n_rows == len(self._first_rows) == self.plan.epochs:
            first_training_cache.store(self._first_training, self._first_rows, self.state_dict())

    def _step(self) -> list[Row | None]:
        step = self.plan.study.steps[self.n_rows]
        if step.begin is not None:
            network = step.begin(self._occasion())
            self.engine = engines.start(self.plan, network.parameters)
            self.engine.load_state_dict({**self.engine.state_dict(), **network.units})
        if step.epoch is not None:
            self.epoch = step.epoch
        columns: dict[str, Tensor] = {}
        if step.train:
            self.epoch += 1
            self._record(columns, "train", self._train(), self._n_train)
        self._test_all(columns)
        if step.keep:
            # As it was tested, before its masks change and boosting fades.
            self._kept["trained"] = self._network()
        updates, failed = self._update_masks() if step.train else (None, None)
        self._record_updates(columns, updates)
        if step.train:
            self.engine.end_epoch()
        return self._rows(columns, step.columns, failed)

    def parameters(self) -> Parameters:
        """A copy of the networks as they are."""
        engine = self.engine
        return Parameters(
            *([each.clone() for each in layers] for layers in (engine.weights, engine.biases, engine.masks))
        )

    def _network(self) -> Network:
        """A copy of the networks as they are, units included."""
        state = self.engine.state_dict()
        return Network(self.parameters(), copy.deepcopy({name: state[name] for name in OF_UNITS}))

    def _occasion(self) -> Occasion:
        """What a step of the study can make the next network of."""
        layers = range(len(self.plan.network.shapes))
        return Occasion(
            now=self._network(),
            kept=self._kept,
            noise=lambda number: [tie_noise(self.plan, Purpose.PRUNE_TRAINED, layer, number) for layer in layers],
            drawn=lambda number: initial_parameters(self.plan, number),
        )

    def _test_all(self, columns: dict[str, Tensor]) -> None:
        if self._validation is not None:
            self._test_on(columns, "val", self._validation)
            self._test_on(columns, "test", self._test)
        else:
            self._test_on(columns, "val", self._test)
        if self._noisy is not None:
            self._test_on(columns, "noise", self._noisy)
        self._record_weights(columns)

    def _update_masks(self) -> tuple[list[MaskUpdate] | None, Tensor | None]:
        """The mask update after this epoch, if one is due."""
        updates = self.plan.updates
        if updates is None or not updates.due(self.epoch) or bool(self._survival.stopped.all()):
            return None, None
        return self._update_masks_after(self.epoch)

    def _update_masks_after(self, epoch: int) -> tuple[list[MaskUpdate] | None, Tensor | None]:
        updates = self.plan.updates
        if updates is None:
            return None, None
        progress = updates.progress(epoch)
        stopped = self._survival.stopped.to(self.plan.device)
        return self.engine.update_masks(UpdateContext(epoch, progress, updates.decay(progress), stopped))

    def _train(self) -> Sums:
        """One pass over the training examples, in the order of (seed, epoch)."""
        orders = {
            seed: index[epoch_order(self._n_train, seed, self.epoch)] for seed, index in self._train_index.items()
        }
        order = torch.stack([orders[seed] for seed in self._seeds])
        back_to = self.plan.study.rewind_step
        if back_to is None or back_to // self._n_batches != self.epoch - 1:
            return self.engine.train_epoch(self._examples, order, epoch=self.epoch)
        # In two parts, which give what one gives: they meet between two batches.
        n_before = back_to % self._n_batches * self.plan.batch_size
        parts = [order[:, :n_before]] if n_before else []
        sums = [self.engine.train_epoch(self._examples, part, epoch=self.epoch) for part in parts]
        self._kept["early"] = self._network()
        sums.append(self.engine.train_epoch(self._examples, order[:, n_before:], epoch=self.epoch))
        return Sums(*(torch.stack(each).sum(0) for each in zip(*sums, strict=True)))

    def _test_on(self, columns: dict[str, Tensor], name: str, held: tuple[Any, Tensor]) -> None:
        self._record(columns, name, self.engine.evaluate(*held), held[1].shape[1])

    def _record(self, columns: dict[str, Tensor], name: str, sums: Sums, n: int) -> None:
        columns[f"{name}_loss"] = sums.loss / n
        columns[f"{name}_acc"] = sums.correct.double() / n

    def _record_weights(self, columns: dict[str, Tensor]) -> None:
        """Numbers of the network that was just tested."""
        engine = self.engine
        n_active = [masks.count(mask) for mask in engine.masks]
        columns["density"] = torch.stack(n_active).sum(0).double() / sum(mask[0].numel() for mask in engine.masks)
        for i, (weight, mask) in enumerate(zip(engine.weights, engine.masks, strict=True)):
            if self.plan.debug_weights:
                columns[f"linear_{i}_mean"] = weight.mean((-2, -1))
                columns[f"linear_{i}_std"] = weight.std((-2, -1))
            if self.plan.debug_sparse:
                columns[f"density_l{i}"] = masks.density(mask)
                columns[f"sparse_level_l{i}"] = masks.density(weight != 0)

    def _record_updates(self, columns: dict[str, Tensor], updates: list[MaskUpdate] | None) -> None:
        """Numbers of the mask update, as fractions of all positions; survival is NaN where nothing had grown."""
        n_layers = len(self.engine.masks)
        survival = self._survival.after(updates) if updates else self._survival.unknown(n_layers)
        if not self.plan.debug_sparse:
            return
        for i, mask in enumerate(self.engine.masks):
            update = updates[i] if updates else None
            nothing = torch.zeros_like(columns["density"])
            columns[f"weight_keep_mask_l{i}"] = masks.density(update.kept if update else mask)
            missing = (update.target - masks.count(update.kept)).clamp_min(0) if update else nothing
            columns[f"missing_weights_l{i}"] = missing.double() / mask[0].numel()
            columns[f"added_synapses_l{i}"] = masks.density(update.grown) if update else nothing
            columns[f"mask_sizes_l{i}"] = masks.count(mask)
            columns[f"surviving_synapses_l{i}"] = survival.layers[i]
        columns["surviving_synapses_avg"] = survival.average
        columns["surviving_synapses"] = survival.overall

    def _rows(self, columns: dict[str, Tensor], of_step: Columns, failed: Tensor | None) -> list[Row | None]:
        """One dict per trial. All that is on the device comes from there in one transfer, for which the CPU waits."""
        of_all = {name: value for name, value in of_step.items() if not isinstance(value, Tensor)}
        columns |= {name: value for name, value in of_step.items() if isinstance(value, Tensor)}
        n_trials, device = len(self.errors), self.plan.device
        ended = torch.zeros(n_trials) if failed is None else failed
        all_columns = [each.to(device, torch.float64).expand(n_trials) for each in (*columns.values(), ended)]
        table = torch.stack(all_columns, dim=1).tolist()
        whole = [name for name in columns if name.startswith("mask_sizes")]
        rows: list[Row | None] = []
        for i, (*numbers, has_failed) in enumerate(table):
            if has_failed and self.errors[i] is None:
                self.errors[i] = f"epoch {self.epoch}: {ENDED_AS_IN_2019}"
            row: Row = dict(zip(columns, numbers, strict=True))
            row.update({name: int(row[name]) for name in whole})
            rows.append(None if self.errors[i] else row | of_all)
        return rows

    def state_dict(self) -> dict[str, Any]:
        """All that a Trainer of the same configurations needs to continue bit for bit. Taken between two epochs."""
        return {
            "n_rows": self.n_rows if self._replay is None else 0,
            "epoch": self.epoch,
            "kept": {name: [*kept.parameters, dict(kept.units)] for name, kept in self._kept.items()},
            "errors": list(self.errors),
            "engine": self.engine.state_dict(),
            "survival": self._survival.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self._replay, self._first_rows = None, []
        self.n_rows, self.epoch = state["n_rows"], state["epoch"]
        self._kept = {
            # An engine moves to its device what it is given; the parameters are pruned before.
            name: Network(Parameters(*([each.to(self.plan.device) for each in layers] for layers in parameters)), units)
            for name, (*parameters, units) in state["kept"].items()
        }
        self.errors = list(state["errors"])
        self.engine.load_state_dict(state["engine"])
        self._survival.load_state_dict(state["survival"])
