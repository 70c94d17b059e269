"""Saved states of one trial: whether they fit its configuration, and entries that older versions did not save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dynsparse.config import Config
from dynsparse.engines.module import ModuleEngine
from dynsparse.engines.torch import TorchEngine
from dynsparse.nn.module_network import ModuleNetwork
from dynsparse.planning.plan import Plan, plan
from dynsparse.studies import Parameters
from dynsparse.training.trainer import UNIT_STATE


def checked_state(state: Any, config: Config) -> dict[str, Any]:
    """Return the entries of a saved state that a Trainer needs, after checking that they fit the trial's network.

    Args:
        state: what was read from a checkpoint. Its source need not be trusted.
        config: the trial.

    Raises: ValueError if it is not the state of such a trial.
    """
    if not isinstance(state, dict):
        raise ValueError(f"it must have a dict, got a {type(state).__name__}")
    # Before there were studies, each row was an epoch.
    state = {"n_rows": state.get("epoch"), "kept": {}, **state}
    want = plan([replace(config, device="cpu", engine="torch")])
    engine = _engine_state(want)
    checked: dict[str, Any] = _fitted(state, {"n_rows": 0, "epoch": 0, "engine": engine}, "state")
    if not 0 <= checked["epoch"] <= checked["n_rows"] <= len(want.study.steps):
        raise ValueError(f"epoch {checked['epoch']} and row {checked['n_rows']} are not of this trial")
    checked["errors"] = _checked_errors(state.get("errors"))
    checked["kept"] = _checked_kept(state["kept"], engine)
    if any(step.keep for step in want.study.steps[: checked["n_rows"]]) and "trained" not in checked["kept"]:
        raise ValueError("state.kept.trained is missing")
    checked["survival"] = _checked_survival(state.get("survival"), engine["masks"])
    later = _later_entries(checked)
    for name, model in later.items():
        checked[name] = _fitted(state.get(name, model), model, f"state.{name}")
    return checked


def _later_entries(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that version 0.1 did not save.

    Operations and positions of the training before it are unknown: `flops_train` and `explored` are then NaN.
    """
    unknown = torch.full((1,), torch.nan, dtype=torch.float64)
    counts = {
        "flops": {"total": unknown, "n_examples": unknown},
        "exploration": {"explored": state["engine"]["masks"], "is_known": torch.tensor([False])},
    }
    return {
        "overlap": {"stopped": torch.zeros(1, len(state["engine"]["masks"]), dtype=torch.bool)},
        "counts": counts,
        "counts_when_kept": counts if "trained" in state["kept"] else {},
    }


def _engine_state(want: Plan) -> dict[str, Any]:
    """Return the state of a new engine. Only the form of its tensors counts."""
    shapes = [(1, *shape) for shape in want.network.shapes]
    weights, biases = [torch.zeros(shape) for shape in shapes], [torch.zeros(shape[:2]) for shape in shapes]
    engine = ModuleEngine if isinstance(want.network, ModuleNetwork) else TorchEngine
    return engine(want, Parameters(weights, biases, [each.bool() for each in weights])).state_dict()


def _checked_errors(errors: Any) -> list[str | None]:
    if not (isinstance(errors, list) and len(errors) == 1 and isinstance(errors[0], str | None)):
        raise ValueError("state.errors must be the error of one trial")
    return errors


def _checked_kept(kept: Any, engine: Mapping[str, Any]) -> dict[str, list[Any]]:
    if not isinstance(kept, dict):
        raise ValueError("state.kept must be a dict")
    checked = {}
    for name in kept.keys() & {"early", "trained"}:
        *parameters, units = kept[name] if isinstance(kept[name], list) else [None]
        of_network = [each for each in UNIT_STATE if each in engine]
        model = {each: engine[each] for each in of_network if isinstance(units, dict) and each in units}
        layers = _fitted(parameters, [engine[each] for each in Parameters._fields], f"state.kept.{name}")
        checked[name] = [*layers, _fitted(units, model, f"state.kept.{name}.units")]
    return checked


def _checked_survival(survival: Any, masks: list[Tensor]) -> dict[str, Any]:
    found, number = survival if isinstance(survival, dict) else {}, torch.zeros(1)
    model = {
        # Nothing has grown before the first mask update.
        "_grown": [] if found.get("_grown") == [] else masks,
        "_averages": [number] * len(found["_averages"]) if isinstance(found.get("_averages"), list) else [],
        "_times_low": number.long(),
        "stopped": number.bool(),
    }
    checked: dict[str, Any] = _fitted(survival, model, "state.survival")
    return checked


def _fitted(found: Any, model: Any, name: str) -> Any:
    """Return a value reduced to the entries of a model. Raises: ValueError if it has another form."""
    if isinstance(model, Tensor):
        if type(found) is not Tensor or found.layout is not torch.strided or _form(found) != _form(model):
            raise ValueError(f"{name} must be a tensor of shape {tuple(model.shape)} like {model.dtype}")
        return found
    if type(found) is not type(model):
        raise ValueError(f"{name} must be of type {type(model).__name__}, got {type(found).__name__}")
    if isinstance(model, dict):
        missing = model.keys() - found.keys()
        if missing:
            raise ValueError(f"{name}.{min(missing)} is missing")
        return {key: _fitted(found[key], each, f"{name}.{key}") for key, each in model.items()}
    if isinstance(model, list):
        if len(found) != len(model):
            raise ValueError(f"{name} must have {len(model)} entries, got {len(found)}")
        return [_fitted(found[place], each, f"{name}.{place}") for place, each in enumerate(model)]
    if not 0 <= found < 2**63:
        raise ValueError(f"{name} must be in [0, 2**63)")
    return found


def _form(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.is_floating_point(), tensor.is_complex(), tensor.dtype is torch.bool
