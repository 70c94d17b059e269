"""Model card of an exported file: network, results and how to load it. It names no person and no machine."""

from __future__ import annotations

from typing import Any

from dynsparse.config import Config
from dynsparse.config.functions import without_folder
from dynsparse.data import Dataset, is_own, own_keys
from dynsparse.data.own import is_regression, name_without_folder
from dynsparse.export.evaluate import evaluate, find_dataset
from dynsparse.export.markdown import code, escaped, literal, table
from dynsparse.export.network import AnyTrained
from dynsparse.export.onnx_file import INPUT, OUTPUT
from dynsparse.export.trained_module import TrainedModule
from dynsparse.planning.plan import keys_read
from dynsparse.pruning.summary import summary
from dynsparse.results.grid_status import version
from dynsparse.results.trial_folder import NOT_IN_IDENTITY, identity

IN_WORDS = {"dense": "all weights, inactive ones as zeros", "sparse": "the active weights and their positions"}

TORCH = """\
import torch

from dynsparse.export import {needed}
{imports}
{model}
{inputs} = torch.zeros({shape})  # put your {examples} here, one per row, as in the data set
with torch.inference_mode():
    {outputs} = model({normalised})
print({result})
"""

ONNX = """\
import numpy as np
import onnxruntime
{imports}
session = onnxruntime.InferenceSession({name})
{inputs} = np.zeros(({shape}), np.float32)  # put your {examples} here, one per row, as in the data set
({outputs},) = session.run(None, {{"{input}": {normalised}}})
print({result})
"""


def card(trained: AnyTrained, name: str, form: str) -> str:
    """Return the model card, in Markdown, of a file called `name`."""
    config, dataset = trained.config, find_dataset(trained.config)
    names, weights, biases, masks, positions = zip(*trained.layers(), strict=True)
    layers = summary(weights, biases, masks, names=names, positions=positions)
    total = layers.iloc[-1]
    facts = {
        "data set": name_without_folder(config.dataset_name),
        **trained.facts,
        "method": config.model,
        "density": f"{total['density']:.4g} of the weights are active",
        "form": f"{form}: {IN_WORDS[form]}",
        "trial": identity(config),
        "made with": f"dynsparse {version()}",
    }
    keys = sorted(keys_read(config) - set(NOT_IN_IDENTITY))
    parts = [
        f"# {escaped(name)}",
        f"A {'torch module' if isinstance(trained, TrainedModule) else 'multilayer perceptron'} that "
        + (f"predicts {_numbers(config)}." if is_regression(config) else f"classifies {_inputs(dataset)}."),
        table(["", ""], [(key, escaped(value)) for key, value in facts.items()]),
        *(f"- {escaped(remark)}" for remark in trained.remarks),
        "## Results",
        _results(trained, dataset),
        "## Load it",
        f"```python\n{_code(trained, name, dataset)}```",
        _input(trained, dataset),
        "## Layers",
        table(list(layers.columns), layers.astype(object).where(layers.notna(), "").to_numpy().tolist()),
        "`bytes_dense` and `bytes_sparse` are the sizes of the tensors in memory, the latter in CSR format.",
        "## Configuration",
        "The keys that the trial read; `dynsparse keys` explains them.",
        table(["key", "value"], [(code(key), code(repr(_value(config, key)))) for key in keys]),
    ]
    return "\n\n".join(parts) + "\n"


def _results(trained: AnyTrained, dataset: Dataset | None) -> str:
    row, val_set = trained.row, "held-out training examples" if trained.config.val_fraction else "the test set"
    metrics = [(escaped(name), _shown(row[name])) for name in row if name.endswith(("_acc", "_loss", "_r2", "_rmse"))]
    changed = ", before the changes in the remarks above" if trained.remarks else ""
    text = [
        f"Row {row['training_iteration']} of the trial{changed}; `val_*` is on {val_set}:",
        table(["result", "value"], metrics),
    ]
    if dataset is None:
        text.append("The data set was not on the machine that wrote this card, so the file itself was not evaluated.")
    else:
        scores = evaluate(trained.as_module(), dataset, trained.input_shape)
        names = {"acc": "accuracy", "loss": "loss", "r2": "R²", "rmse": "RMSE"}
        shown = ", ".join(f"{words} {scores[name]:.4f}" for name, words in names.items() if name in scores)
        text.append(f"The network in this file, on the {len(dataset.test_y)} test {_inputs(dataset)}: {shown}.")
    return "\n\n".join(text)


def _shown(value: Any) -> Any:
    """Return a value of a row for a table: a number, or a text that is escaped."""
    return value if isinstance(value, int | float) else escaped(value)


def _inputs(dataset: Dataset | None) -> str:
    """Return what the examples of a data set are called."""
    return "images" if dataset is None or not dataset.feature_mean else "examples"


def _value(config: Config, key: str) -> Any:
    """Return the value of a key, without the folders of this machine."""
    value = getattr(config, key)
    shorten = {"dataset_name": name_without_folder, "network": without_folder}
    return shorten[key](value) if key in shorten else value


