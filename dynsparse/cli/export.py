"""The command that writes a trained network for other programs: export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dynsparse.cli.parsing import Command, Refusal, echo

if TYPE_CHECKING:
    from dynsparse.export.network import AnyTrained


@click.command(cls=Command)
@click.argument("trial_dir", metavar="TRIAL_DIR", type=click.Path())
@click.option(
    "--format",
    "ending",
    required=True,
    type=click.Choice(["safetensors", "onnx", "pt"]),
    help="safetensors: tensors alone; onnx: a graph for other runtimes; pt: torch's own.",
)
@click.option(
    "--form",
    type=click.Choice(["dense", "sparse"]),
    default="dense",
    show_default=True,
    help="All weights, zeros too, or the active ones and their places: smaller below a density of 1/2 (onnx: 1/3).",
)
@click.option("--prune", "kind", type=click.Choice(["weight", "unit"]), help="Prune the network first.")
@click.option(
    "--sparsity", type=float, help="Share of all weights, inactive ones too, or of all units to prune, in [0, 1]."
)
@click.option("--compress", is_flag=True, help="Leave out units and filters that do nothing. Not with k-winners.")
@click.option("-o", "--output", type=click.Path(), help="The file to write.  [default: TRIAL_DIR's name, here]")
@click.option("--overwrite", is_flag=True, help="Replace the file, and the card beside it, if they are there.")
def export(
    trial_dir: str,
    ending: str,
    form: str,
    kind: str | None,
    sparsity: float | None,
    compress: bool,
    output: str | None,
    overwrite: bool,
) -> None:
    """Write the trained network of the trial in TRIAL_DIR to a file, and a model card (.md) in the same folder.

    Then the file is read again, and its logits are compared with the network's.

    Exit code: 0 if they agree, 1 if they do not, 2 for bad input.
    """
    if (kind is None) != (sparsity is None):
        raise Refusal("--prune and --sparsity go together: --prune unit --sparsity 0.9")
    from dynsparse.export import card_path
    from dynsparse.export import export as write

    name = trial_dir.partition("?")[0].rstrip("/").rpartition("/")[2]
    path = Path(output).expanduser() if output else Path(f"{name or 'trial'}.{ending}")
    if path.suffix != f".{ending}":
        raise Refusal(f"-o {path} must end in .{ending}, as --format {ending} says")
    there = [str(each) for each in (path, card_path(path)) if each.exists()]
    if there and not overwrite:
        raise Refusal(f"{' and '.join(there)}: already there; --overwrite replaces, -o names another file")
    try:
        trained = _network(trial_dir, kind, sparsity, compress)
        write(trained, path, form)
    except (ImportError, ValueError) as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(f"{error.filename or path} cannot be written: {error.strerror or error}") from error
    _show(trained, path)


def _network(trial_dir: str, kind: str | None, sparsity: float | None, compress: bool) -> AnyTrained:
    """Return the network to write. Raises: Refusal, ValueError."""
    from dynsparse.export.network import compressed, load_network, pruned

    try:
        trained = load_network(trial_dir)
    except OSError as error:
        raise Refusal(f"{trial_dir} cannot be read: {error.strerror or error}") from error
    if kind is not None and sparsity is not None:
        before = trained.masks
        trained = pruned(trained, kind, sparsity)
        if (
            kind == "weight"
            and sparsity > 0
            and all(after.equal(mask) for after, mask in zip(trained.masks, before, strict=True))
        ):
            sparsities = ", ".join(f"{1 - float(mask.double().mean()):.3g}" for mask in before)
            raise Refusal(
                f"--sparsity must be above that of the network's layers ({sparsities}), got {sparsity:g}: it counts "
                "inactive weights too, so no weight would be pruned. Raise --sparsity."
            )
    return compressed(trained) if compress else trained


def _show(trained: AnyTrained, path: Path) -> None:
    """Print what was written, and the comparison with the network. Raises: Exit with code 1 if they differ."""
    from dynsparse.export import card_path
    from dynsparse.export.verify import TOLERANCE, can_be_read, compare

    n_active = sum(int(mask.sum()) for mask in trained.masks)
    n_weights = sum(mask.numel() for mask in trained.masks)
    n_biases = sum(0 if layer.bias is None else len(layer.bias) for layer in trained.layers())
    echo(f"written: {path} ({path.stat().st_size:,} bytes) and {card_path(path)}")
    for remark in trained.remarks:
        echo(f"  {remark}")
    echo(
        f"{trained.name}: {n_weights + n_biases:,} weights and biases; {n_active:,} weights "
        f"are active (density {n_active / n_weights if n_weights else 0:.4g})"
    )
    if not can_be_read(path):
        echo('not checked: onnxruntime is not installed: pip install "dynsparse[export]"')
        return
    found = compare(trained, path)
    echo(
        f"read again, on {found.examples}: the largest difference of a logit is {found.largest:.2g} of the largest "
        f"logit; it is more than {TOLERANCE:g} in {found.n_far} examples"
    )
    if not found.fits:
        echo(f"Error: {path} does not compute what the trained network computes; do not use it", err=True)
        raise click.exceptions.Exit(1)
