"""Summarize the layers of a network as a DataFrame and as text.

`dynsparse.pruning` does not import this module, because it needs pandas. Import
`dynsparse.pruning.summary.summary` yourself.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from dynsparse.pruning.validation import check_alike, check_biases, check_masks, check_single_network

WIDTH = 65  # of the text, in characters


def summary(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    masks: Sequence[Tensor] | None = None,
    *,
    names: Sequence[str] | None = None,
    positions: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Return a table with one row per layer of a network and one row "total".

    Columns: `layer`; `shape`, (out, in), None in the total; and

    - `parameters`: weights and biases, active or not.
    - `non_zero`: active weights, and biases other than 0.
    - `density`: active weights / weights; biases do not count.
    - `bytes_dense`: all parameters as float32.
    - `bytes_sparse`: the weights as CSR and the biases as float32. CSR stores a value (float32) and a column (int32)
      for each active weight, and n_out + 1 row starts (int32).
    - `multiplications`: for one example, if only active weights are multiplied.

    Args:
        weights: (out, in) for each layer, without a trials axis. A filter is a row.
        biases: (out,) for each layer; None for a layer without.
        masks: Shaped like the weights, bool. None: weights other than 0 are active, which is right after pruning but
            not during training.
        names: Of the layers. None: linear_0, linear_1, ...
        positions: The outputs of each unit for one example, more than 1 in a convolution. None: 1.

    Raises:
        ValueError: If there is a trials axis, or the lists do not match.

    Example:
        >>> import torch
        >>> from dynsparse.pruning.summary import summary
        >>> df = summary([torch.tensor([[0.0, 1.5], [0.0, 0.0]])], [torch.tensor([0.5, 0.0])])
        >>> df[["layer", "parameters", "non_zero", "density", "bytes_dense", "bytes_sparse"]]
              layer  parameters  non_zero  density  bytes_dense  bytes_sparse
        0  linear_0           6         2     0.25           24            28
        1     total           6         2     0.25           24            28
    """
    check_single_network(weights)
    check_biases(weights, biases)
    if masks is None:
        masks = [each.ne(0) for each in weights]
    check_masks("masks", masks)
    check_alike("masks", masks, weights)

    names = [f"linear_{layer}" for layer in range(len(weights))] if names is None else names
    positions = [1] * len(weights) if positions is None else positions
    for what, values in (("names", names), ("positions", positions)):
        if len(values) != len(weights):
            raise ValueError(f"{what} must have {len(weights)} entries, got {len(values)}. Give one per layer.")
    rows = []
    for name, n_positions, weight, bias, mask in zip(names, positions, weights, biases, masks, strict=True):
        n_out, n_in = weight.shape
        n_active, n_biases = int(mask.sum()), 0 if bias is None else n_out
        rows.append(
            {
                "layer": name,
                "shape": (n_out, n_in),
                "parameters": n_out * n_in + n_biases,
                "non_zero": n_active + (0 if bias is None else int(bias.ne(0).sum())),
                "density": n_active / (n_out * n_in) if n_out * n_in else 0.0,
                "bytes_dense": 4 * (n_out * n_in + n_biases),
                "bytes_sparse": 8 * n_active + 4 * (n_out + 1) + 4 * n_biases,
                "multiplications": n_active * n_positions,
            }
        )
    df = pd.DataFrame(rows)
    numbers = ["parameters", "non_zero", "bytes_dense", "bytes_sparse", "multiplications"]
    n_weights = sum(weight.numel() for weight in weights)
    density = sum(int(mask.sum()) for mask in masks) / n_weights if n_weights else 0.0
    total = {"layer": "total", "shape": None, "density": density} | {name: df[name].sum() for name in numbers}
    return pd.concat([df, pd.DataFrame([total])], ignore_index=True)[list(rows[0])]


def format_summary(df: pd.DataFrame) -> str:
    """Format the table of `summary` as text, in the layout of Keras' model.summary().

    As in Keras, "Param #" counts all parameters, active or not. The totals follow below the table.

    Args:
        df: From `summary`.

    Example:
        >>> import torch
        >>> from dynsparse.pruning.summary import format_summary, summary
        >>> text = format_summary(summary([torch.tensor([[0.0, 1.5]])], [torch.tensor([0.5])]))
        >>> print(text.splitlines()[-2])
        Density of weights: 0.5
    """
    layers, total = df.iloc[:-1], df.iloc[-1]
    cells = [(str(row["layer"]), f"(None, {row['shape'][0]})", str(row["parameters"])) for _, row in layers.iterrows()]
    between = "_" * WIDTH
    return "\n".join(
        [
            between,
            _line("Layer", "Output Shape", "Param #"),
            "=" * WIDTH,
            f"\n{between}\n".join(_line(*each) for each in cells),
            "=" * WIDTH,
            f"Total params: {total['parameters']:,}",
            f"Non-zero params: {total['non_zero']:,}",
            f"Density of weights: {total['density']:.4g}",
            between,
        ]
    )


def _line(layer: str, shape: str, parameters: str) -> str:
    return f"{layer:<29}{shape:<26}{parameters}"
