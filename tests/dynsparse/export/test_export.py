"""Exported files: their logits, their content and their model cards."""

from __future__ import annotations

import ast
import json
import os
import re
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import markdown_it
import numpy as np
import onnx
import onnx.reference
import pytest
import safetensors
import scipy.sparse
import torch
from safetensors.torch import load_file
from support.idx_files import write_idx
from support.trained_trials import read_rows, train
from torch import Tensor, nn

from dynsparse.data import load_data, load_dataset
from dynsparse.export import FORMATS, FORMS, export, load_exported
from dynsparse.export.network import Trained, compressed, load_network, module, pruned
from dynsparse.export.verify import compare, compute_logits

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of trained trials."""
    root = tmp_path_factory.mktemp("experiment")
    values = {
        "relu": dict(model="RigL"),
        "linear": dict(hidden_sizes=()),
        "kwinners": dict(kwinners=True, k_inference_factor=1.5, boost_strength_factor=1.0),
        "norm": dict(batch_norm=True, kwinners=True, model="SET"),
    }
    return {name: train(root, **each) for name, each in values.items()}


@pytest.fixture(scope="module")
def networks(trials: dict[str, Path]) -> dict[str, Trained]:
    found = {name: load_network(path) for name, path in trials.items()}
    by_unit = pruned(found["relu"], "unit", 0.9)
    return {
        **found,
        "units": by_unit,
        "small": compressed(by_unit),
        "no weights": pruned(found["relu"], "weight", 1.0),
        "no units": compressed(pruned(found["relu"], "unit", 1.0)),
    }


def x(n: int = 50) -> Tensor:
    return load_dataset("digits").test_x[:n]


def expected(trained: Trained, n: int = 50) -> Tensor:
    with torch.inference_mode():
        return module(trained)(x(n))


# Files


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["relu", "linear", "kwinners", "norm", "units", "small", "no weights", "no units"])
def test_a_file_computes_what_the_network_computes(
    networks: dict[str, Trained], tmp_path: Path, name: str, ending: str, form: str
) -> None:
    path = tmp_path / f"network{ending}"
    export(networks[name], path, form)
    with torch.inference_mode():
        for n in (1, 50):
            found = compute_logits(path, x(n))
            torch.testing.assert_close(found, expected(networks[name], n), rtol=1e-4, atol=1e-4)
    comparison = compare(networks[name], path)
    assert comparison.fits and comparison.largest < 1e-5
    noise = " with noise" if networks[name].winners else ""
    assert comparison.examples == f"256 test images{noise}"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([path.name, f"{path.name}.md"])


def test_a_file_of_another_network_does_not_fit(networks: dict[str, Trained], tmp_path: Path) -> None:
    for other, name in (("units", "relu"), ("norm", "kwinners")):
        export(networks[other], tmp_path / "other.safetensors")
        comparison = compare(networks[name], tmp_path / "other.safetensors")
        assert not comparison.fits and comparison.n_far > 200 and comparison.largest > 0.01


def test_tensors_have_the_names_of_torchs_own_layers(networks: dict[str, Trained], tmp_path: Path) -> None:
    export(networks["relu"], tmp_path / "a.safetensors")
    export(networks["relu"], tmp_path / "a.pt")
    layers = [nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 10)]
    names = ["linear_0", "relu_0", "linear_1", "relu_1", "linear_2"]
    plain = nn.Sequential(OrderedDict(zip(names, layers, strict=True)))
    for found in (
        load_file(tmp_path / "a.safetensors"),
        torch.load(tmp_path / "a.pt", weights_only=True)["tensors"],
    ):
        plain.load_state_dict(found)
        assert torch.equal(plain(x()), expected(networks["relu"]))
    assert isinstance(load_exported(tmp_path / "a.pt")[2], nn.Linear)


def test_sparse_weights_are_csr_as_scipy_has_them(networks: dict[str, Trained], tmp_path: Path) -> None:
    trained = networks["relu"]
    export(trained, tmp_path / "a.safetensors", "sparse")
    export(trained, tmp_path / "a.pt", "sparse")
    flat = load_file(tmp_path / "a.safetensors")
    of_torch = torch.load(tmp_path / "a.pt", weights_only=True)["tensors"]
    for layer, weight in enumerate(trained.weights):
        theirs = scipy.sparse.csr_matrix(weight.numpy())
        ours = [flat[f"linear_{layer}.weight.{part}"] for part in ("row_starts", "columns", "values")]
        assert [each.dtype for each in ours] == [torch.int32, torch.int32, torch.float32]
        for each, their in zip(ours, (theirs.indptr, theirs.indices, theirs.data), strict=True):
            assert np.array_equal(each.numpy(), their)
        assert of_torch[f"linear_{layer}.weight"].layout is torch.sparse_csr
        assert torch.equal(of_torch[f"linear_{layer}.weight"].to_dense(), weight)


def with_a_zero(trained: Trained) -> Trained:
    weight = trained.weights[0].clone()
    weight[tuple(trained.masks[0].nonzero()[0])] = 0
    return replace(trained, weights=[weight, *trained.weights[1:]])


def test_an_active_weight_of_zero_is_one_of_the_active_ones(networks: dict[str, Trained], tmp_path: Path) -> None:
    trained = with_a_zero(networks["relu"])
    export(trained, tmp_path / "a.safetensors", "sparse")
    n_values = len(load_file(tmp_path / "a.safetensors")["linear_0.weight.values"])
    assert n_values == int(trained.masks[0].sum()) == int(trained.weights[0].ne(0).sum()) + 1


def test_a_sparse_file_is_as_large_as_what_is_active(networks: dict[str, Trained], tmp_path: Path) -> None:
    # Beside numbers there are names and a description, of 2 or 3 KB in all.
    n_active = sum(int(mask.sum()) for mask in networks["units"].masks)
    n_rest = sum(2 * len(each) + 1 for each in networks["units"].biases)
    for ending, bytes_each in ((".safetensors", 8), (".pt", 8), (".onnx", 12)):
        export(networks["units"], tmp_path / f"a{ending}", "sparse")
        size = (tmp_path / f"a{ending}").stat().st_size
        assert 0 < size - bytes_each * n_active - 4 * n_rest * (ending != ".onnx") < 8000
    export(networks["small"], tmp_path / "small.safetensors")
    n_parameters = 64 * 4 + 4 + 4 * 3 + 3 + 3 * 10 + 10
    assert 0 < (tmp_path / "small.safetensors").stat().st_size - 4 * n_parameters < 1000


@pytest.mark.parametrize("name", ["relu", "kwinners", "norm"])
def test_a_graph_is_valid_and_gives_the_same_in_another_runtime(
    networks: dict[str, Trained], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "a.onnx"
    export(networks[name], path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    for each in (*model.graph.input, *model.graph.output):
        assert each.type.tensor_type.shape.dim[0].dim_param == "batch"
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "sorted":
                # The reference evaluator of onnx before 1.23 refuses sorted=0. The winners are the same in any order.
                attribute.i = 1
    [found] = onnx.reference.ReferenceEvaluator(model).run(None, {"normalised_pixels": x(7).numpy()})
    torch.testing.assert_close(torch.from_numpy(found), expected(networks[name], 7), rtol=1e-4, atol=1e-4)


def test_what_cannot_be_exported_is_refused(networks: dict[str, Trained], tmp_path: Path) -> None:
    trained = networks["relu"]
    with pytest.raises(ValueError, match=r"^Unknown file extension '\.pth'\. Did you mean '\.pt'\? Available: .*"):
        export(trained, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"^Unknown form 'spares'\. Did you mean 'sparse'\? Available: dense, sparse"):
        export(trained, tmp_path / "a.pt", "spares")
    diverged = replace(trained, biases=[each * torch.nan for each in trained.biases])
    with pytest.raises(
        ValueError, match=r"^The weights must be finite, got NaN or infinite ones: the training has diverged"
    ):
        export(diverged, tmp_path / "a.pt")
    strong = replace(trained, winners=[1] * len(trained.biases), boost=61.0)
    with pytest.raises(ValueError, match=r"^The boost strength at the last evaluation must be at most 60, .* got 61\."):
        export(strong, tmp_path / "a.pt")
    assert list(tmp_path.iterdir()) == []


def test_files_that_export_has_not_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_exported(tmp_path / "a.pt")
    with pytest.raises(
        ValueError, match=r"^load_exported reads \.safetensors and \.pt files, got .*a\.onnx'\. Use onnxruntime\."
    ):
        load_exported(tmp_path / "a.onnx")
    torch.save({"weight": torch.ones(2)}, tmp_path / "a.pt")
    safetensors.torch.save_file({"weight": torch.ones(2)}, tmp_path / "a.safetensors")
    for name in ("a.pt", "a.safetensors"):
        said = f"{name} is not a {Path(name).suffix} file from dynsparse export. Export the network again."
        for content in ((tmp_path / name).read_bytes(), b"torn", b""):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=re.escape(said)):
                load_exported(tmp_path / name)


def test_columns_that_are_not_there_are_refused_not_read(networks: dict[str, Trained], tmp_path: Path) -> None:
    export(networks["relu"], tmp_path / "a.safetensors", "sparse")
    with safetensors.safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        metadata = file.metadata()
    flat = load_file(tmp_path / "a.safetensors")
    flat["linear_0.weight.columns"][-1] = 64
    safetensors.torch.save_file(flat, tmp_path / "a.safetensors", metadata)
    with pytest.raises(ValueError, match=r"is not a \.safetensors file from dynsparse export"):
        load_exported(tmp_path / "a.safetensors")


def rewritten(path: Path, about: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Write a file of the right format with a description and tensors of its own."""
    if path.suffix == ".pt":
        torch.save({"dynsparse": about, "tensors": tensors}, path)
    else:
        safetensors.torch.save_file(tensors, path, {"format": "pt", "dynsparse": json.dumps(about)})


