"""`dynsparse export`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result
from support.trained_modules import train_module
from support.trained_trials import train
from torch import Tensor

from dynsparse.cli import main
from dynsparse.data import load_dataset
from dynsparse.export import FORMATS, card_path, load_exported
from dynsparse.export.network import Trained, compressed, load_network, module, pruned
from dynsparse.export.tensor_files import to_pt

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of trained trials."""
    root = tmp_path_factory.mktemp("experiment")
    return {"relu": train(root, model="RigL"), "kwinners": train(root, kwinners=True, epochs=1)}


def x() -> Tensor:
    return load_dataset("digits").test_x[:50]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_the_command_writes_and_checks(
    trials: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trial = trials["relu"]
    result = invoke(trial, "--format", "onnx", "--prune", "unit", "--sparsity", "0.9", "--compress")
    assert result.exit_code == 0, result.output
    path = Path(f"{trial.name}.onnx")
    first, pruning, compressing, size, check = result.output.splitlines()
    assert first == f"written: {path} ({path.stat().st_size:,} bytes) and {card_path(path)}"
    assert "pruned: units, sparsity 0.9" in pruning and "7 of 70 hidden units are left" in compressing
    assert size.startswith("64-4-3-10: 315 weights and biases; ")
    assert check.startswith("read again, on 256 test images: the largest difference of a logit is ")
    session = onnxruntime.InferenceSession(path)
    small = compressed(pruned(load_network(trial), "unit", 0.9))
    [found] = session.run(None, {"normalised_pixels": x().numpy()})
    torch.testing.assert_close(torch.from_numpy(found), module(small)(x()))


def test_the_command_replaces_only_when_it_is_told_to(trials: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    arguments = (trials["relu"], "--format", "pt", "-o", path)
    assert invoke(*arguments).exit_code == 0
    path.write_text("mine")
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert f"{path} and {tmp_path / 'a.pt.md'}: already there; --overwrite replaces" in result.output
    assert path.read_text() == "mine"
    assert invoke(*arguments, "--overwrite", "--form", "sparse").exit_code == 0
    assert load_exported(path)(x()).shape == (50, 10)


def test_a_file_that_computes_something_else_is_an_error(
    trials: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_another(trained: Trained, form: str) -> bytes:
        return to_pt(pruned(trained, "weight", 0.5), form)

    monkeypatch.setitem(FORMATS, ".pt", of_another)
    result = invoke(trials["relu"], "--format", "pt", "-o", tmp_path / "a.pt")
    assert result.exit_code == 1
    assert "it is more than 0.0001 in 256 examples" in result.output
    assert "a.pt does not compute what the trained network computes; do not use it" in result.output
    assert (tmp_path / "a.pt").exists()


def bad_input(name: str, trial: Path, out: Path) -> tuple[list[object], str]:
    """Arguments, and what is said to them."""
    prune = ["--prune", "weight"]
    (out / "folder.pt").mkdir()
    return {
        "experiment": ([trial.parent], "is the folder of an experiment. Give the folder of one of its trials"),
        "nowhere": ([out / "nowhere"], "nowhere' does not exist or is empty"),
        "file": ([trial / "params.json"], "params.json cannot be read: Not a directory"),
        "no sparsity": ([trial, *prune], "--prune and --sparsity go together"),
        "no prune": ([trial, "--sparsity", 0.5], "--prune and --sparsity go together"),
        "beyond": ([trial, *prune, "--sparsity", 1.5], "sparsity must be in [0, 1], got 1.5"),
        "nan": ([trial, *prune, "--sparsity", "nan"], "sparsity must be a number in [0, 1], got nan"),
        "ending": ([trial, "-o", out / "a.onnx"], "must end in .pt, as --format pt says"),
        "no folder": ([trial, "-o", out / "no" / "a.pt"], "no cannot be written: the folder does not exist"),
        "folder": (
            [trial, "-o", out / "folder.pt", "--overwrite"],
            "folder.pt cannot be written: a folder has this name",
        ),
        "not a folder": ([trial, "-o", trial / "params.json" / "a.pt"], "cannot be written: the folder does not exist"),
    }[name]


@pytest.mark.parametrize(
    "name",
    ["experiment", "nowhere", "file", "no sparsity", "no prune", "beyond", "nan", "ending", "no folder", "folder",
     "not a folder"],
)  # fmt: skip
def test_bad_input_is_named(
    trials: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, message = bad_input(name, trials["relu"], tmp_path)
    result = invoke(*arguments, "--format", "pt")
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert [each.name for each in tmp_path.iterdir()] == ["folder.pt"]


def test_k_winners_are_not_compressed(trials: dict[str, Path], tmp_path: Path) -> None:
    result = invoke(trials["kwinners"], "--format", "pt", "--compress", "-o", tmp_path / "a.pt")
    assert result.exit_code == 2
    assert "Error: A network to compress must be without k-winners" in result.output


def test_a_trial_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    path = train(tmp_path, epochs=2, n_rows=1)
    (path / "checkpoint_000001.pt").unlink()
    result = invoke(path, "--format", "pt", "-o", tmp_path / "a.pt")
    assert result.exit_code == 2
    assert "has no checkpoint of a trained network (rows: 1). Rerun the command that trained it" in result.output


@pytest.mark.parametrize(("ending", "package"), [("safetensors", "safetensors.torch"), ("onnx", "onnx")])
def test_a_missing_package_is_named(
    trials: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = invoke(trials["relu"], "--format", ending, "-o", tmp_path / f"a.{ending}")
    assert result.exit_code == 2
    assert f"The package {package.split('.')[0]} cannot be imported (" in result.output
    assert 'pip install "dynsparse[export]"' in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_cannot_be_run_is_written_and_said_to_be_unchecked(
    trials: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = invoke(trials["relu"], "--format", "onnx", "-o", tmp_path / "a.onnx")
    assert result.exit_code == 0, result.output
    assert "not checked: onnxruntime is not installed" in result.output
    assert json.loads(onnx.load(tmp_path / "a.onnx").metadata_props[0].value)["sizes"] == [64, 40, 30, 10]


@pytest.mark.parametrize("network", ["conv_net", "resnet"])
@pytest.mark.parametrize("ending", [each.removeprefix(".") for each in FORMATS])
def test_a_module_is_pruned_compressed_and_written(tmp_path: Path, network: str, ending: str) -> None:
    trial = train_module(tmp_path, network=network, epochs=1)
    path = tmp_path / f"a.{ending}"
    arguments = ("--format", ending, "-o", path, "--prune", "unit", "--sparsity", 0.5)
    before = invoke(trial, *arguments)
    after = invoke(trial, *arguments, "--compress", "--overwrite")
    assert (before.exit_code, after.exit_code) == (0, 0), after.output
    assert "hidden units and filters are left" in after.output
    *_, size, check = after.output.splitlines()
    assert size.startswith(f"nets.py:{network}: ") and "largest difference of a logit is " in check
    n_before, n_after = (int(each.output.splitlines()[-2].split()[1].replace(",", "")) for each in (before, after))
    assert 0 < n_after < 0.8 * n_before
