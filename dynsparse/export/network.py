"""A trained network: read from a trial's folder, pruned, compressed, and converted to a torch module."""

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
from dynsparse.io.json_object import parse_object
from dynsparse.io.storage import Folder, open_folder
from dynsparse.nn.module_network import is_module
from dynsparse.planning.plan import Plan, plan, steps
from dynsparse.pruning import compress
from dynsparse.pruning.validation import FRACTION
from dynsparse.random import Purpose
from dynsparse.results.trial_folder import TrialFolder, state_check
from dynsparse.studies import KINDS, Parameters

TRIALS_NAMED = 10


@dataclass(frozen=True)
class Trained:
    """A trained network with one tensor per layer, on the CPU, without a trials axis.

    Shapes: weights (out, in), 0 where the mask is False; biases (out,); masks (out, in), bool. The lists duty, gains,
    shifts, means and variances have one tensor (out,) per hidden layer, or are empty if they are not used.

    Example:
        >>> import torch
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import Trained
        >>> config = Config(dataset_name="digits", model="Dense", hidden_sizes=[8])
        >>> weights, biases = [torch.randn(8, 64), torch.randn(10, 8)], [torch.zeros(8), torch.zeros(10)]
        >>> Trained(config, {}, weights, biases, masks=[each.ne(0) for each in weights]).sizes
        [64, 8, 10]
    """

    config: Config
    row: Mapping[str, Any]  # the trial's results for this network, before the changes in `remarks`
    weights: list[Tensor]
    biases: list[Tensor]
    masks: list[Tensor]
    winners: list[int] = field(default_factory=list)  # k of each hidden layer in evaluation; empty: ReLU
    boost: float = 0.0  # boost strength at the last evaluation
    duty: list[Tensor] = field(default_factory=list)
    gains: list[Tensor] = field(default_factory=list)
    shifts: list[Tensor] = field(default_factory=list)
    means: list[Tensor] = field(default_factory=list)
    variances: list[Tensor] = field(default_factory=list)
    remarks: tuple[str, ...] = ()  # differences from the network on which `row` was measured

    @property
    def sizes(self) -> list[int]:
        """The numbers of inputs, units of each hidden layer, and classes."""
        return [self.weights[0].shape[1], *(len(each) for each in self.biases)]


# Reading


def load_network(trial_dir: str | Path) -> Trained:
    """Return the network in the newest checkpoint of a trial.

    For a sweep, it is the trained network before any pruning. For a lottery ticket, it is the network after the last
    round. For a trial that is not complete, it is the latest network, with a remark. A method of the user's own is
    imported, because its mask updates decide the remarks; nothing else that the folder names is run.

    Args:
        trial_dir: the trial's folder, a path or a URI (s3://...).

    Raises:
        ValueError: If it is not the folder of a trial, or has no checkpoint.
        OSError: If the storage fails.

    Example:
        >>> import tempfile
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import load_network
        >>> from dynsparse.io.storage import open_folder
        >>> from dynsparse.results.trial_folder import TrialFolder, state_check
        >>> from dynsparse.training.trainer import Trainer
        >>> config = Config(dataset_name="digits", model="Dense", hidden_sizes=[8], epochs=1)
        >>> with tempfile.TemporaryDirectory() as folder:  # `dynsparse run` writes such folders
        ...     trainer, trial = Trainer([config]), TrialFolder(open_folder(folder))
        ...     trial.create(config, {})
        ...     trial.append({"training_iteration": 1, **trainer.step()[0]})
        ...     trial.save_checkpoint(1, trainer.state_dict())
        ...     load_network(folder).sizes
        [64, 8, 10]
    """
    path = str(trial_dir) if "://" in str(trial_dir) else str(Path(trial_dir).expanduser())
    folder = open_folder(path)
    _check_is_trial(folder)
    # Looked at before the configuration is checked, which imports the function that `network` may name.
    network = (parse_object(folder.read("params.json") or b"") or {}).get("network")
    if isinstance(network, str) and is_module(network):
        raise ValueError(
            f"A network to export must be a multilayer perceptron, got network={network!r} in {path}: torch modules "
            "cannot be exported yet. Export a trial with network='MLP' or 'MLPHeb'."
        )
    trial = TrialFolder(folder)
    config = trial.config()
    if config is None:
        raise ValueError(f"{path} has no configuration that this version can read: {'; '.join(trial.damage)}.")
    rows = trial.rows()
    state = trial.load_checkpoint(len(rows), state_check(config))
    if state is None or state["n_rows"] == 0:
        found = "; ".join([f"rows: {len(rows)}", *trial.damage])
        raise ValueError(
            f"{path} has no checkpoint of a trained network ({found}). Rerun the command that trained it: it resumes "
            "the trial, and keeps the last checkpoint."
        )
    return _from_state(config, rows, state, trial.damage)