HOSTILE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sizes of another network": ({"sizes": [64, 40, 10]}, {}),
    "sizes that are no numbers": ({"sizes": ["64", None]}, {}),
    "winners of more units than there are": ({"winners": [41, 30]}, {}),
    "winners for too few layers": ({"winners": [3]}, {}),
    "a weight of another shape": ({}, {"linear_1.weight": torch.zeros(40, 30)}),
    "a weight of another type": ({}, {"linear_1.weight": torch.zeros(30, 40, dtype=torch.int32)}),
    "half of batch norm": ({}, {"norm_0.weight": torch.ones(40)}),
    "deep sizes": ({"sizes": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}, {}),
}


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize("change", HOSTILE)
def test_a_file_whose_content_does_not_fit_its_description_is_named(
    networks: dict[str, Trained], tmp_path: Path, ending: str, change: str
) -> None:
    path, (about, more) = tmp_path / f"a{ending}", HOSTILE[change]
    tensors, right = module(networks["relu"]).state_dict(), {"sizes": [64, 40, 30, 10], "winners": [], "form": "dense"}
    rewritten(path, right, dict(tensors))
    load_exported(path)
    rewritten(path, right | about, {**tensors, **more})
    with pytest.raises(ValueError, match=rf"a\{ending} is not a \{ending} file from dynsparse export"):
        load_exported(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for ending in (".pt", ".safetensors"):
        os.mkfifo(tmp_path / f"a{ending}")
        with pytest.raises(OSError, match="not a regular file"):
            load_exported(tmp_path / f"a{ending}")


# Cards


def test_a_card_shows_hostile_texts_as_they_are(networks: dict[str, Trained], tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)> | [x](http://x)\n# x\x1b[2J_acc"
    trained = networks["relu"]
    row = {**trained.row, hostile: hostile, "val_acc": [1, "<b>"]}
    card = export(replace(trained, row=row, remarks=(hostile,)), tmp_path / 'a"), print("<b>.pt').read_text()
    page = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(card)
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    as_it_is = "&lt;img src=x onerror=alert(1)&gt; | [x](http://x) # x_acc"
    assert shown.count(as_it_is) == 3, "its name and its value among the results, and the remark"
    assert not re.search(r"<(img|b|a)\b", page) and page.count("<h1") == 1 and "\x1b" not in card
    assert ast.parse(code_of(card)).body[2].value.args[0].value == 'a"), print("<b>.pt'  # type: ignore[attr-defined]


def code_of(card: str) -> str:
    [code] = re.findall(r"^```python\n(.*?)^```", card, flags=re.M | re.S)
    return code


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Return the variables that the code of a card leaves, run in the folder of its file."""
    names: dict = {}
    monkeypatch.chdir(folder)
    exec(code, names)
    return names


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", FORMATS)
def test_the_code_of_a_card_runs_and_normalises(
    networks: dict[str, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, form: str
) -> None:
    card = export(networks["relu"], tmp_path / f"my network{ending}", form)
    names = run(code_of(card.read_text()).replace("(1, 64)", "(3, 64)"), tmp_path, monkeypatch)
    # The code's images are all black: less the mean of the training set, over its standard deviation.
    train_pixels = load_dataset("digits").train.pixels.astype(np.float64)
    black = torch.full((3, 64), -train_pixels.mean() / train_pixels.std())
    with torch.inference_mode():
        torch.testing.assert_close(torch.as_tensor(names["logits"]), module(networks["relu"])(black.float()))


def test_the_code_of_an_onnx_card_takes_pixels_as_files_have_them(
    networks: dict[str, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = code_of(export(networks["relu"], tmp_path / "a.onnx").read_text())
    assert "np.zeros((1, 64), np.float32)" in code
    names = run(code.replace("np.zeros((1, 64), np.float32)", "np.zeros((1, 64), np.uint8)"), tmp_path, monkeypatch)
    floats = run(code, tmp_path, monkeypatch)
    np.testing.assert_allclose(names["logits"], floats["logits"], rtol=1e-4, atol=1e-5)


def test_a_card_says_what_replaced_missing_values(tmp_path: Path) -> None:
    rows = [(i, "" if i % 5 == 0 else 3 * i % 7, "xyz"[i % 3]) for i in range(60)]
    (tmp_path / "t.csv").write_text("a,b,class\n" + "".join(f"{a},{b},{label}\n" for a, b, label in rows))
    values = dict(hidden_sizes=(8,), batch_size=16, epochs=1, test_fraction=0.25, target="class")
    trial = train(tmp_path / "1", dataset_name=str(tmp_path / "t.csv"), impute="median", **values)
    card = export(load_network(trial), tmp_path / "a.pt").read_text()
    assert "Missing values of a feature were replaced by its median over the training part. " in card


def test_a_card_says_what_the_file_is(networks: dict[str, Trained], trials: dict[str, Path], tmp_path: Path) -> None:
    card = export(networks["units"], tmp_path / "a.pt").read_text()
    row = read_rows(trials["relu"])[-1]
    assert re.search(rf"\| val_acc +\| +{row['val_acc']:.4g} \|", card)
    assert re.search(rf"\| val_loss +\| +{row['val_loss']:.4g} \|", card)
    assert "- After training it was pruned: units, sparsity 0.9, prune_scope layer.\n" in card
    right = (expected(networks["units"], 360).argmax(1) == load_dataset("digits").test_y).double().mean()
    assert f"on the 360 test images: accuracy {right:.4f}, loss " in card
    # Of 64 x 40, 40 x 30 and 30 x 10: 4 and 3 units are left, each with some 30% of its weights.
    assert re.search(r"\| linear_1 \| \(30, 40\) +\| +1230 \|", card)
    assert re.search(r"\| total +\| +\| +4140 \|", card)
    assert re.search(r"\| `hidden_sizes` +\| `\(40, 30\)` +\|", card) and "percent_on" not in card
    assert f"| {trials['relu'].name.removeprefix('trial_')} " in card
    for private in ("machine-7", str(tmp_path), str(trials["relu"].parent), "data_dir"):
        assert private not in card


def test_a_card_without_the_data_set_tells_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, empty, out = (tmp_path / name for name in ("data", "empty", "out"))
    write_idx(data, "MNIST")
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", str(data))
    trained = load_network(train(tmp_path / "experiment", dataset_name="MNIST", epochs=1))
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", str(empty))
    out.mkdir()
    card = export(trained, out / "a.safetensors").read_text()
    assert "was not on the machine that wrote this card" in card
    assert "`load_dataset` downloads MNIST if necessary" in card
    assert compare(trained, out / "a.safetensors").examples == "256 random inputs"
    monkeypatch.setenv("DYNSPARSE_DATA_DIR", str(data))
    images = load_dataset("MNIST").train
    found = run(code_of(card), out, monkeypatch)["logits"]
    with torch.inference_mode():
        torch.testing.assert_close(found, module(trained)(torch.full((1, 784), -images.mean * images.scale)))


@pytest.fixture
def own_trials(tmp_path: Path) -> dict[str, Path]:
    """The folders of trials on a table, and on data that a function returns."""
    rows = [(i, 3 * i % 7, "xyz"[i % 3]) for i in range(60)]
    (tmp_path / "t.csv").write_text("a,b|c,class\n" + "".join(f"{a},{b},{label}\n" for a, b, label in rows))
    (tmp_path / "d.py").write_text(
        "def make():\n    return [[i, i % 7] for i in range(60)], [i % 3 for i in range(60)]\n"
    )
    values = dict(hidden_sizes=(8,), batch_size=16, epochs=2, test_fraction=0.25)
    table = train(tmp_path / "1", dataset_name=str(tmp_path / "t.csv"), target="class", **values)
    return {"table": table, "function": train(tmp_path / "2", dataset_name=f"{tmp_path}/d.py:make", **values)}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["table", "function"])
def test_the_code_of_a_card_standardizes_own_features(
    own_trials: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, name: str
) -> None:
    trained = load_network(own_trials[name])
    card = export(trained, tmp_path / f"a{ending}").read_text()
    found = run(code_of(card), tmp_path, monkeypatch)["logits"]
    data = load_data(trained.config)
    with torch.inference_mode():
        zero = torch.tensor(data.feature_mean) * -torch.tensor(data.feature_scale)
        torch.testing.assert_close(torch.as_tensor(found), module(trained)(zero[None].float()), rtol=1e-4, atol=1e-5)
    assert str(tmp_path) not in card and "data_dir" not in card
    if name == "table":
        assert "on the 15 test examples: accuracy" in card
        assert "for each of 3 classes: x, y, z." in card
        mean, scale = data.feature_mean[1], data.feature_scale[1]
        assert re.search(rf"^\| b\\\|c +\| +{mean:.4g} \| +{1 / scale:.4g} \|$", card, flags=re.M)
    else:
        # A function is code, and the folder of the trial could be anybody's.
        assert "was not on the machine that wrote this card" in card
        assert '"d.py:make"' in card and "needs d.py:make, and normalises them" in card


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["t.csv", "d.py:make"])
def test_the_code_of_a_card_predicts_numbers_in_their_unit(
    name: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(i, 3 * i % 7, 100 + i) for i in range(60)]
    (tmp_path / "t.csv").write_text("a,b,price\n" + "".join(f"{a},{b},{y}\n" for a, b, y in rows))
    (tmp_path / "d.py").write_text(
        f"def make():\n    rows = {rows}\n    return [r[:2] for r in rows], [r[2] for r in rows]\n"
    )
    values = dict(hidden_sizes=(8,), batch_size=16, epochs=2, test_fraction=0.25, loss="mse", learning_rate=0.01)
    trained = load_network(train(tmp_path / "1", dataset_name=f"{tmp_path}/{name}", target="price", **values))
    card = export(trained, tmp_path / f"a{ending}").read_text()
    run(code_of(card), tmp_path, monkeypatch)
    data = load_data(trained.config)
    with torch.inference_mode():
        zero = torch.tensor(data.feature_mean) * -torch.tensor(data.feature_scale)
        [[expected]] = data.predictions(module(trained)(zero[None].float())).tolist()
        [printed] = re.findall(r"[-\d.]+", capsys.readouterr().out.rpartition("[")[2])[:1]
    assert float(printed) == pytest.approx(expected, rel=1e-3)
    assert "A multilayer perceptron that predicts a number." in card and "The output is a number per example" in card
    if name == "t.csv":
        predicted = data.predictions(module(trained)(data.test_x)).detach()
        error = float((predicted - data.predictions(data.test_y)).square().mean().sqrt())
        assert re.search(rf"on the 15 test examples: loss [\d.]+, R² [-\d.]+, RMSE {error:.4f}\.", card)