def _code(trained: AnyTrained, name: str, dataset: Dataset | None) -> str:
    is_onnx, imports, inputs = name.endswith(".onnx"), "", "pixels"
    if dataset and dataset.feature_mean:
        inputs, numbers = "features", "np.array({}, np.float32)" if is_onnx else "torch.tensor({})"
        moments = (numbers.format(list(each)) for each in (dataset.feature_mean, dataset.feature_scale))
        imports = "".join(f"\n{of} = {each}" for of, each in zip(("mean", "scale"), moments, strict=True))
        normalised = "(features - mean) * scale"
    elif dataset:
        normalised = f"(pixels - {dataset.train.mean!r}) * {dataset.train.scale!r}"
    elif is_own(trained.config.dataset_name):
        inputs = "features"
        about = literal(name_without_folder(trained.config.dataset_name))
        pixels = f"pixels={literal(trained.config.pixels)}"
        imports = "from dynsparse.data import OwnData, load_dataset\n"
        imports += f"\ndata = load_dataset({about}, {pixels}, own={own_keys(trained.config)!r})"
        normalised = "data.normalise(features).numpy()" if is_onnx else "data.normalise(features.numpy())"
    else:
        normalised = "(pixels - images.mean) * images.scale"
        about = f"{literal(trained.config.dataset_name)}, pixels={literal(trained.config.pixels)}"
        imports = f"from dynsparse.data import load_dataset\n\nimages = load_dataset({about}).train"
    if is_onnx:
        # Pixels of uint8 would become float64, which the session refuses.
        normalised = f"np.asarray({normalised}, np.float32)"
    values = {"imports": imports, "name": literal(name), "input": INPUT, **_loading(trained, name)}
    values["shape"] = ", ".join(map(str, (1, *trained.input_shape)))
    values |= _prediction(trained, dataset, is_onnx)
    examples = "images" if inputs == "pixels" else "examples"
    template = ONNX if is_onnx else TORCH
    return template.format(normalised=normalised, inputs=inputs, examples=examples, **values)


def _loading(trained: AnyTrained, name: str) -> dict[str, str]:
    """Return the code of a card that reads a .safetensors or .pt file, and the names that it imports."""
    if not isinstance(trained, TrainedModule):
        return {"needed": "load_exported", "model": f"model = load_exported({literal(name)})"}
    settings = "".join(f", {key}={value!r}" for key, value in trained.settings.items())
    build = f"net = new_module({literal(trained.name)}{settings})"
    return {"needed": "load_exported, new_module", "model": f"{build}\nmodel = load_exported({literal(name)}, net)"}


def _prediction(trained: AnyTrained, dataset: Dataset | None, is_onnx: bool) -> dict[str, str]:
    """Return the name of what the network returns in the code of a card, and the expression of what it predicts."""
    if not is_regression(trained.config):
        return {"outputs": OUTPUT, "result": f"{OUTPUT}.argmax(1)"}
    if dataset is None:
        return {"outputs": "outputs", "result": "data.predictions(outputs)"}
    array = "np.array({}, np.float32)" if is_onnx else "torch.tensor({})"
    deviation, mean = (array.format(list(each)) for each in (dataset.target_deviation, dataset.target_mean))
    return {"outputs": "outputs", "result": f"outputs * {deviation} + {mean}"}


def _numbers(config: Config) -> str:
    """Return what a network of a regression predicts."""
    return "a number" if config.num_classes == 1 else f"{config.num_classes} numbers"


def _output(config: Config, dataset: Dataset | None) -> str:
    """Return what the outputs of a network are."""
    if is_regression(config):
        return f"The output is {_numbers(config)} per example, standardized: the code turns it into its own unit."
    return f"The output is one logit for each of {config.num_classes} classes{_classes(dataset)}."


def _input(trained: AnyTrained, dataset: Dataset | None) -> str:
    name, n_in = trained.config.dataset_name, " x ".join(map(str, trained.input_shape))
    if dataset and dataset.feature_mean:
        return _features(trained.config, dataset)
    if dataset is None and is_own(name):
        return (
            f"The input is {n_in} numbers per example. `load_dataset` needs {escaped(name_without_folder(name))}, and "
            f"normalises them. {_output(trained.config, dataset)}"
        )
    normalised = {
        "standard": "normalised: minus the mean of all pixels of the training set, divided by their standard deviation",
        "unit": "divided by the largest pixel of the training set",
    }[trained.config.pixels]
    text = f"The input is {n_in} pixels per image, row by row, {normalised}. {_output(trained.config, dataset)}"
    if dataset is None:
        return f"{text} `load_dataset` downloads {escaped(name)} if necessary."
    moments = f"minus {dataset.train.mean:.6g}, divided by {1 / dataset.train.scale:.6g}"
    return f"{text} In the unit of the pixels of {escaped(name_without_folder(dataset.name))}: {moments}."


def _classes(dataset: Dataset | None) -> str:
    names = dataset.class_names if dataset else ()
    return f": {', '.join(map(escaped, names))}" if names else ""


def _missing(config: Config) -> str:
    """Return what replaced missing values, or an empty text."""
    if config.impute is None:
        return ""
    what = {"mean": "its mean", "median": "its median", "most_frequent": "its most frequent value"}[config.impute]
    return f"Missing values of a feature were replaced by {what} over the training part. "


def _features(config: Config, dataset: Dataset) -> str:
    """Return the features that are the inputs, with the numbers of their standardization."""
    n = dataset.input_size
    names = dataset.feature_names or tuple(map(str, range(n)))
    deviations = [1 / scale if scale else 0.0 for scale in dataset.feature_scale]
    rows = zip(map(escaped, names), dataset.feature_mean, deviations, strict=True)
    return "\n\n".join(
        [
            f"The input is {n} features per example, in the order below. Each is standardized: minus its mean over the "
            "training part, divided by its standard deviation; a constant feature becomes 0. "
            f"{_missing(config)}{_output(config, dataset)}",
            table(["feature", "mean", "standard deviation"], rows),
        ]
    )
