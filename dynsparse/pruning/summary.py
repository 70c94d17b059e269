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


def summary(weights: Sequence[Tensor], biases: Sequence[Tensor], masks: Sequence[Tensor] | None = None) -> pd.DataFrame:
    """Return a table with one row per linear layer of a network and one row "total".

    Columns: `layer`; `shape`, (out, in), None in the total; and

    - `parameters`: weights and biases, active or not.
    - `non_zero`: active weights, and biases other than 0.
    - `density`: active weights / weights; biases do not count.
    - `bytes_dense`: all parameters as float32.
    - `bytes_sparse`: the weights as CSR and the biases as float32. CSR stores a value (float32) and a column (int32)
      for each active weight, and n_out + 1 row starts (int32).
    - `multiplications`: for one example, if only active weights are multiplied.

    Args:
        weights: (out, in) for each layer, without a trials axis.
        biases: (out,) for each layer.
        masks: Shaped like the weights, bool. None: weights other than 0 are active, which is right after pruning but
            not during training.

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

    rows = []
    for i, (weight, bias, mask) in enumerate(zip(weights, biases, masks, strict=True)):
        n_out, n_in = weight.shape
        n_active = int(mask.sum())
        rows.append(
            {
                "layer": f"linear_{i}",
                "shape": (n_out, n_in),
                "parameters": n_out * n_in + n_out,
                "non_zero": n_active + int(bias.ne(0).sum()),
                "density": n_active / (n_out * n_in) if n_out * n_in else 0.0,
                "bytes_dense": 4 * (n_out * n_in + n_out),
                "bytes_sparse": 8 * n_active + 4 * (n_out + 1) + 4 * n_out,
                "multiplications": n_active,
            }
        )
    df = pd.DataFrame(rows)
    numbers = ["parameters", "non_zero", "bytes_dense", "bytes_sparse", "multiplications"]
    n_weights = sum(weight.numel() for weight in weights)
    density = df["multiplications"].sum() / n_weights if n_weights else 0.0
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
