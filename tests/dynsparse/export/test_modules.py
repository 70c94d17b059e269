"""Trained torch modules: loaded, pruned, written to files and read back."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from support.trained_modules import train_module
from support.trained_trials import read_rows, train
from torch import Tensor, nn

from dynsparse.config import Config
from dynsparse.data import load_dataset
from dynsparse.export import FORMATS, FORMS, export, load_exported, new_module
from dynsparse.export.network import TrainedModule, compressed, load_network, module, pruned
from dynsparse.export.verify import compare, compute_logits

pytestmark = pytest.mark.usefixtures("one_thread")

SWEEP: dict[str, Any] = dict(study="sweep", sparsities=(0.5, 0.8), prune_kinds=("weight", "unit"))
WINNERS: dict[str, Any] = dict(kwinners=True, percent_on=0.2, boost_strength=4.0, boost_strength_factor=0.2)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of trained trials."""
    root = tmp_path_factory.mktemp("modules")
    values: dict[str, dict[str, Any]] = {
        "norm": dict(model="RigL"),
        "sweep": dict(network="resnet", retrain_epochs=1, **SWEEP),
        "ticket": dict(study="ticket", prune_iter=1, epochs=1),
        "winners": WINNERS,
    }
    return {name: train_module(root, **each) for name, each in values.items()}


@pytest.fixture(scope="module")
def networks(trials: dict[str, Path]) -> dict[str, TrainedModule]:
    found: dict[str, Any] = {name: load_network(path) for name, path in trials.items()}
    found["units"] = pruned(found["norm"], "unit", 0.7)
    found["small"] = compressed(found["units"])
    found["nothing"] = pruned(found["norm"], "weight", 1.0)
    return found


def x(n: int = 360) -> Tensor:
    return load_dataset("digits").test_x[:n].view(-1, 1, 8, 8)


def logits(trained: TrainedModule, n: int = 360) -> Tensor:
    with torch.inference_mode():
        return module(trained)(x(n))


def assert_is_of_row(trained: TrainedModule, row: dict) -> None:
    """The accuracy of the row, to one example where rounding decides, and its loss."""
    target, found = load_dataset("digits").test_y, logits(trained)
    accuracy = (found.argmax(1) == target).double().mean().item()
    assert accuracy == pytest.approx(row["val_acc"], abs=1.01 / len(target))
    assert F.cross_entropy(found, target).item() == pytest.approx(row["val_loss"], rel=1e-4)


# Reading


@pytest.mark.parametrize(("name", "row"), [("norm", -1), ("sweep", 3), ("ticket", -1), ("winners", -1)])
def test_a_network_is_the_one_of_its_row(
    trials: dict[str, Path], networks: dict[str, TrainedModule], name: str, row: int
) -> None:
    trained = networks[name]
    assert isinstance(trained, TrainedModule)
    assert trained.row == read_rows(trials[name])[row] and trained.remarks == ()
    assert_is_of_row(trained, trained.row)
    assert not trained.network.training
    for layer in trained.layers():
        assert layer.mask.shape == layer.weight.shape and not layer.weight[~layer.mask].any()


def test_a_trial_that_is_not_complete_gives_what_it_has_come_to(tmp_path: Path) -> None:
    trained: Any = load_network(train_module(tmp_path, n_rows=1))
    assert trained.remarks == ("The trial was not complete: this is its network after row 1 of 4.",)
    assert_is_of_row(trained, trained.row)


def test_pruned_networks_are_those_of_the_sweep(trials: dict[str, Path], networks: dict[str, TrainedModule]) -> None:
    rows = [row for row in read_rows(trials["sweep"]) if row.get("retrained") == 0]
    assert [(row["pruning"], row["sparsity"]) for row in rows] == [
        (kind, sparsity) for kind in ("weight", "unit") for sparsity in (0.5, 0.8)
    ]
    for row in rows:
        each = pruned(networks["sweep"], row["pruning"], row["sparsity"])
        assert_is_of_row(each, row)
        n_active, n = (sum(int(f(mask)) for mask in each.masks) for f in (torch.sum, torch.numel))
        assert n_active / n == row["density"]
    assert each.remarks == ("After training it was pruned: units, sparsity 0.8, prune_scope layer.",)
    assert networks["sweep"].remarks == (), "the network that is pruned stays as it is"
    with pytest.raises(ValueError, match=r"^A compressed network cannot be pruned"):
        pruned(networks["small"], "weight", 0.5)


def test_a_module_stands_by_itself(networks: dict[str, TrainedModule]) -> None:
    before, copied = logits(networks["norm"]), module(networks["norm"])
    with torch.no_grad():
        for each in copied.parameters():
            each.zero_()
    assert torch.equal(logits(networks["norm"]), before)


