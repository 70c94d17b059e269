"""Exported files: writing one with its model card, and reading it back as a torch module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from dynsparse.config.checks import Choice
from dynsparse.export.fill import fill_
from dynsparse.export.model_card import card
from dynsparse.export.modules import build
from dynsparse.export.network import AnyTrained
from dynsparse.export.onnx_file import to_onnx
from dynsparse.export.tensor_files import Content, from_pt, from_safetensors, to_pt, to_safetensors
from dynsparse.export.trained_mlp import Trained
from dynsparse.io.storage import LocalFolder
from dynsparse.nn.functional import STRONG_BOOST

# By file extension: the content of a file, from a network and a form.
FORMATS: dict[str, Callable[[AnyTrained, str], bytes]] = {
    ".safetensors": to_safetensors,
    ".onnx": to_onnx,
    ".pt": to_pt,
}
LOADERS: dict[str, Callable[[Path], Content]] = {".safetensors": from_safetensors, ".pt": from_pt}

# "dense" stores all weights, including zeros; "sparse" stores the active weights and their positions.
FORMS = ("dense", "sparse")


def export(trained: AnyTrained, path: str | Path, form: str = "dense") -> Path:
    """Write a network to a file, and a model card to `path` + ".md". Existing files are replaced.

    Args:
        trained: the network, for example from `load_network`.
        path: the file; its extension is one of FORMATS.
        form: "dense" stores all weights, "sparse" the active ones and their positions.

    Returns:
        The path of the model card.

    Raises:
        ValueError: For an unknown extension or form, for weights that are NaN or infinite, for k-winners whose boosting
            is too strong for the format, or for a torch module with operations that ONNX does not have.
        ImportError: If the package for this format is not installed.
        OSError: If a file cannot be written.

    Example:
        >>> import tempfile, torch
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import Trained, export
        >>> config = Config(dataset_name="digits", model="Dense", hidden_sizes=[8])
        >>> weights, biases = [torch.randn(8, 64), torch.randn(10, 8)], [torch.zeros(8), torch.zeros(10)]
        >>> masks = [torch.ones_like(each, dtype=torch.bool) for each in weights]
        >>> trained = Trained(config, {"training_iteration": 1, "val_acc": 0.1}, weights, biases, masks)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     card = export(trained, f"{folder}/network.pt")
        ...     print(card.name, card.read_text().splitlines()[0])
        network.pt.md # network.pt
    """
    path = Path(path).expanduser()
    write = FORMATS[Choice(FORMATS).read("file extension", path.suffix)]
    form = Choice(FORMS).read("form", form)
    if not all(bool(each.isfinite().all()) for each in trained.tensors().values()):
        raise ValueError(
            "The weights must be finite, got NaN or infinite ones: the training has diverged. Export another trial."
        )
    if isinstance(trained, Trained) and trained.winners and trained.boost > STRONG_BOOST:
        raise ValueError(
            f"The boost strength at the last evaluation must be at most {STRONG_BOOST:g}, because exported networks "
            f"multiply by exp(-boost * duty) in float32, got {trained.boost:g}. Export a trial with less boosting."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "the folder does not exist", str(path.parent))
    folder, content, about = LocalFolder(str(path.parent)), write(trained, form), card(trained, path.name, form)
    for name in (path.name, card_path(path).name):
        if (path.parent / name).is_dir():
            raise IsADirectoryError(21, "a folder has this name", str(path.parent / name))
    folder.replace(path.name, content)
    folder.replace(card_path(path).name, about.encode())
    return card_path(path)


def card_path(path: Path) -> Path:
    """Return the path of a file's model card.

    Example:
        >>> from pathlib import Path
        >>> from dynsparse.export import card_path
        >>> card_path(Path("network.onnx")).name
        'network.onnx.md'
    """
    return path.with_name(f"{path.name}.md")


def load_exported(path: str | Path, into: nn.Module | None = None) -> nn.Module:
    """Return the module of a .safetensors or .pt file that `export` has written, in evaluation mode.

    It computes logits (batch, classes) from normalised inputs; the model card gives the normalisation. The inputs of a
    multilayer perceptron are (batch, inputs), and with the form "sparse", its weights stay sparse tensors.

    Args:
        path: the file.
        into: for the file of a torch module, such a module, for example from `new_module`: a file has tensors, but no
            code. It is changed in place, and its layers become smaller if the file is of a compressed network.

    Raises:
        ValueError: For a file that `export` has not written; for .onnx files, which onnxruntime reads; and for a module
            that is missing or does not fit.
        ImportError: If safetensors is not installed.
        OSError: If the file cannot be read.

    Example:
        >>> import tempfile, torch
        >>> from dynsparse.config import Config
        >>> from dynsparse.export import Trained, export, load_exported
        >>> config = Config(dataset_name="digits", model="Dense", hidden_sizes=[])
        >>> masks = [torch.ones(10, 64, dtype=torch.bool)]
        >>> row = {"training_iteration": 1, "val_acc": 0.1}
        >>> trained = Trained(config, row, [torch.ones(10, 64)], [torch.zeros(10)], masks)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     card = export(trained, f"{folder}/network.pt")
        ...     model = load_exported(f"{folder}/network.pt")
        >>> model(torch.ones(1, 64))[0, 0].item()
        64.0
    """
    path = Path(path).expanduser()
    if path.suffix == ".onnx":
        raise ValueError(
            f"load_exported reads {' and '.join(LOADERS)} files, got {str(path)!r}. Use "
            f"onnxruntime.InferenceSession({str(path)!r})."
        )
    load = LOADERS[Choice(LOADERS).read("file extension", path.suffix)]
    found, about = load(path)
    if "sizes" in about:
        if into is not None:
            raise ValueError(f"{path} is the file of a multilayer perceptron, which needs no module. Leave out `into`.")
        return build(found, about["winners"])
    if into is None:
        raise ValueError(
            f"{path} has the tensors of network={about['network']!r}, a torch module, but not its code. Build the "
            "module, and pass it as `into`."
        )
    fill_(into, found, about["shapes"])
    return into.eval()