def _check_is_trial(folder: Folder) -> None:
    """Check that a folder is that of a trial. Raises: ValueError that names the trials in the folder."""
    names = folder.names()
    if not names:
        raise ValueError(f"The folder {folder.path!r} does not exist or is empty. Give the folder of a trial.")
    if "params.json" in names:
        return
    trials = [name for name in names if name.startswith("trial_")]
    if not trials:
        raise ValueError(
            f"{folder.path!r} is not the folder of a trial: it has no params.json. Give the folder of a trial."
        )
    more = f" and {len(trials) - TRIALS_NAMED} more" if len(trials) > TRIALS_NAMED else ""
    raise ValueError(
        f"{folder.path!r} is the folder of an experiment. Give the folder of one of its trials, which the column "
        f"trial_id of analysis.load identifies: {', '.join(trials[:TRIALS_NAMED])}{more}."
    )


def _from_state(config: Config, rows: Sequence[Any], state: Mapping[str, Any], damage: list[str]) -> Trained:
    """Return the network in the state of a Trainer, with its row."""
    want, engine, n_rows = _plan(config), state["engine"], state["n_rows"]
    kwinners = want.network.kwinners
    parameters: Sequence[list[Tensor]] = [engine[name] for name in Parameters._fields]
    units: Mapping[str, Any] = engine
    remarks = [*damage, *_remarks(config, want, n_rows, state["epoch"], engine["n_steps"])]
    boost = _boost_at_test(config, float(engine["boost"][0]), n_rows)
    kept_at = [number for number, step in enumerate(steps(config)[:n_rows], start=1) if step.keep]
    if kept_at:
        # The kept network is the trained one; the engine has the last pruned one.
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
    """Return the tensors of the only trial. Shapes: (1, ...) to (...) for each layer."""
    return [each[0].cpu() for each in layers]


def _boost_at_test(config: Config, boost: float, n_rows: int) -> float:
    """Return the boost strength at the last evaluation. The engine has that of the next epoch, after another decay."""
    if config.boost_strength_factor > 0:
        return boost / config.boost_strength_factor
    # With a factor of 0, only the first epoch with a network has a boost.
    begins = [number for number, step in enumerate(steps(config)[:n_rows]) if step.begin is not None]
    is_first = n_rows - max(begins, default=0) == 1
    return config.boost_strength if is_first else 0.0


