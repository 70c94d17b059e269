"""A trained network out of a trial's folder: read, pruned, compressed, and as a module of torch's own layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.config.checks import Choice
from dynsparse.engines.base import tie_noise
from dynsparse.export.modules import build
from dynsparse.io.storage import Folder, open_folder
from dynsparse.planning.plan import Plan, plan, steps
from dynsparse.pruning import compress
from dynsparse.pruning.validation import FRACTION
from dynsparse.random import Purpose
from dynsparse.results.trial_folder import TrialFolder
from dynsparse.studies import KINDS, Parameters

TRIALS_NAMED = 10


@dataclass(frozen=True)
class Trained:
    """One network after training, one tensor per layer, on the CPU. There is no trials axis.

    Shapes: weights (out, in), 0 where the mask is False; biases (out,); masks (out, in), bool. Of each hidden layer
    (out,), or no tensors where they are not used: duty, gains, shifts, means, variances.
    """

    config: Config
    row: Mapping[str, Any]  # of the trial's results: of the test of this network, before what `remarks` say
    weights: list[Tensor]
    biases: list[Tensor]
    masks: list[Tensor]
    winners: list[int] = field(default_factory=list)  # k of each hidden layer in evaluation; none: ReLU
    boost: float = 0.0  # that of the test
    duty: list[Tensor] = field(default_factory=list)
    gains: list[Tensor] = field(default_factory=list)
    shifts: list[Tensor] = field(default_factory=list)
    means: list[Tensor] = field(default_factory=list)
    variances: list[Tensor] = field(default_factory=list)
    remarks: tuple[str, ...] = ()  # why it is not, or no longer, the network that `row` was measured on

    @property
    def sizes(self) -> list[int]:
        """Inputs, units of each hidden layer, classes."""
        return [self.weights[0].shape[1], *(len(each) for each in self.biases)]


# Reading


def load_network(trial_dir: str | Path) -> Trained:
    """The network of a trial's newest checkpoint.

    That of a sweep is the one after training, before anything was pruned; that of a lottery ticket the one after the
    last round. A trial that is not complete gives the network that it has come to, with a remark.

    Args:
        trial_dir: a path or a URI (s3://...).

    Raises: ValueError if it is no trial's folder, or holds no network; OSError where the storage fails.
    """
    path = str(trial_dir) if "://" in str(trial_dir) else str(Path(trial_dir).expanduser())
    folder = open_folder(path)
    _check_is_trial(folder)
    trial = TrialFolder(folder)
    config = trial.config()
    if config is None:
        raise ValueError(f"{path} has no configuration that this version reads: {'; '.join(trial.damage)}")
    rows = trial.rows()
    state = trial.load_checkpoint(len(rows))
    if state is None or state["n_rows"] == 0:
        found = "; ".join([f"its rows: {len(rows)}", *trial.damage])
        raise ValueError(
            f"{path} has no checkpoint of a trained network ({found}); type the command that ran it again, which goes "
            f"on to the end, where the last checkpoint is kept"
        )
    return _of_state(config, rows, state, trial.damage)


def _check_is_trial(folder: Folder) -> None:
    """Raises: ValueError if the folder is not there, or is none of a trial; it names the trials that are in it."""
    names = folder.names()
    if not names:
        raise ValueError(f"there is no folder {folder.path!r}, or nothing in it; give the folder of a trial")
    if "params.json" in names:
        return
    trials = [name for name in names if name.startswith("trial_")]
    if not trials:
        raise ValueError(f"{folder.path!r} is no trial's folder: it has no params.json")
    more = f" and {len(trials) - TRIALS_NAMED} more" if len(trials) > TRIALS_NAMED else ""
    raise ValueError(
        f"{folder.path!r} is the folder of an experiment; give that of one of its trials (which is which says the "
        f"column trial_id of analysis.load): {', '.join(trials[:TRIALS_NAMED])}{more}"
    )


def _of_state(config: Config, rows: Sequence[Any], state: Mapping[str, Any], damage: list[str]) -> Trained:
    """The network in a Trainer's state, and its row. Raises: ValueError if a part of it was not kept."""
    want, engine, n_rows = _plan(config), state["engine"], state["n_rows"]
    kwinners = want.network.kwinners
    parameters: Sequence[list[Tensor]] = [engine[name] for name in Parameters._fields]
    units: Mapping[str, Any] = engine
    remarks = [*damage, *_remarks(config, want, n_rows, state["epoch"])]
    boost = _boost_at_test(config, float(engine["boost"][0]), n_rows)
    kept_at = [number for number, step in enumerate(steps(config)[:n_rows], start=1) if step.keep]
    if kept_at:
        # As it was tested; the engine has the last of the pruned networks.
        *parameters, units = state["kept"]["trained"]
        n_rows, remarks, boost = kept_at[-1], damage, float(units["boost"][0])
    only = {name: _first(layers) for name, layers in zip(Parameters._fields, parameters, strict=True)}
    of_hidden = ("duty", "gains", "shifts", "means", "variances")
    only |= {name: _first(units[name]) for name in of_hidden if name in units}
    winners = [kwinners.winners(n, training=False)[0] for n in want.network.sizes[1:-1]] if kwinners else []
    return Trained(
        config=config,
        row=rows[n_rows - 1],
        winners=winners,
        boost=boost if kwinners else 0.0,
        remarks=tuple(remarks),
        **only,
    )


def _plan(config: Config) -> Plan:
    return plan([replace(config, device="cpu", engine="torch")])


def _first(layers: Sequence[Tensor]) -> list[Tensor]:
    """Of the one trial. Shapes: (1, ...) to (...) for each layer."""
    return [each[0].cpu() for each in layers]


def _boost_at_test(config: Config, boost: float, n_rows: int) -> float:
    """The boost strength of the last test: it has faded once since then, so that an engine has the next epoch's."""
    if config.boost_strength_factor > 0:
        return boost / config.boost_strength_factor
    # None was left after the first epoch with this network.
    begins = [number for number, step in enumerate(steps(config)[:n_rows]) if step.begin is not None]
    is_first = n_rows - max(begins, default=0) == 1
    return config.boost_strength if is_first else 0.0


def _remarks(config: Config, want: Plan, n_rows: int, epoch: int) -> list[str]:
    remarks, n_all = [], len(steps(config))
    if n_rows < n_all:
        remarks.append(f"The trial was not complete: this is its network after row {n_rows} of {n_all}.")
    if want.updates is not None and want.updates.due(epoch):
        remarks.append("A mask update came after the results were measured: weights were pruned, and others grown.")
    return remarks


# Changing


def pruned(trained: Trained, kind: str, sparsity: float) -> Trained:
    """The network pruned, as study="sweep" prunes a trained network: the same weights go.

    What the sweep reads is read from the trial's configuration: `prune_scope`, `prune_biases`, `prune_last_layer`.

    Args:
        kind: of KINDS: "weight" or "unit".
        sparsity: share of the weights, or units, of each layer, in [0, 1].

    Raises: ValueError for another kind or sparsity, for units under batch norm, and for a compressed network.
    """
    kind = Choice(KINDS).read("kind", kind)
    sparsity = FRACTION.read("sparsity", sparsity)
    if trained.gains and kind == "unit":
        raise ValueError("kind: with batch_norm a unit without weights still gives its shift; take 'weight'")
    want = _plan(trained.config)
    if [tuple(each.shape) for each in trained.weights] != want.network.shapes:
        raise ValueError("a compressed network cannot be pruned; prune it first")
    ties = [tie_noise(want, Purpose.PRUNE_TRAINED, layer, 0)[0] for layer in range(len(trained.weights))]
    prune = KINDS[kind](trained.config)
    now = prune(Parameters(trained.weights, trained.biases, trained.masks), sparsity, ties)
    remark = f"After training it was pruned: {kind}s, sparsity {sparsity:g}, prune_scope {trained.config.prune_scope}."
    return replace(trained, **now._asdict(), remarks=(*trained.remarks, remark))


def compressed(trained: Trained) -> Trained:
    """The network without the units that do nothing; see `dynsparse.pruning.compress`. Weights that are 0 are inactive.

    Raises: ValueError for k-winners and batch norm.
    """
    for what, used in (("k-winners", trained.winners), ("batch norm", trained.gains)):
        if used:
            raise ValueError(f"only a network with ReLU alone can be compressed, and this one has {what}; leave it out")
    weights, biases = compress(trained.weights, trained.biases)
    n_before, n_after = (sum(len(each) for each in layers[:-1]) for layers in (trained.biases, biases))
    remark = f"After training it was compressed: {n_after} of {n_before} hidden units are left."
    masks = [each.ne(0) for each in weights]
    return replace(trained, weights=weights, biases=biases, masks=masks, remarks=(*trained.remarks, remark))


# As a module


def module(trained: Trained) -> nn.Sequential:
    """The network in evaluation mode: (batch, inputs), normalised as the data set is, to logits (batch, classes)."""
    return build({name: each.clone() for name, each in tensors(trained).items()}, trained.winners)


def tensors(trained: Trained) -> dict[str, Tensor]:
    """All numbers of the network, by the names that they have in `module`.

    For the layers i from 0 on: linear_i.weight (out, in), linear_i.bias (out,). For hidden layers with batch norm
    norm_i.weight, .bias, .running_mean, .running_var, with k-winners winners_i.factor, each (out,).
    """
    named = {
        "linear_{}.weight": trained.weights,
        "linear_{}.bias": trained.biases,
        "norm_{}.weight": trained.gains,
        "norm_{}.bias": trained.shifts,
        "norm_{}.running_mean": trained.means,
        "norm_{}.running_var": trained.variances,
        "winners_{}.factor": [torch.exp(-trained.boost * each) for each in trained.duty],
    }
    return {name.format(layer): each for name, layers in named.items() for layer, each in enumerate(layers)}