# Files


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["norm", "sweep", "winners", "units", "small", "nothing"])
def test_a_file_computes_what_the_network_computes(
    networks: dict[str, TrainedModule], tmp_path: Path, name: str, ending: str, form: str
) -> None:
    path, trained = tmp_path / f"network{ending}", networks[name]
    export(trained, path, form)
    with torch.inference_mode():
        for n in (1, 50):
            inputs = x(n)
            if name == "winners":
                # Equal pixels give equal outputs, of which each runtime selects other winners.
                inputs = inputs + 0.1 * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(n))
            found = compute_logits(path, inputs, trained.blank())
            torch.testing.assert_close(found, module(trained)(inputs), rtol=1e-4, atol=1e-4)
    comparison = compare(trained, path)
    assert comparison.fits and comparison.largest < 1e-5
    noise = " with noise" if name == "winners" else ""
    assert comparison.examples == f"256 test images{noise}"


def test_a_file_of_another_network_does_not_fit(networks: dict[str, TrainedModule], tmp_path: Path) -> None:
    export(networks["units"], tmp_path / "other.safetensors")
    comparison = compare(networks["norm"], tmp_path / "other.safetensors")
    assert not comparison.fits and comparison.n_far > 200


def test_tensors_have_the_names_of_the_module(networks: dict[str, TrainedModule], tmp_path: Path) -> None:
    trained = networks["norm"]
    for ending in FORMATS:
        export(trained, tmp_path / f"a{ending}")
    plain = module(trained)
    for found in (load_file(tmp_path / "a.safetensors"), torch.load(tmp_path / "a.pt", weights_only=True)["tensors"]):
        with torch.no_grad():
            for each in plain.parameters():
                each.fill_(7)
        plain.load_state_dict(found)
        assert torch.equal(plain(x()), logits(trained))
    graph = onnx.load(tmp_path / "a.onnx").graph
    assert {each.name for each in graph.initializer} >= {f"{layer.name}.weight" for layer in trained.layers()}
    for each in (*graph.input, *graph.output):
        assert each.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_sparse_files_have_the_active_weights_alone(networks: dict[str, TrainedModule], tmp_path: Path) -> None:
    trained = networks["units"]
    for ending in FORMATS:
        export(trained, tmp_path / f"a{ending}", "sparse")
    flat = load_file(tmp_path / "a.safetensors")
    of_torch = torch.load(tmp_path / "a.pt", weights_only=True)["tensors"]
    of_onnx = {each.values.name: each for each in onnx.load(tmp_path / "a.onnx").graph.sparse_initializer}
    assert len(trained.layers()) == 4 == len(of_onnx)
    for layer in trained.layers():
        name, n_active = f"{layer.name}.weight", int(layer.mask.sum())
        assert len(flat[f"{name}.values"]) == n_active == of_torch[name].values().numel()
        assert torch.equal(of_torch[name].to_dense(), layer.weight)
        assert list(of_onnx[name].dims) == list(trained.network.get_parameter(name).shape)
        assert list(of_onnx[name].indices.dims) == [n_active]


def test_a_compressed_file_makes_a_new_module_smaller(networks: dict[str, TrainedModule], tmp_path: Path) -> None:
    trained = networks["small"]
    for form in FORMS:
        export(trained, tmp_path / "a.safetensors", form)
        net = load_exported(tmp_path / "a.safetensors", new_module(trained.config.network, **trained.settings))
        assert repr(net) == repr(trained.network) != repr(networks["norm"].network)
        torch.testing.assert_close(net(x()), logits(trained))


def test_a_module_that_does_not_fit_its_file_is_refused_and_stays(
    networks: dict[str, TrainedModule], trials: dict[str, Path], tmp_path: Path
) -> None:
    trained, path = networks["norm"], tmp_path / "a.pt"
    export(trained, path)
    with pytest.raises(ValueError, match=r"has the tensors of network='nets\.py:conv_net', a torch module, .*into"):
        load_exported(path)
    other = nn.Linear(64, 10)
    with pytest.raises(ValueError, match=r"must have the same tensors as the file, got '0\.bias' only in the file"):
        load_exported(path, other)
    settings = {**trained.settings, "hidden_sizes": (4, 12)}
    narrow = new_module(trained.config.network, **settings)
    before = [each.clone() for each in narrow.parameters()]
    with pytest.raises(ValueError, match=r"0\.weight of the module must be .* of shape \(8, 1, 3, 3\) .*\(4, 1, "):
        load_exported(path, narrow)
    assert all(torch.equal(a, b) for a, b in zip(narrow.parameters(), before, strict=True))
    with pytest.raises(ValueError, match=r"0\.weight of the module must be torch\.float32 .* got torch\.float64"):
        load_exported(path, module(trained).double())
    export(load_network(train(tmp_path / "mlp", epochs=1)), tmp_path / "mlp.pt")
    with pytest.raises(ValueError, match=r"mlp\.pt is the file of a multilayer perceptron, which needs no module"):
        load_exported(tmp_path / "mlp.pt", narrow)
    with pytest.raises(ValueError, match=r"^network must be a torch module, got 'MLP', a multilayer perceptron"):
        new_module("MLP")


