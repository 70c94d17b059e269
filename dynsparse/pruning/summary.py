"""What a network has in each layer, as a DataFrame and as text.

Needs pandas, so that `dynsparse.pruning` does not import it: `from dynsparse.pruning.summary import summary`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from dynsparse.pruning.validation import check_alike, check_biases, check_masks, check_weights

WIDTH = 65  # of the text, in characters


def summary(weights: Sequence[Tensor], biases: Sequence[Tensor], masks: Sequence[Tensor] | None = None) -> pd.DataFrame:
    """One row per linear layer of a network and one row "total".

    Columns: `layer`; `shape`, (out, in), None in the total; and

    - `parameters`: weights and biases, active or not
    - `non_zero`: active weights, and biases other than 0
    - `density`: active weights / weights; biases do not count
    - `bytes_dense`: all parameters as float32
    - `bytes_sparse`: the weights as CSR, each active one with a value (float32) and a column (int32), each output with
      the start of its row, and one more (int32); the biases as float32. int16 would do for up to 32,768 columns, but
      the libraries that compute with CSR, torch and scipy among them, take int32 at least.
    - `multiplications`: for one example, if only active weights are multiplied

    Shapes: weights, masks (out, in), biases (out,): of one network, without a trials axis. Without masks the weights
    other than 0 are the active ones, which is right after pruning, and not in training.

    Raises: ValueError where there is a trials axis, or the lists do not fit each other.
    """
    check_weights("weights", weights, n_leading=0)
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
    """The table of `summary` as text, laid out as Keras prints model.summary().

    "Param #" counts active parameters or not, as Keras does; below the table are the totals.
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
