"""Trained networks as files for other programs: .safetensors, .onnx and .pt, each with a model card beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from dynsparse.config.checks import Choice
from dynsparse.export.model_card import card
from dynsparse.export.modules import build
from dynsparse.export.network import Trained
from dynsparse.export.onnx_file import to_onnx
from dynsparse.export.tensor_files import Content, from_pt, from_safetensors, to_pt, to_safetensors
from dynsparse.io.storage import LocalFolder

# By the ending of a file's name: what it holds, from a network and a form.
FORMATS: dict[str, Callable[[Trained, str], bytes]] = {
    ".safetensors": to_safetensors,
    ".onnx": to_onnx,
    ".pt": to_pt,
}
LOADERS: dict[str, Callable[[Path], Content]] = {".safetensors": from_safetensors, ".pt": from_pt}

# How a file holds the weights: all of them, zeros included, or the active ones and where they are.
FORMS = ("dense", "sparse")


def export(trained: Trained, path: str | Path, form: str = "dense") -> Path:
    """Write a network to a file, whose name's ending says of which kind, and a model card beside it.

    What stands there is replaced, whole or not at all.

    Returns: the card's path.

    Raises: ValueError for another ending or form, or a network that has diverged; ImportError if a package is missing;
    OSError.
    """
    path = Path(path).expanduser()
    write = FORMATS[Choice(FORMATS).read("file extension", path.suffix)]
    form = Choice(FORMS).read("form", form)
    parameters = [*trained.weights, *trained.biases]
    if not all(bool(each.isfinite().all()) for each in parameters):
        raise ValueError(
            "the network has weights that are no finite numbers: its training has diverged; export another"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(path.parent))
    folder, content, about = LocalFolder(str(path.parent)), write(trained, form), card(trained, path.name, form)
    for name in (path.name, card_path(path).name):
        if (path.parent / name).is_dir():
            raise IsADirectoryError(21, "a folder of that name is there", str(path.parent / name))
    folder.replace(path.name, content)
    folder.replace(card_path(path).name, about.encode())
    return card_path(path)


def card_path(path: Path) -> Path:
    """Where the model card of a file is."""
    return path.with_name(f"{path.name}.md")


def load_exported(path: str | Path) -> nn.Sequential:
    """The module of a .safetensors or .pt file, in evaluation mode; weights of the form "sparse" stay sparse.

    It takes normalised pixels (batch, inputs) and gives logits (batch, classes); the model card says how to normalise.

    Raises: ValueError for a file that `export` has not written; ImportError without safetensors; OSError.
    """
    path = Path(path).expanduser()
    if path.suffix == ".onnx":
        raise ValueError(f"{path} is read by onnxruntime: onnxruntime.InferenceSession({str(path)!r})")
    load = LOADERS[Choice(LOADERS).read("file extension", path.suffix)]
    found, about = load(path)
    return build(found, about["winners"])


__all__ = ["FORMATS", "FORMS", "card_path", "export", "load_exported"]