HOSTILE: dict[str, dict[str, Any]] = {
    "another shape": {"0.weight": [8, 3, 3, 1]},
    "too many numbers": {"0.weight": [8, 1, 3, 3, 1]},
    "no numbers": {"0.weight": ["8", None]},
    "no tensor": {"99.weight": [8]},
    "fractions": {"0.bias": [8.0]},
}


@pytest.mark.parametrize("change", HOSTILE)
def test_a_file_whose_content_does_not_fit_its_description_is_named(
    networks: dict[str, TrainedModule], tmp_path: Path, change: str
) -> None:
    path = tmp_path / "a.pt"
    for form in FORMS:
        export(networks["norm"], path, form)
        content = torch.load(path, weights_only=True)
        content["dynsparse"]["shapes"] |= HOSTILE[change]
        torch.save(content, path)
        # A sparse weight has lost the shape of its kernel, which the module then contradicts.
        with pytest.raises(ValueError, match=r"a\.pt is not a \.pt file from dynsparse|0\.weight of the module must"):
            load_exported(path, module(networks["norm"]))


def test_what_cannot_be_exported_is_refused(tmp_path: Path, networks: dict[str, TrainedModule]) -> None:
    fourier = load_network(train_module(tmp_path, network="Fourier", epochs=1))
    with pytest.raises(ValueError, match=r"^The network cannot be written as \.onnx: torch\.onnx does not support"):
        export(fourier, tmp_path / "a.onnx")
    export(fourier, tmp_path / "a.pt")
    assert compare(fourier, tmp_path / "a.pt").fits
    with pytest.raises(ValueError, match=r"^A network to compress must be without k-winners"):
        compressed(networks["winners"])


# Cards


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["norm", "small"])
def test_the_code_of_a_card_runs(
    networks: dict[str, TrainedModule], trials: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, ending: str,
) -> None:  # fmt: skip
    trained = networks[name]
    card = export(trained, tmp_path / f"a{ending}").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", card, flags=re.M | re.S)
    assert ast.parse(code)
    names: dict[str, Any] = {}
    # The code names the file of the function without its folder.
    monkeypatch.chdir(trials["norm"].parent.parent)
    code = code.replace(f'"a{ending}"', repr(str(tmp_path / f"a{ending}"))).replace("(1, 1, 8, 8)", "(3, 1, 8, 8)")
    exec(code, names)
    images = load_dataset("digits").train
    black = torch.full((3, 1, 8, 8), -images.mean * images.scale)
    torch.testing.assert_close(torch.as_tensor(names["logits"]), module(trained)(black), rtol=1e-4, atol=1e-4)


def test_a_card_says_what_the_file_is(
    networks: dict[str, TrainedModule], trials: dict[str, Path], tmp_path: Path
) -> None:
    card = export(networks["units"], tmp_path / "a.pt").read_text()
    assert "A torch module that classifies images." in card
    assert re.search(r"\| network +\| nets\.py:conv_net, a torch module +\|", card)
    assert re.search(r"\| input +\| 1 x 8 x 8 +\|", card)
    # Two norms, each with the gain and shift of 8 filters.
    assert re.search(r"\| other parameters +\| 32, all dense +\|", card)
    right = (logits(networks["units"]).argmax(1) == load_dataset("digits").test_y).double().mean()
    assert f"on the 360 test images: accuracy {right:.4f}, loss " in card
    [conv] = re.findall(r"\| 3\.conv +\| \(8, 72\) +\| +(\d+) \| +(\d+) \|.*\| +(\d+) \|", card)
    n_active = int(networks["units"].masks[1].sum())
    assert conv == ("576", str(n_active), str(64 * n_active))
    for private in (str(tmp_path), str(trials["norm"].parent.parent), "data_dir"):
        assert private not in card


def test_settings_are_those_that_the_function_reads(networks: dict[str, TrainedModule]) -> None:
    assert networks["norm"].settings == {
        "hidden_sizes": (8, 12), "kwinners": False, "num_classes": 10, "input_shape": (1, 8, 8)
    }  # fmt: skip
    assert isinstance(networks["norm"].config, Config)
