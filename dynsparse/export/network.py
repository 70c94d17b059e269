"""Trained networks: read from a trial's folder, pruned, compressed, and converted to a torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.config.checks import Choice
from dynsparse.engines.module import ModuleEngine
from dynsparse.export.prune import plan_of
from dynsparse.export.trained_mlp import Trained
from dynsparse.export.trained_module import TrainedModule
from dynsparse.io.storage import Folder, open_folder
from dynsparse.nn.kwinners import KWinners
from dynsparse.nn.module_network import ModuleNetwork
from dynsparse.planning.plan import Plan, steps
from dynsparse.pruning.validation import FRACTION
from dynsparse.results.trial_folder import TrialFolder, state_check
from dynsparse.studies import KINDS, Parameters

TRIALS_NAMED = 10

# A trained network: files, model cards and checks need only what both classes have.
AnyTrained = Trained | TrainedModule
T = TypeVar("T", Trained, TrainedModule, AnyTrained)
# From the boost strength that is saved to that at the evaluation.
Boost = Callable[[Tensor], float]


# Reading


def load_network(trial_dir: str | Path) -> AnyTrained:
    """Return the network in the newest checkpoint of a trial.

    For a sweep, it is the trained network before any pruning. For a lottery ticket, it is the network after the last
    round. For a trial that is not complete, it is the latest network, with a remark.

    A method or a network of the user's own is imported from the Python file that the trial names: the method's mask
    updates decide the remarks, and the network's function builds the module. Read only trials that you trust.

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
    trial = TrialFolder(folder)
    config = trial.config()
    if config is None:
        # The problems are sentences of their own.
        raise ValueError(f"{path} has no configuration that this version can read ({'; '.join(trial.damage)}).")
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


def _from_state(config: Config, rows: Sequence[Any], state: Mapping[str, Any], damage: list[str]) -> AnyTrained:
    """Return the network in the state of a Trainer, with its row."""
    want, engine, n_rows = plan_of(config), state["engine"], state["n_rows"]
    parameters: Sequence[list[Tensor]] = [engine[name] for name in Parameters._fields]
    units: Mapping[str, Any] = engine
    remarks = [*damage, *_remarks(config, want, n_rows, state["epoch"], engine["n_steps"])]
    n_tested = n_rows
    kept_at = [number for number, step in enumerate(steps(config)[:n_rows], start=1) if step.keep]
    if kept_at:
        # The kept network is the trained one, as it was evaluated; the engine has the last pruned one.
        *parameters, units = state["kept"]["trained"]
        n_tested, remarks = kept_at[-1], damage

    def boost(saved: Tensor) -> float:
        return float(saved) if kept_at else _boost_at_test(config, float(saved), n_rows)

    build = _module if isinstance(want.network, ModuleNetwork) else _mlp
    trained = build(want, config, Parameters(*parameters), units, boost)
    return replace(trained, row=rows[n_tested - 1], remarks=tuple(remarks))


def _mlp(want: Plan, config: Config, parameters: Parameters, units: Mapping[str, Any], boost: Boost) -> Trained:
    kwinners = want.network.kwinners
    weights, biases, masks = map(_first, parameters)
    of_hidden = ("duty", "gains", "shifts", "means", "variances")
    others: dict[str, Any] = {name: _first(units[name]) for name in of_hidden if name in units}
    winners = [kwinners.winners(n, training=False)[0] for n in want.network.sizes[1:-1]] if kwinners else []
    strength = boost(units["boost"][0]) if kwinners else 0.0
    return Trained(config, {}, weights, biases, masks, winners, strength, **others)


def _module(
    want: Plan, config: Config, parameters: Parameters, units: Mapping[str, Any], boost: Boost
) -> TrainedModule:
    assert isinstance(want.network, ModuleNetwork)
    engine = ModuleEngine(want, parameters)
    engine.load_state_dict({**engine.state_dict(), **units})
    [network] = engine.modules
    for parameter in network.parameters():
        # The engine's memory has a dimension for trials.
        parameter.data = parameter.data.clone()
    for part in network.modules():
        if isinstance(part, KWinners):
            part.boost.fill_(boost(part.boost))
    settings = {key: getattr(config, key) for key in sorted(want.network.keys_read)}
    settings["input_shape"] = want.network.input_shape
    return TrainedModule(config, {}, network.eval(), _first(engine.masks), want.network.layers, settings)


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


def pruned(trained: T, kind: str, sparsity: float) -> T:
    """Return the network after pruning the same weights or units as study="sweep".

    `prune_scope`, `prune_biases` and `prune_last_layer` are read from the trial's configuration.

    Args:
        trained: the network.
        kind: "weight" or "unit".
        sparsity: share of the weights, or units, of each layer to prune, in [0, 1].

    Raises:
        ValueError: For an unknown kind, a sparsity out of range, a compressed network, or a torch module whose units
            cannot be pruned.

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
    remark = f"After training it was pruned: {kind}s, sparsity {sparsity:g}, prune_scope {trained.config.prune_scope}."
    return replace(trained.pruned(kind, sparsity), remarks=(*trained.remarks, remark))


def compressed(trained: T) -> T:
    """Return the network without units and filters that do not change the outputs.

    Weights that are 0 become inactive, and batch norm of a multilayer perceptron becomes part of its weights. See
    `dynsparse.pruning.compress` for multilayer perceptrons, and `dynsparse.pruning.compress_module` for torch modules,
    which needs the extra `compress`.

    Args:
        trained: the network.

    Raises:
        ValueError: For a network with k-winners, or a torch module whose outputs would change.
        ImportError: For a torch module, if the package torch-pruning is not installed.

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
    return trained.compressed()


def module(trained: AnyTrained) -> nn.Module:
    """Return the network as a torch module in evaluation mode.

    It computes logits (batch, classes) from inputs that are normalised like the data set: (batch, inputs) for a
    multilayer perceptron, else examples of the trial's `input_shape`.

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
    return trained.as_module()