def _remarks(config: Config, want: Plan, n_rows: int, epoch: int, n_steps: int) -> list[str]:
    remarks, n_all = [], len(steps(config))
    if n_rows < n_all:
        remarks.append(f"The trial was not complete: this is its network after row {n_rows} of {n_all}.")
    # Masks are updated in the first training only, in which each row is an epoch.
    if want.updates is not None and 0 < epoch == n_rows and want.updates.steps(n_steps // epoch).due(n_steps):
        remarks.append("A mask update came after the results were measured: weights were pruned, and others grown.")
    return remarks


# Changing


def pruned(trained: Trained, kind: str, sparsity: float) -> Trained:
    """Return the network after pruning the same weights or units as study="sweep".

    `prune_scope`, `prune_biases` and `prune_last_layer` are read from the trial's configuration.

    Args:
        trained: the network.
        kind: "weight" or "unit".
        sparsity: share of the weights, or units, of each layer to prune, in [0, 1].

    Raises:
        ValueError: For an unknown kind, a sparsity out of range, units with batch norm, or a compressed network.

    Example:
        >>> import torch
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import Trained, pruned
        >>> config = Config(dataset_name="digits", model="Dense", hidden_sizes=[8])
        >>> weights, biases = [torch.randn(8, 64), torch.randn(10, 8)], [torch.zeros(8), torch.zeros(10)]
        >>> trained = Trained(config, {}, weights, biases, masks=[each.ne(0) for each in weights])
        >>> [int(mask.sum()) for mask in pruned(trained, "weight", 0.75).masks]
        [128, 80]
    """
    kind = Choice(KINDS).read("kind", kind)
    sparsity = FRACTION.read("sparsity", sparsity)
    if trained.gains and kind == "unit":
        raise ValueError(
            "kind must be 'weight' for a network with batch norm, got 'unit': pruned units would still have a shift."
        )
    want = _plan(trained.config)
    if [tuple(each.shape) for each in trained.weights] != want.network.shapes:
        raise ValueError("A compressed network cannot be pruned. Prune it before compressing it.")
    ties = [tie_noise(want, Purpose.PRUNE_TRAINED, layer, 0)[0] for layer in range(len(trained.weights))]
    prune = KINDS[kind](trained.config)
    now = prune(Parameters(trained.weights, trained.biases, trained.masks), sparsity, ties)
    remark = f"After training it was pruned: {kind}s, sparsity {sparsity:g}, prune_scope {trained.config.prune_scope}."
    return replace(trained, **now._asdict(), remarks=(*trained.remarks, remark))


def compressed(trained: Trained) -> Trained:
    """Return the network without units that do not change the outputs; see `dynsparse.pruning.compress`.

    Weights that are 0 become inactive.

    Args:
        trained: the network.

    Raises:
        ValueError: For a network with k-winners or batch norm.

    Example:
        >>> import torch
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import Trained, compressed, pruned
        >>> config = Config(dataset_name="digits", model="Dense", hidden_sizes=[8])
        >>> weights, biases = [torch.randn(8, 64), torch.randn(10, 8)], [torch.zeros(8), torch.zeros(10)]
        >>> trained = Trained(config, {}, weights, biases, masks=[each.ne(0) for each in weights])
        >>> compressed(pruned(trained, "unit", 0.75)).sizes
        [64, 2, 10]
    """
    for part, used in (("k-winners", trained.winners), ("batch norm", trained.gains)):
        if used:
            raise ValueError(f"A network to compress must have ReLU without batch norm, got one with {part}.")
    weights, biases = compress(trained.weights, trained.biases)
    n_before, n_after = (sum(len(each) for each in layers[:-1]) for layers in (trained.biases, biases))
    remark = f"After training it was compressed: {n_after} of {n_before} hidden units are left."
    masks = [each.ne(0) for each in weights]
    return replace(trained, weights=weights, biases=biases, masks=masks, remarks=(*trained.remarks, remark))


# As a module


def module(trained: Trained) -> nn.Sequential:
    """Return the network as a torch module in evaluation mode.

    It computes logits (batch, classes) from inputs (batch, inputs) that are normalised like the data set.

    Args:
        trained: the network.

    Example:
        >>> import torch
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import Trained, module
        >>> config = Config(dataset_name="digits", model="Dense", hidden_sizes=[])
        >>> masks = [torch.ones(10, 64, dtype=torch.bool)]
        >>> trained = Trained(config, {}, [torch.ones(10, 64)], [torch.zeros(10)], masks)
        >>> module(trained)(torch.ones(1, 64))[0, 0].item()
        64.0
    """
    return build({name: each.clone() for name, each in tensors(trained).items()}, trained.winners)


def tensors(trained: Trained) -> dict[str, Tensor]:
    """Return all tensors of the network, by their names in `module`.

    Each layer i, from 0, has linear_i.weight (out, in) and linear_i.bias (out,). Hidden layers with batch norm have
    norm_i.weight, .bias, .running_mean and .running_var, and those with k-winners have winners_i.factor, each (out,).
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
